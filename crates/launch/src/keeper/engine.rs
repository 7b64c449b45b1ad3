//! The engine as a process: started in the host's mount namespace from the keeper's own sealed
//! program, again at once when it dies, later and later if it dies right away each time.

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_sys::process::{self, CloneArgs, Cloned, Vector};
use hull_sys::{Error, Named, Result, fds, signals};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::state::{Environment, Parts, RunningEngine};
use super::{KEEPER_FD, LISTEN_FD, place};

/// `CLONE_NEWNS`.
const MOUNT_NAMESPACE: u32 = 0x0002_0000;

const SIGHUP: i32 = 1;

/// An engine that lived this long was healthy: the next one starts at once.
const HEALTHY: Duration = Duration::from_secs(1);
/// So many early deaths in a row are met with a start at once.
const AT_ONCE: u32 = 3;
/// The first delay, doubled for each further early death.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// When the next start is due.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    started: Option<Instant>,
    early_deaths: u32,
    due: Option<Instant>,
}

impl Restarts {
    pub(super) fn started(&mut self, now: Instant) {
        self.started = Some(now);
        self.due = None;
    }

    /// The engine died: fixes when the next one starts.
    pub(super) fn died(&mut self, now: Instant) {
        let lived = self.started.map_or(Duration::ZERO, |started| now - started);
        self.early_deaths = if lived >= HEALTHY { 0 } else { self.early_deaths + 1 };
        let delay = match self.early_deaths.checked_sub(AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(n) => FIRST_DELAY.saturating_mul(1 << n.min(16)).min(LONGEST_DELAY),
        };
        self.due = Some(now + delay);
    }

    /// How long to wait until the start that is due. `None`: none is.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }
}

/// Starts the engine with the given arguments.
pub(super) fn start(parts: &Parts, arguments: &[OsString]) -> Result<RunningEngine> {
    let program = place::own_program()?;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .named(|| "socketpair()".to_owned())?;
    rustix::io::ioctl_fionbio(&ours, true).named(|| "ioctl(FIONBIO)".to_owned())?;
    let argv = std::iter::once(OsString::from("hull")).chain(arguments.iter().cloned());
    let argv = Vector::new(argv.map(place::c_string).collect());
    let env = Vector::new(environment(&parts.environment, &theirs, &parts.listener));
    match process::clone_single_threaded(CloneArgs::default())? {
        Cloned::Child => {
            let error = become_engine(parts, &program, &theirs, (&argv, &env));
            eprintln!("hull keeper: cannot start the engine: {error}");
            process::exit_now(127)
        }
        Cloned::Parent { pid, pidfd: _ } => Ok(RunningEngine { pid: pid.as_raw_nonzero().get(), link: ours }),
    }
}

/// The environment the keeper was started with, and where its descriptors are.
fn environment(base: &Environment, link: &OwnedFd, listener: &OwnedFd) -> Vec<CString> {
    let ours = [(KEEPER_FD, link), (LISTEN_FD, listener)];
    let hidden = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", KEEPER_FD, LISTEN_FD];
    let inherited = base
        .iter()
        .filter(|(name, _)| hidden.iter().all(|hidden| name != hidden.as_bytes()))
        .filter_map(|(name, value)| CString::new([name, &b"="[..], value].concat()).ok());
    let added =
        ours.iter().map(|(name, fd)| CString::new(format!("{name}={}", fd.as_raw_fd())).expect("no NUL in a number"));
    inherited.chain(added).collect()
}

/// In the child. Returns only the error.
fn become_engine(parts: &Parts, program: &OwnedFd, link: &OwnedFd, (argv, env): (&Vector, &Vector)) -> Error {
    let prepare = || -> Result<()> {
        fds::close_on_exec_from(3)?;
        // ORDER: a SIGHUP before the engine has a handler waits; it would end the engine.
        signals::reset_pipe_and_block_only(&[SIGHUP]);
        process::setns(&parts.host_mounts, MOUNT_NAMESPACE)?;
        rustix::process::chdir("/").named(|| "chdir(\"/\")".to_owned())?;
        for fd in [link, &parts.listener] {
            fds::set_close_on_exec(fd, false)?;
        }
        Ok(())
    };
    if let Err(error) = prepare() {
        return error;
    }
    let program: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(program);
    Error::new("execveat(engine)", process::fexecve(program, argv, env))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_dies_at_once_each_time_is_started_later_and_later() {
        let mut restarts = Restarts::default();
        let mut now = Instant::now();
        assert_eq!(restarts.wait(now), None);
        for expected_ms in [0, 0, 0, 50, 100, 200, 400, 800, 1000, 1000] {
            restarts.started(now);
            assert_eq!(restarts.wait(now), None);
            now += Duration::from_millis(10);
            restarts.died(now);
            assert_eq!(restarts.wait(now), Some(Duration::from_millis(expected_ms)));
        }
        restarts.started(now);
        now += Duration::from_secs(2);
        restarts.died(now);
        assert_eq!(restarts.wait(now), Some(Duration::ZERO));
    }
}
