//! The two background roles: the keeper, and the engine that it starts.
//!
//! Composition root: nothing here decides anything but which parts are put together.

pub(crate) mod daemon;
mod engine;
pub(crate) mod sockets;

use std::ffi::OsString;
use std::path::PathBuf;

use hull_launch::keeper::KeeperArgs;
use hull_types::Fault;

use crate::cli::failure::report;

pub(crate) use engine::engine;

const SIGHUP: i32 = 1;

/// The words of the OCI runtime, if this is it: `hull oci …`, or called `hull-oci` or `runc`.
pub(crate) fn oci<'a>(called: &std::ffi::OsStr, args: &'a [OsString]) -> Option<&'a [OsString]> {
    let name = std::path::Path::new(called).file_name();
    if name.is_some_and(|name| name == "hull-oci" || name == "runc") {
        return Some(args);
    }
    match args.split_first() {
        Some((first, rest)) if first == "oci" => Some(rest),
        _ => None,
    }
}

/// `--root`, `--run` and `--host` of a role.
struct Places {
    root: PathBuf,
    run: PathBuf,
    host: String,
}

impl Places {
    fn parse(args: &[OsString]) -> Result<Self, Fault> {
        let (mut root, mut run, mut host) = (None, None, None);
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| Fault::invalid("a flag of this role has no value"))?;
            match flag.to_str() {
                Some("--root") => root = Some(PathBuf::from(value)),
                Some("--run") => run = Some(PathBuf::from(value)),
                Some("--host") => host = value.to_str().map(str::to_owned),
                _ => return Err(Fault::invalid("this role takes --root, --run and --host only")),
            }
        }
        let run = run.unwrap_or_else(|| PathBuf::from("/run/hull"));
        Ok(Self {
            root: root.unwrap_or_else(|| PathBuf::from("/var/lib/hull")),
            host: host.unwrap_or_else(|| format!("unix://{}/engine.sock", run.display())),
            run,
        })
    }

    /// The keeper's arguments; it starts the engine at the same places.
    fn keeper(self) -> KeeperArgs {
        let socket = PathBuf::from(self.host.trim_start_matches("unix://"));
        let flags: [(&str, OsString); 3] =
            [("--root", self.root.into()), ("--run", self.run.clone().into()), ("--host", self.host.into())];
        let mut engine: Vec<OsString> = vec!["engine".into(), "run".into()];
        for (flag, value) in flags {
            engine.extend([flag.into(), value]);
        }
        KeeperArgs { run: self.run, socket, socket_group: group_named, engine }
    }
}

/// The group that may use the socket: `HULL_GROUP`, by number or by name.
fn group() -> Option<u32> {
    group_named(&std::env::var("HULL_GROUP").ok()?)
}

/// A group of the host by its number or name.
fn group_named(wanted: &str) -> Option<u32> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find(|line| line.split(':').next() == Some(wanted))?;
    line.split(':').nth(2)?.parse().ok()
}

/// `hull keeper`: never returns unless its arguments are wrong.
pub(crate) fn keeper(args: &[OsString]) -> u8 {
    // ORDER: first. The keeper passes SIGHUP on; until it can, one waits, over both of its `execve`s.
    hull_sys::signals::block(&[SIGHUP]);
    match Places::parse(args) {
        Ok(places) => {
            // The program that replaces it has no environment but its state: it stands where this one does. This fails
            // if it leads a process group already (systemd): then it is detached, too.
            let replaced = std::env::var_os(hull_launch::keeper::STATE_FD).is_some();
            if !replaced && std::env::var_os(daemon::FOREGROUND).is_none() {
                let _ = rustix::process::setsid();
            }
            hull_launch::keeper::run(places.keeper())
        }
        Err(fault) => {
            report(&fault);
            125
        }
    }
}
