//! The loop: requests of the engine, reports of children, signals, and the engine's restart.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_sys::{Error, Named, Result, caps, fds, memfd, process, signals};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::engine::{self, Restarts};
use super::frame::Incoming;
use super::launching::{self, Launcher, Pending, Progress};
use super::outbox::Outbox;
use super::state::{LiveChild, Parts};
use super::{
    Child, ExitRecord, Failure, HeldName, KeeperArgs, KeeperError, Reply, Request, Seq, TERMINAL,
    exits, place,
};
use crate::plan::STEP_CLONE;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;

/// epoll's names for what is watched; launches follow.
const TOKEN_SIGNALS: u64 = 0;
const TOKEN_ENGINE: u64 = 1;
const TOKEN_FIRST_LAUNCH: u64 = 2;

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
    pending: BTreeMap<u64, Pending>,
    next_token: u64,
    /// Exits of processes not known (yet): a reborn child may exit before its name arrives.
    unclaimed: BTreeMap<i32, i32>,
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
            pending: BTreeMap::new(),
            next_token: TOKEN_FIRST_LAUNCH,
            unclaimed: BTreeMap::new(),
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

    // --- the engine ---------------------------------------------------------------------------

    fn adopt_or_start_engine(&mut self) {
        if self.parts.engine.is_none() {
            return self.start_engine();
        }
        self.generation += 1;
        self.restarts.started(Instant::now());
        if let Err(error) = self.watch(TOKEN_ENGINE) {
            log(&error);
        }
        if let Some(seq) = self.parts.upgrade.take() {
            self.reply(&Reply::Upgraded { seq }, Vec::new());
        }
    }

    fn start_engine(&mut self) {
        self.restarts.started(Instant::now());
        self.generation += 1;
        match engine::start(&self.parts, &self.args.engine) {
            Ok(engine) => {
                self.parts.engine = Some(engine);
                if let Err(error) = self.watch(TOKEN_ENGINE) {
                    log(&error);
                }
            }
            Err(error) => {
                log(&error);
                self.restarts.died(Instant::now());
            }
        }
    }

    /// The link ended or broke. The engine, if it still lives, is of no use without it.
    fn disconnect(&mut self) {
        self.incoming = Incoming::default();
        self.outbox = Outbox::default();
        self.lists.clear();
        self.upgrade = None;
        if let Some(engine) = &self.parts.engine {
            _ = epoll::delete(&self.epoll, &engine.link);
            _ = signals::kill(engine.pid, SIGTERM);
        }
    }

    fn engine_died(&mut self, status: i32) {
        // ORDER: its last words (a `Hold`, a `Shutdown`) may still be in the socket.
        _ = self.read_requests();
        self.disconnect();
        self.parts.engine = None;
        self.restarts.died(Instant::now());
        if !self.stopping {
            log(&format!("the engine ended with status {}", process::exit_code(status)));
        }
    }

    fn on_engine(&mut self, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush();
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        if let Err(error) = self.read_requests() {
            if !matches!(error, super::frame::FrameError::Closed) {
                log(&error);
            }
            self.disconnect();
        }
    }

    fn read_requests(&mut self) -> Result<(), super::frame::FrameError> {
        loop {
            while let Some((request, fds)) = self.incoming.take()? {
                self.serve(request, fds);
            }
            let Some(engine) = &self.parts.engine else { return Ok(()) };
            if !self.incoming.fill(engine.link.as_fd())? {
                return Ok(());
            }
        }
    }

    fn reply(&mut self, reply: &Reply, fds: Vec<OwnedFd>) {
        if self.parts.engine.is_some() {
            self.outbox.push(reply, fds);
            self.flush();
        }
    }

    fn fail(&mut self, seq: Seq, step: u32, error: Error) {
        let (errno, call) = (error.errno.raw_os_error(), error.call);
        let failure = Failure { step, errno, call, file: None };
        self.reply(&Reply::Failed { seq, failure }, Vec::new());
    }

    fn flush(&mut self) {
        let Some(engine) = &self.parts.engine else { return };
        let flags = match self.outbox.flush(engine.link.as_fd()) {
            Ok(true) => EventFlags::IN,
            Ok(false) => EventFlags::IN | EventFlags::OUT,
            // The engine is gone: its exit, or the end of the link, says so.
            Err(_) => {
                self.outbox = Outbox::default();
                EventFlags::IN
            }
        };
        let data = EventData::new_u64(TOKEN_ENGINE);
        _ = epoll::modify(&self.epoll, &engine.link, data, flags);
    }

    // --- requests -----------------------------------------------------------------------------

    fn serve(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Launch { seq, plan, hold } => {
                let launched = self.check(&plan.key, &hold, fds.len()).and_then(|()| {
                    self.launcher.launch(seq, self.generation, plan, hold, fds)
                });
                match launched {
                    Ok(pending) => self.begin(pending),
                    Err(error) => self.fail(seq, STEP_CLONE, error),
                }
            }
            Request::Userns { seq, maps } => {
                let (uids, gids) = launching::map_lines(&maps);
                match hull_sys::namespace::new_user(&uids, &gids) {
                    Ok(userns) => self.reply(&Reply::Userns { seq }, vec![userns]),
                    Err(error) => self.fail(seq, STEP_CLONE, error),
                }
            }
            Request::Hold { key, name } => {
                if let Some(fd) = fds.into_iter().next() {
                    self.parts.held.insert((key, name), fd);
                }
            }
            Request::Drop { key, name } => match name {
                Some(name) => _ = self.parts.held.remove(&(key, name)),
                None => self.parts.held.retain(|(owner, _), _| *owner != key),
            },
            Request::List { seq } => {
                self.lists.push(seq);
                self.answer_lists();
            }
            Request::Upgrade { seq } => match fds.into_iter().next() {
                Some(program) => self.upgrade = Some((seq, program)),
                None => self.fail(seq, STEP_CLONE, Error::new("upgrade", Errno::BADF)),
            },
            Request::Shutdown => self.stopping = true,
        }
    }

    fn check(&self, key: &str, hold: &[(String, crate::plan::Slot)], fds: usize) -> Result<()> {
        let refuse = |what: String, errno| Err(Error::new(what, errno));
        if !exits::is_valid_key(key) {
            return refuse(format!("launch with the key {key:?}"), Errno::INVAL);
        }
        let live = self.parts.children.values().any(|child| child.key == key);
        if live || self.pending.values().any(|pending| pending.key == key) {
            return refuse(format!("launch of {key:?}, which runs"), Errno::EXIST);
        }
        let mut slots: Vec<_> = hold.iter().map(|(_, slot)| usize::from(slot.0)).collect();
        slots.sort_unstable();
        let twice = slots.windows(2).any(|pair| pair[0] == pair[1]);
        if twice || slots.last().is_some_and(|last| *last >= fds) {
            return refuse(format!("hold of slots {slots:?} of {fds}"), Errno::BADF);
        }
        Ok(())
    }

    /// Answers once no launch of a former engine is under way: it would be in no list otherwise.
    fn answer_lists(&mut self) {
        if self.pending.values().any(|pending| pending.generation != self.generation) {
            return;
        }
        for seq in std::mem::take(&mut self.lists) {
            match self.listing(seq) {
                Ok((reply, fds)) => self.reply(&reply, fds),
                Err(error) => self.fail(seq, STEP_CLONE, error),
            }
        }
    }

    fn listing(&self, seq: Seq) -> Result<(Reply, Vec<OwnedFd>)> {
        let (mut children, mut held, mut list) = (Vec::new(), Vec::new(), Vec::new());
        for (pid, child) in &self.parts.children {
            children.push(Child { key: child.key.clone(), pid: *pid });
            list.push(fds::duplicate(&child.pidfd)?);
        }
        for ((key, name), fd) in &self.parts.held {
            held.push(HeldName { key: key.clone(), name: name.clone() });
            list.push(fds::duplicate(fd)?);
        }
        Ok((Reply::Listing { seq, children, held }, list))
    }

    /// Replaces the program when nothing is half done.
    fn upgrade_if_idle(&mut self) {
        let idle = self.pending.is_empty() && self.outbox.is_empty() && self.incoming.is_empty();
        if !idle {
            return;
        }
        let Some((seq, program)) = self.upgrade.take() else { return };
        self.parts.upgrade = Some(seq);
        let attempt = || -> Result<Error> {
            let program = memfd::sealed_copy("hull", std::fs::File::from(program))?;
            let state = self.parts.save()?;
            Ok(place::exec(&program, &state))
        };
        // Only a failure comes back; everything is as it was, but for the close-on-exec flags.
        let error = attempt().unwrap_or_else(|error| error);
        _ = fds::close_on_exec_from(3);
        self.parts.upgrade = None;
        self.fail(seq, STEP_CLONE, error);
    }

    // --- launches -----------------------------------------------------------------------------

    fn begin(&mut self, pending: Pending) {
        let token = self.next_token;
        self.next_token += 1;
        self.pending.insert(token, pending);
        if let Err(error) = self.watch(token) {
            // Without watching it, its end would never be seen.
            if let Some(pending) = self.pending.remove(&token) {
                _ = hull_sys::pidfd::send_signal(&pending.pidfd, 9);
                self.fail(pending.seq, STEP_CLONE, error);
            }
            return;
        }
        self.pending[&token].go();
    }

    fn on_report(&mut self, token: u64) {
        let Some(mut pending) = self.pending.remove(&token) else { return };
        let pid = pending.pid;
        for failure in pending.read() {
            if pending.generation == self.generation {
                self.reply(&Reply::Warned { seq: pending.seq, failure }, Vec::new());
            }
        }
        if pending.pid != pid {
            pending.status = self.unclaimed.remove(&pending.pid);
        }
        if pending.ended {
            // It would be reported as ended again and again until its status comes.
            _ = epoll::delete(&self.epoll, &pending.report);
        }
        match self.launcher.progress(&mut pending) {
            Progress::Going => _ = self.pending.insert(token, pending),
            Progress::Launched => self.launched(pending),
            Progress::Failed(failure) => {
                _ = hull_sys::pidfd::send_signal(&pending.pidfd, 9);
                if pending.generation == self.generation {
                    self.reply(&Reply::Failed { seq: pending.seq, failure }, Vec::new());
                }
            }
        }
        if self.pending.is_empty() {
            self.unclaimed.clear();
        }
        if !self.lists.is_empty() {
            self.answer_lists();
        }
    }

    fn launched(&mut self, pending: Pending) {
        let Pending { seq, generation, key, pid, pidfd, hold, terminal, status, .. } = pending;
        for (name, fd) in hold {
            self.parts.held.insert((key.clone(), name), fd);
        }
        let mut sent = Vec::new();
        let has_terminal = terminal.is_some();
        let wanted = generation == self.generation;
        if wanted {
            sent.extend(fds::duplicate(&pidfd));
        }
        if let Some(master) = terminal {
            if wanted {
                sent.extend(fds::duplicate(&master));
            }
            self.parts.held.insert((key.clone(), TERMINAL.to_owned()), master);
        }
        // With too few descriptors the engine could not follow the process.
        if wanted && sent.len() == 1 + usize::from(has_terminal) {
            self.reply(&Reply::Launched { seq, pid, terminal: has_terminal }, sent);
        } else if wanted {
            _ = hull_sys::pidfd::send_signal(&pidfd, 9);
            self.fail(seq, STEP_CLONE, Error::new("dup(pidfd)", Errno::MFILE));
        }
        self.parts.children.insert(pid, LiveChild { key, pidfd });
        if let Some(status) = status {
            self.exited(pid, status);
        }
    }

    // --- signals and exits --------------------------------------------------------------------

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

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = process::reap() {
            let pid = pid.as_raw_nonzero().get();
            if self.parts.engine.as_ref().is_some_and(|engine| engine.pid == pid) {
                self.engine_died(status);
            } else if self.parts.children.contains_key(&pid) {
                self.exited(pid, status);
            } else {
                self.exited_early(pid, status);
            }
        }
    }

    /// Not a launched process (yet): a launch under way, a failed one's remains, or an orphan.
    fn exited_early(&mut self, pid: i32, status: i32) {
        // A reborn child's name may be in a report not yet read.
        let tokens: Vec<u64> = self.pending.keys().copied().collect();
        if tokens.is_empty() {
            return;
        }
        if !self.pending.values().any(|pending| pending.pid == pid) {
            self.unclaimed.insert(pid, status);
        }
        for token in tokens {
            if let Some(pending) = self.pending.get_mut(&token) {
                if pending.pid == pid {
                    pending.status = Some(status);
                }
                self.on_report(token);
            }
        }
    }

    fn exited(&mut self, pid: i32, status: i32) {
        let Some(child) = self.parts.children.remove(&pid) else { return };
        let record = ExitRecord { key: child.key, pid, status, at_ns: exits::now_ns() };
        // ORDER: written before anyone is told.
        if let Err(error) = exits::write(&self.parts.exits, &record) {
            log(&error);
        }
        self.reply(&Reply::Exited(record), Vec::new());
    }

    /// The last of it.
    fn leave(&self) {
        _ = rustix::fs::unlinkat(
            &self.parts.exits,
            "../keeper.pid",
            rustix::fs::AtFlags::empty(),
        );
    }
}

/// To the service's log.
fn log(what: &dyn std::fmt::Display) {
    eprintln!("hull keeper: {what}");
}
