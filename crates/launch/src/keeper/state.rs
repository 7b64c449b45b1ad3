//! What a keeper is made of, and how it survives its own `execve`.
//!
//! Either it starts fresh (lock, socket, directories, mount namespace), or the former program left a
//! memfd with the numbers of the descriptors it passed on.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use hull_sys::{Named, fds, memfd, namespace};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use super::{EXITS, GROUP, KeeperArgs, KeeperError, STATE_FD, handover, place};

/// The environment that the keeper was first started with: the engine's.
pub(super) type Environment = Vec<(Vec<u8>, Vec<u8>)>;

/// Connections that wait while the engine restarts.
const BACKLOG: i32 = 4096;

/// How long a successor waits for the lock of the keeper that died.
const LOCK_ATTEMPTS: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// systemd's socket activation: the first descriptor.
const SYSTEMD_FIRST: RawFd = 3;

/// All that the keeper has.
#[derive(Debug)]
pub(super) struct Parts {
    pub environment: Environment,
    /// The host's mount namespace, for the engine.
    pub host_mounts: OwnedFd,
    pub listener: OwnedFd,
    /// The directory of exit records.
    pub exits: OwnedFd,
    /// Held for as long as this keeper lives.
    pub lock: OwnedFd,
    /// `RLIMIT_NOFILE` that children get back.
    pub nofile: (u64, u64),
    pub engine: Option<RunningEngine>,
    pub children: BTreeMap<i32, LiveChild>,
    pub held: BTreeMap<(String, String), OwnedFd>,
    /// The request that is answered when the new program runs.
    pub upgrade: Option<u64>,
}

/// The engine process.
#[derive(Debug)]
pub(super) struct RunningEngine {
    pub pid: i32,
    pub link: OwnedFd,
}

/// A launched process.
#[derive(Debug)]
pub(super) struct LiveChild {
    pub key: String,
    pub pidfd: OwnedFd,
}

/// As [`Parts`], with numbers in place of descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    environment: Environment,
    host_mounts: RawFd,
    listener: RawFd,
    exits: RawFd,
    lock: RawFd,
    nofile: (u64, u64),
    engine: Option<(i32, RawFd)>,
    children: Vec<(i32, String, RawFd)>,
    held: Vec<(String, String, RawFd)>,
    upgrade: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Memory {
    Fresh(Environment),
    Upgraded(Saved),
}

/// What the former program left.
pub(super) enum Inherited {
    /// Only the environment.
    Fresh(Environment),
    /// Everything.
    Upgraded(Saved),
}

fn write(memory: &Memory) -> hull_sys::Result<OwnedFd> {
    let bytes = postcard::to_allocvec(memory).expect("plain data encodes into memory");
    memfd::with_bytes("hull-keeper-state", &bytes)
}

/// For the `execve` into the sealed copy.
pub(super) fn write_environment(environment: &Environment) -> hull_sys::Result<OwnedFd> {
    write(&Memory::Fresh(environment.clone()))
}

/// Reads what the former program left.
pub(super) fn inherited() -> Result<Inherited, KeeperError> {
    let Some(fd) = fds::adopt_from_env(STATE_FD)? else {
        return Ok(Inherited::Fresh(Environment::new()));
    };
    let mut bytes = Vec::new();
    std::fs::File::from(fd).read_to_end(&mut bytes).map_err(|_| KeeperError::BadState)?;
    match postcard::from_bytes(&bytes).map_err(|_| KeeperError::BadState)? {
        Memory::Fresh(environment) => Ok(Inherited::Fresh(environment)),
        Memory::Upgraded(saved) => Ok(Inherited::Upgraded(saved)),
    }
}

impl Saved {
    pub(super) fn restore(self) -> Result<Parts, KeeperError> {
        let take = |number: RawFd| fds::adopt_inherited(number);
        let mut parts = Parts {
            environment: self.environment,
            host_mounts: take(self.host_mounts)?,
            listener: take(self.listener)?,
            exits: take(self.exits)?,
            lock: take(self.lock)?,
            nofile: self.nofile,
            engine: None,
            children: BTreeMap::new(),
            held: BTreeMap::new(),
            upgrade: self.upgrade,
        };
        if let Some((pid, link)) = self.engine {
            parts.engine = Some(RunningEngine { pid, link: take(link)? });
        }
        for (pid, key, pidfd) in self.children {
            parts.children.insert(pid, LiveChild { key, pidfd: take(pidfd)? });
        }
        for (key, name, fd) in self.held {
            parts.held.insert((key, name), take(fd)?);
        }
        Ok(parts)
    }
}

impl Parts {
    /// Writes itself down and lets its descriptors pass `execve`.
    pub(super) fn save(&self) -> hull_sys::Result<OwnedFd> {
        let pass = |fd: &OwnedFd| -> hull_sys::Result<RawFd> {
            fds::set_close_on_exec(fd, false)?;
            Ok(fd.as_raw_fd())
        };
        let engine = match &self.engine {
            Some(engine) => Some((engine.pid, pass(&engine.link)?)),
            None => None,
        };
        let mut children = Vec::new();
        for (pid, child) in &self.children {
            children.push((*pid, child.key.clone(), pass(&child.pidfd)?));
        }
        let mut held = Vec::new();
        for ((key, name), fd) in &self.held {
            held.push((key.clone(), name.clone(), pass(fd)?));
        }
        write(&Memory::Upgraded(Saved {
            environment: self.environment.clone(),
            host_mounts: pass(&self.host_mounts)?,
            listener: pass(&self.listener)?,
            exits: pass(&self.exits)?,
            lock: pass(&self.lock)?,
            nofile: self.nofile,
            engine,
            children,
            held,
            upgrade: self.upgrade,
        }))
    }

    /// Takes the lock, and then what an engine without a keeper has to hand over; opens what is on the
    /// host; leaves the host's mount namespace.
    pub(super) fn fresh(args: &KeeperArgs, environment: Environment) -> Result<Self, KeeperError> {
        make_directory(&args.run, 0o711)?;
        // ORDER: a child that a dead keeper had cloned has its lock until it ends, which it does when it finds
        // nobody to report to.
        let attempt = || lock(&args.run);
        let lock = (0..LOCK_ATTEMPTS)
            .find_map(|_| match attempt() {
                Err(KeeperError::AlreadyRunning(_)) if !former_lives(&args.run) => {
                    std::thread::sleep(LOCK_PAUSE);
                    None
                }
                other => Some(other),
            })
            .unwrap_or_else(attempt)?;
        // ORDER: before the descriptors of many containers come.
        let nofile = raise_nofile();
        let (legacy, held) = match handover::receive(&args.run) {
            Some(legacy) => (Some(legacy.listener), legacy.held),
            None => (None, Vec::new()),
        };
        let exits = args.run.join(EXITS);
        make_directory(&exits, 0o700)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let exits = rustix::fs::open(&exits, flags, Mode::empty()).named(|| format!("open({exits:?})"))?;
        let listener = match activated(&environment)?.or(legacy) {
            Some(listener) => listener,
            None => listen(&args.socket, variable(&environment, GROUP).and_then(args.socket_group))?,
        };
        let host_mounts = namespace::own("mnt")?;
        place::enter_own_mounts()?;
        Ok(Self {
            environment,
            host_mounts,
            listener,
            exits,
            lock,
            nofile,
            engine: None,
            children: BTreeMap::new(),
            held: held.into_iter().map(|(name, fd)| ((name.key, name.name), fd)).collect(),
            upgrade: None,
        })
    }
}

fn make_directory(path: &Path, mode: u32) -> hull_sys::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).named(|| format!("mkdir({path:?})"))
}

/// Whether the keeper that took the lock last is still there.
fn former_lives(run: &Path) -> bool {
    let pid = std::fs::read_to_string(run.join("keeper.pid")).unwrap_or_default();
    // One that has ended but was not waited for has no command line any more.
    std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|words| !words.is_empty())
}

fn lock(run: &Path) -> Result<OwnedFd, KeeperError> {
    let path = run.join("keeper.lock");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .named(|| format!("open({path:?})"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN) => return Err(KeeperError::AlreadyRunning(run.to_owned())),
        Err(errno) => return Err(errno).named(|| format!("flock({path:?})")).map_err(Into::into),
    }
    let pid = rustix::process::getpid().as_raw_nonzero().to_string();
    let pid_path = run.join("keeper.pid");
    std::fs::write(&pid_path, pid + "\n").named(|| format!("write({pid_path:?})"))?;
    Ok(file.into())
}

/// The socket that systemd opened for this very process.
fn activated(environment: &Environment) -> Result<Option<OwnedFd>, KeeperError> {
    let number = |name: &str| variable(environment, name)?.parse::<i32>().ok();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    if number("LISTEN_PID") != Some(own) || number("LISTEN_FDS").is_none_or(|n| n < 1) {
        return Ok(None);
    }
    Ok(Some(fds::adopt_inherited(SYSTEMD_FIRST)?))
}

fn variable<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    let (_, value) = environment.iter().find(|(own, _)| own == name.as_bytes())?;
    std::str::from_utf8(value).ok()
}

/// The lock is ours: whatever is at `path` is left over.
fn listen(path: &Path, group: Option<u32>) -> hull_sys::Result<OwnedFd> {
    let describe = |call: &str| format!("{call}({path:?})");
    if let Some(parent) = path.parent() {
        make_directory(parent, 0o711)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).named(|| describe("unlink"));
        }
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .named(|| "socket(AF_UNIX)".to_owned())?;
    let address = SocketAddrUnix::new(path).named(|| describe("bind"))?;
    // ORDER: the mask is set before the socket exists, so that it is never open to all.
    let before = rustix::process::umask(Mode::from_raw_mode(0o117));
    let bound = rustix::net::bind(&socket, &address);
    rustix::process::umask(before);
    bound.named(|| describe("bind"))?;
    if let Some(group) = group {
        let group = Some(rustix::fs::Gid::from_raw(group));
        rustix::fs::chown(path, None, group).named(|| describe("chown"))?;
    }
    rustix::net::listen(&socket, BACKLOG).named(|| describe("listen"))?;
    Ok(socket)
}

/// The keeper holds several descriptors per container: it takes what it may. Returns what it had.
fn raise_nofile() -> (u64, u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let had = getrlimit(Resource::Nofile);
    _ = setrlimit(Resource::Nofile, Rlimit { current: had.maximum, maximum: had.maximum });
    (had.current.unwrap_or(u64::MAX), had.maximum.unwrap_or(u64::MAX))
}
