//! What the host's kernel offers, read once when the engine starts.

use std::fs;

use hull_confine::caps::CapSet;
use hull_confine::lsm::Active;
use hull_types::Fault;

/// Facts about the host that admission and preparation share.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// What a container can be given at most: the kernel's capabilities within the engine's own bound.
    pub capabilities: CapSet,
    /// Which security modules run.
    pub lsm: Active,
    /// The AppArmor profile that containers get unless they ask for another: the one the engine's
    /// administrator loaded under this name, if any.
    pub apparmor_default: Option<String>,
    /// The SELinux label of the engine, from which containers' labels are made.
    pub selinux_label: String,
    /// The host's name, for containers that share its UTS namespace.
    pub hostname: String,
    /// `MAJOR.MINOR…` of the kernel.
    pub release: String,
    /// `/sys/devices/system/cpu/possible`.
    pub cpus: String,
    /// How many files a container's process may have open unless it asks for another limit (hard).
    pub open_files: u64,
}

/// The profile's name, as distributions and docker have it.
const APPARMOR_DEFAULT: &str = "hull-default";

/// The hard limit of open files, as systemd gives to services.
const OPEN_FILES: u64 = 524_288;

impl HostFacts {
    /// Reads them.
    ///
    /// # Errors
    /// Without `/proc`, nothing is known about what may be given away.
    pub fn read() -> Result<Self, Fault> {
        let status = fs::read_to_string("/proc/self/status")
            .map_err(|error| Fault::internal("cannot read `/proc/self/status`").cause(error))?;
        let last = text("/proc/sys/kernel/cap_last_cap").trim().parse().unwrap_or(40);
        let bound = CapSet::bounding_in_status(&status)
            .ok_or_else(|| Fault::internal("`/proc/self/status` names no capability bounding set"))?;
        let lsm = Active::parse(&text("/sys/kernel/security/lsm"))
            .with_apparmor_parameter(&text("/sys/module/apparmor/parameters/enabled"));
        let profiles = text("/sys/kernel/security/apparmor/profiles");
        let loaded = profiles.lines().any(|line| line.starts_with(APPARMOR_DEFAULT));
        let open_files = open_files(bound);
        if open_files < OPEN_FILES {
            tracing::warn!(
                open_files,
                "the limit of open files of containers is lower than {OPEN_FILES}: CAP_SYS_RESOURCE is missing"
            );
        }
        let uname = rustix::system::uname();
        Ok(Self {
            capabilities: bound.and(CapSet::through(last)),
            lsm,
            apparmor_default: (lsm.apparmor && loaded).then(|| APPARMOR_DEFAULT.to_owned()),
            selinux_label: if lsm.selinux { text("/proc/self/attr/current") } else { String::new() },
            hostname: uname.nodename().to_string_lossy().into_owned(),
            release: uname.release().to_string_lossy().into_owned(),
            cpus: text("/sys/devices/system/cpu/possible"),
            open_files,
        })
    }
}

/// The default, or what the engine has itself where it may not raise it.
fn open_files(bound: CapSet) -> u64 {
    let may_raise = CapSet::named("SYS_RESOURCE").is_some_and(|one| bound.contains(one));
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if may_raise { OPEN_FILES } else { own.unwrap_or(OPEN_FILES).min(OPEN_FILES) }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
