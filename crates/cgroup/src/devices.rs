//! Device rules: who may make, read and write which device node.
//!
//! The list starts from "deny all"; a later rule wins over an earlier one, per access bit. v1 takes
//! the rules as text, v2 as a program (`program`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// Access bits of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access(u8);

impl Access {
    /// `mknod` (the kernel's `BPF_DEVCG_ACC_MKNOD`).
    pub const MKNOD: Access = Access(1);
    /// `read` (`BPF_DEVCG_ACC_READ`).
    pub const READ: Access = Access(2);
    /// `write` (`BPF_DEVCG_ACC_WRITE`).
    pub const WRITE: Access = Access(4);
    /// All three.
    pub const ALL: Access = Access(7);

    /// From `r`, `w` and `m` in any order; `None` for other letters or an empty string.
    pub fn parse(text: &str) -> Option<Self> {
        text.bytes()
            .try_fold(0, |bits, byte| match byte {
                b'r' => Some(bits | Self::READ.0),
                b'w' => Some(bits | Self::WRITE.0),
                b'm' => Some(bits | Self::MKNOD.0),
                _ => None,
            })
            .filter(|bits| *bits != 0)
            .map(Self)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits as the kernel's device programs count them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.overlaps(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Which device nodes a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Character and block devices, every number, as the kernel reads `a`.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// One rule. `None` for a number means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Gives (`true`) or takes away.
    pub allow: bool,
    /// Which kind of node.
    pub kind: DeviceKind,
    /// Device number, major part.
    pub major: Option<u32>,
    /// Device number, minor part.
    pub minor: Option<u32>,
    /// What it gives or takes.
    pub access: Access,
}

impl DeviceRule {
    /// Whether it speaks of everything, which is a reset of the whole list.
    fn is_reset(&self) -> bool {
        *self == Self::everything(self.allow)
    }

    /// `a *:* rwm`.
    pub const fn everything(allow: bool) -> Self {
        Self { allow, kind: DeviceKind::All, major: None, minor: None, access: Access::ALL }
    }

    /// The lines of `devices.allow` or `devices.deny`. The kernel reads any line that starts with `a`
    /// as "everything", so a rule for both kinds with numbers becomes two.
    pub(crate) fn v1_lines(&self) -> Vec<String> {
        if self.kind != DeviceKind::All || self.is_reset() {
            return vec![self.to_string()];
        }
        [DeviceKind::Char, DeviceKind::Block].map(|kind| Self { kind, ..*self }.to_string()).to_vec()
    }

    fn same_nodes(&self, other: &Self) -> bool {
        self.kind == other.kind && self.major == other.major && self.minor == other.minor
    }

    fn meets(&self, other: &Self) -> bool {
        let number = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        (self.kind == other.kind || self.kind == DeviceKind::All || other.kind == DeviceKind::All)
            && number(self.major, other.major)
            && number(self.minor, other.minor)
    }
}

/// As v1 takes it: `c 1:3 rwm`, `b *:* m`, `a *:* rwm`.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        write!(f, "{kind} ")?;
        match self.major {
            Some(major) => write!(f, "{major}:")?,
            None => f.write_str("*:")?,
        }
        match self.minor {
            Some(minor) => write!(f, "{minor} ")?,
            None => f.write_str("* ")?,
        }
        write!(f, "{}", self.access)
    }
}

/// Refuses what v1 would accept and ignore: its deny list removes only entries with the very same
/// numbers, so a denial inside a wider allowance would have no effect.
pub(crate) fn check_v1(rules: &[DeviceRule]) -> Result<(), Refusal> {
    for (at, deny) in rules.iter().enumerate().filter(|(_, rule)| !rule.allow) {
        let ignored = rules[..at].iter().any(|given| {
            given.allow
                && given.access.overlaps(deny.access)
                && given.meets(deny)
                && !given.same_nodes(deny)
                && !deny.is_reset()
        });
        if ignored {
            return Err(Refusal::DeviceRule { rule: deny.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(allow: bool, text: &str) -> DeviceRule {
        let parts: Vec<&str> = text.split([' ', ':']).collect();
        let number = |s: &str| s.parse().ok();
        DeviceRule {
            allow,
            kind: match parts[0] {
                "a" => DeviceKind::All,
                "c" => DeviceKind::Char,
                _ => DeviceKind::Block,
            },
            major: number(parts[1]),
            minor: number(parts[2]),
            access: Access::parse(parts[3]).unwrap(),
        }
    }

    #[test]
    fn rules_print_as_the_kernel_reads_them() {
        for text in ["a *:* rwm", "c 1:3 rw", "b 8:* r", "c 136:* rwm", "b *:* m"] {
            assert_eq!(rule(true, text).to_string(), text);
        }
    }

    #[test]
    fn a_rule_for_both_kinds_is_never_read_as_everything() {
        assert_eq!(rule(true, "a 1:3 r").v1_lines(), ["c 1:3 r", "b 1:3 r"].map(String::from));
        assert_eq!(DeviceRule::everything(true).v1_lines(), ["a *:* rwm"]);
    }

    #[test]
    fn access_takes_only_its_three_letters() {
        assert_eq!(Access::parse("mwr"), Some(Access::ALL));
        assert_eq!(Access::parse(""), None);
        assert_eq!(Access::parse("rx"), None);
        assert_eq!(Access::READ.union(Access::MKNOD).bits(), 3);
    }

    #[test]
    fn v1_refuses_a_denial_it_would_ignore() {
        let check = |rules: &[(bool, &str)]| check_v1(&rules.iter().map(|(a, t)| rule(*a, t)).collect::<Vec<_>>());
        assert!(check(&[(true, "c 1:3 rwm"), (false, "c 1:3 w")]).is_ok());
        assert!(check(&[(true, "c *:* m"), (false, "c 1:3 rw")]).is_ok());
        assert!(check(&[(false, "c 1:3 rwm"), (true, "c *:* rwm")]).is_ok());
        assert!(check(&[(true, "c 1:3 rwm"), (false, "a *:* rwm")]).is_ok());
        assert!(check(&[(true, "c 1:* rwm"), (false, "c 1:3 w")]).is_err());
        assert!(check(&[(true, "a *:* rwm"), (false, "b 8:0 rwm")]).is_err());
    }
}
