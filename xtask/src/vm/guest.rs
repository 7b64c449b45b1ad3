//! What runs inside the guest (shell scripts, in `guest/`), and how its words are read.
//!
//! Its words are heard by [`super::hearing`].

/// The initrd's script, after the lines that load its modules.
pub const HANDOVER: &str = include_str!("guest/handover.sh");

/// Scripts that every load disk carries.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("common.sh", include_str!("guest/common.sh")),
    ("plain.sh", include_str!("guest/plain.sh")),
    ("under-systemd.sh", include_str!("guest/under-systemd.sh")),
];

/// What PID 1 is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// A script that runs all test executables.
    Test,
    /// The same under systemd, each executable in a delegated unit.
    Systemd,
    /// A script that gives a shell.
    Shell,
}

impl Flavour {
    /// The script that the initrd hands over to.
    pub fn init(self) -> &'static str {
        match self {
            Self::Test => include_str!("guest/test.sh"),
            Self::Systemd => include_str!("guest/systemd.sh"),
            Self::Shell => include_str!("guest/shell.sh"),
        }
    }
}
