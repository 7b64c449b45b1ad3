//! `process`: what runs, as whom, and what it may.

mod filter;
mod schedule;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use hull_confine::caps::CapSet;
use hull_launch::compile::{Streams, Who};
use hull_launch::spec::{BundleProcess, CapabilitySets, Lsm, OomScore, Process as Common, RlimitWish, SeccompWish};
use rustix::fs::{Mode, OFlags};

use crate::config::{Capabilities, Process};
use crate::error::{Error, Result};

pub use filter::{Listener, seccomp};
pub use schedule::{cpus, personality};

/// Refuses what cannot be, before anything is made.
pub fn check(process: &Process) -> Result<()> {
    if process.args.is_empty() {
        return Err(Error::invalid("process.args", "args must not be empty"));
    }
    if !process.cwd.starts_with('/') {
        return Err(Error::invalid("process.cwd", "Cwd must be an absolute path"));
    }
    let apparmor = process.apparmor_profile.as_ref().is_some_and(|profile| !profile.is_empty());
    if apparmor && !apparmor_active() {
        return Err(Error::unsupported("process.apparmorProfile", "AppArmor is not enabled on this host"));
    }
    let selinux = process.selinux_label.as_ref().is_some_and(|label| !label.is_empty());
    if selinux && !selinux_active() {
        return Err(Error::unsupported("process.selinuxLabel", "SELinux is not enabled on this host"));
    }
    wish(process).map(drop)
}

/// AppArmor is loaded and on.
pub fn apparmor_active() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// SELinux is loaded.
pub fn selinux_active() -> bool {
    std::path::Path::new("/sys/fs/selinux/enforce").exists()
}

/// As the launch has it.
pub fn process(process: &Process, id: Option<&str>) -> Result<BundleProcess> {
    let keyring = id.map(|id| format!("_ses.{id}"));
    let mut wish = BundleProcess { keyring, ..wish(process)? };
    if let Some(count) = std::env::var("LISTEN_FDS").ok().filter(|count| count.parse::<u16>().is_ok_and(|n| n > 0)) {
        // sd_listen_fds(3): they are the process's.
        wish.process.env.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()]);
    }
    Ok(wish)
}

/// Capabilities that the kernel does not have: they are left out, and said.
pub fn unknown_capabilities(process: &Process) -> Vec<String> {
    let Some(given) = &process.capabilities else { return Vec::new() };
    let sets = [&given.bounding, &given.effective, &given.inheritable, &given.permitted, &given.ambient];
    let mut unknown: Vec<String> =
        sets.into_iter().flatten().filter(|name| CapSet::named(name).is_none()).cloned().collect();
    unknown.sort();
    unknown.dedup();
    unknown
}

fn wish(process: &Process) -> Result<BundleProcess> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(BundleProcess {
        process: Common {
            argv: process.args.clone(),
            env: process.env.clone(),
            cwd: PathBuf::from(&process.cwd),
            user: String::new(),
            groups: Vec::new(),
            tty: process.terminal,
            stdin: true,
            capabilities: 0,
            seccomp: SeccompWish::Unconfined,
            no_new_privileges: process.no_new_privileges,
            lsm: Lsm {
                apparmor: given(&process.apparmor_profile),
                selinux_process: given(&process.selinux_label),
                selinux_mount: None,
            },
            rlimits: rlimits(process)?,
            oom_score_adj: oom_score(process)?,
            umask: process.user.umask,
        },
        capabilities: capabilities(process.capabilities.as_ref()),
        scheduler: process.scheduler.as_ref().map(schedule::scheduler).transpose()?,
        io_priority: process.io_priority.as_ref().map(schedule::io_priority).transpose()?,
        affinity: None,
        keyring: None,
    })
}

/// As runc: a name that the kernel does not have is left out; a set that is not given is empty.
fn capabilities(given: Option<&Capabilities>) -> CapabilitySets {
    let Some(given) = given else { return CapabilitySets::default() };
    let set = |names: &[String]| {
        let known = names.iter().filter_map(|name| CapSet::named(name));
        known.fold(CapSet::EMPTY, CapSet::or).0
    };
    CapabilitySets {
        bounding: set(&given.bounding),
        permitted: set(&given.permitted),
        effective: set(&given.effective),
        inheritable: set(&given.inheritable),
        ambient: set(&given.ambient),
    }
}

fn rlimits(process: &Process) -> Result<Vec<RlimitWish>> {
    let mut wishes: Vec<RlimitWish> = Vec::new();
    for (at, limit) in process.rlimits.iter().enumerate() {
        let field = || format!("process.rlimits[{at}]");
        let name = limit.kind.strip_prefix("RLIMIT_").map(str::to_ascii_lowercase).unwrap_or_default();
        let known = hull_confine::rlimits::Rlimit::from_wire(&name, 0, 0);
        let resource =
            known.map_err(|_| Error::invalid(field(), format!("invalid rlimit type: {:?}", limit.kind)))?.resource;
        if wishes.iter().any(|other| other.resource == resource) {
            return Err(Error::invalid(field(), format!("{} is given twice", limit.kind)));
        }
        wishes.push(RlimitWish { resource, soft: limit.soft, hard: limit.hard, required: true });
    }
    Ok(wishes)
}

fn oom_score(process: &Process) -> Result<Option<OomScore>> {
    let Some(score) = process.oom_score_adj else { return Ok(None) };
    match i32::try_from(score).ok().filter(|score| (-1000..=1000).contains(score)) {
        Some(value) => Ok(Some(OomScore { value, required: true })),
        None => Err(Error::invalid("process.oomScoreAdj", format!("{score} is not from -1000 to 1000"))),
    }
}

/// The terminal, or the streams of this process.
pub fn streams(process: &Process) -> Streams {
    match (process.terminal, process.console_size) {
        (false, _) => Streams::Inherited,
        (true, size) => {
            let size = size.unwrap_or_default();
            Streams::Terminal { rows: size.height, columns: size.width }
        }
    }
}

/// The ids, and the home of that user in the container's own passwd if it will be asked for.
pub fn who(process: &Process, root: BorrowedFd<'_>) -> Who {
    let user = &process.user;
    let has_home = process.env.iter().any(|pair| pair.starts_with("HOME="));
    let home = if has_home { String::new() } else { home(user.uid, root) };
    Who { uid: user.uid, gid: user.gid, groups: user.additional_gids.clone(), home }
}

/// The most of a passwd that is read.
const LARGEST: usize = 1 << 20;

fn home(uid: u32, root: BorrowedFd<'_>) -> String {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
    let open = || hull_sys::resolve::open_in_root_mode(root, "/etc/passwd", flags, Mode::empty());
    let mut bytes = Vec::new();
    if let Ok(file) = open() {
        let file = std::fs::File::from(file);
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            let mut limited = std::io::Read::take(file, LARGEST as u64);
            _ = std::io::Read::read_to_end(&mut limited, &mut bytes);
        }
    }
    let found = hull_confine::identity::resolve(&uid.to_string(), &bytes, &[], &[]);
    found.map_or_else(|_| "/".to_owned(), |identity| identity.home.to_string_lossy().into_owned())
}
