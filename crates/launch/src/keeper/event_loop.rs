//! The loop: requests of the engine, reports of children, signals, and the engine's restart.

mod launches;
mod link;
mod requests;

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_sys::{Named, Result, caps, signals};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::engine::Restarts;
use super::frame::Incoming;
use super::launching::{Launcher, Pending};
use super::outbox::Outbox;
use super::state::Parts;
use super::{ExitRecord, KeeperArgs, KeeperError, Seq, log};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;

/// epoll's names for what is watched; launches follow.
const TOKEN_SIGNALS: u64 = 0;
const TOKEN_ENGINE: u64 = 1;
const TOKEN_FIRST_LAUNCH: u64 = 2;

/// Descriptors of a launch under way, besides those that stay held.
const PER_LAUNCH: usize = 8;
/// Descriptors kept free: a message bears up to 253, and a listing duplicates in batches.
const RESERVE: usize = 600;

/// The keeper at work.
pub(super) struct Keeper {
    args: KeeperArgs,
    parts: Parts,
    launcher: Launcher,
    epoll: OwnedFd,
    signals: signals::SignalFd,
    restarts: Restarts,
    /// Counts engines: an answer never goes to an engine that did not ask.
    generation: u64,
    incoming: Incoming,
    outbox: Outbox,
    /// The engine's socket is full: what is in the outbox waits for it.
    blocked: bool,
    pending: BTreeMap<u64, Pending>,
    next_token: u64,
    /// Exits of processes not known (yet): a reborn child may exit before its name arrives.
    unclaimed: BTreeMap<i32, i32>,
    /// Exits whose record could not be written: no room, or no descriptor.
    unwritten: Vec<ExitRecord>,
    /// Lists asked for while launches of a former engine were under way.
    lists: Vec<Seq>,
    upgrade: Option<(Seq, OwnedFd)>,
    stopping: bool,
}

impl Keeper {
    pub(super) fn new(args: KeeperArgs, parts: Parts) -> Result<Self, KeeperError> {
        // ORDER: after an upgrade signals are blocked and may be pending: the mask stays as it is.
        signals::default_actions();
        signals::ignore_pipe();
        let signals = signals::SignalFd::new(&[SIGCHLD, SIGTERM, SIGINT, SIGHUP])?;
        if rustix::process::geteuid().is_root() {
            // A child must not be traced from within the container that it enters.
            caps::set_dumpable(false)?;
        }
        _ = caps::set_name(c"hull-keeper");
        let launcher = Launcher::new(parts.nofile)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).named(|| "epoll_create1()".into())?;
        let mut keeper = Self {
            args,
            parts,
            launcher,
            epoll,
            signals,
            restarts: Restarts::default(),
            generation: 0,
            incoming: Incoming::default(),
            outbox: Outbox::default(),
            blocked: false,
            pending: BTreeMap::new(),
            next_token: TOKEN_FIRST_LAUNCH,
            unclaimed: BTreeMap::new(),
            unwritten: Vec::new(),
            lists: Vec::new(),
            upgrade: None,
            stopping: false,
        };
        keeper.watch(TOKEN_SIGNALS)?;
        keeper.adopt_or_start_engine();
        Ok(keeper)
    }

    /// Until it is stopped.
    pub(super) fn run(mut self) -> Result<(), KeeperError> {
        // Whatever exited before the signals were watched.
        self.reap();
        let mut events = [MaybeUninit::<Event>::uninit(); 64];
        loop {
            if self.stopping && self.parts.engine.is_none() {
                self.leave();
                return Ok(());
            }
            self.upgrade_if_idle();
            let timeout = self.timeout();
            let ready = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                ready => ready.named(|| "epoll_wait()".into())?.0,
            };
            for event in ready.iter() {
                match event.data.u64() {
                    TOKEN_SIGNALS => self.on_signals(),
                    TOKEN_ENGINE => self.on_engine(event.flags),
                    token => self.on_report(token),
                }
            }
            if self.restarts.wait(Instant::now()) == Some(Duration::ZERO) && !self.stopping {
                self.start_engine();
            }
        }
    }

    fn timeout(&self) -> Option<rustix::event::Timespec> {
        let wait = self.restarts.wait(Instant::now()).filter(|_| !self.stopping)?;
        // Rounded up: a timeout of less than a millisecond would spin.
        let wait = wait + Duration::from_millis(1);
        rustix::event::Timespec::try_from(wait).ok()
    }

    fn watch(&self, token: u64) -> Result<()> {
        let fd = match token {
            TOKEN_SIGNALS => self.signals.as_fd(),
            TOKEN_ENGINE => match &self.parts.engine {
                Some(engine) => engine.link.as_fd(),
                None => return Ok(()),
            },
            token => self.pending[&token].report.as_fd(),
        };
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)
            .named(|| format!("epoll_ctl(ADD, {token})"))
    }

    fn on_signals(&mut self) {
        while let Some(received) = self.signals.next() {
            match received.signal {
                SIGCHLD => self.reap(),
                SIGTERM | SIGINT => {
                    self.stopping = true;
                    self.forward(SIGTERM);
                }
                signal => self.forward(signal),
            }
        }
    }

    fn forward(&self, signal: i32) {
        if let Some(engine) = &self.parts.engine {
            _ = signals::kill(engine.pid, signal);
        }
    }

    /// The last of it.
    fn leave(&self) {
        _ = rustix::fs::unlinkat(&self.parts.exits, "../keeper.pid", rustix::fs::AtFlags::empty());
    }
}
