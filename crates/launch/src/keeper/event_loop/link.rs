//! The engine as the loop sees it: its start and end, and the link.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use hull_sys::{Error, process, signals};
use rustix::event::epoll::{self, EventData, EventFlags};

use super::{Keeper, SIGTERM, TOKEN_ENGINE, log};
use crate::keeper::engine;
use crate::keeper::frame::{Descriptors, FrameError, Incoming};
use crate::keeper::outbox::Outbox;
use crate::keeper::{Failure, Reply, Seq, Times};

impl Keeper {
    pub(super) fn adopt_or_start_engine(&mut self) {
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

    pub(super) fn start_engine(&mut self) {
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
    pub(super) fn disconnect(&mut self) {
        self.incoming = Incoming::default();
        self.outbox = Outbox::default();
        self.blocked = false;
        self.lists.clear();
        self.upgrade = None;
        if let Some(engine) = &self.parts.engine {
            _ = epoll::delete(&self.epoll, &engine.link);
            _ = signals::kill(engine.pid, SIGTERM);
        }
    }

    pub(super) fn engine_died(&mut self, status: i32) {
        // ORDER: its last words (a `Hold`, a `Shutdown`) may still be in the socket.
        _ = self.read_requests();
        self.disconnect();
        self.parts.engine = None;
        self.restarts.died(Instant::now());
        if !self.stopping {
            log(&format!("the engine ended with status {}", process::exit_code(status)));
        }
    }

    pub(super) fn on_engine(&mut self, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush();
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        if let Err(error) = self.read_requests() {
            if !matches!(error, FrameError::Closed) {
                log(&error);
            }
            self.disconnect();
        }
    }

    pub(super) fn read_requests(&mut self) -> Result<(), FrameError> {
        loop {
            while let Some((request, fds)) = self.incoming.take()? {
                match fds {
                    Descriptors::All(fds) => self.serve(request, fds),
                    Descriptors::Lost => self.serve_without(request),
                }
            }
            let Some(engine) = &self.parts.engine else { return Ok(()) };
            if !self.incoming.fill(engine.link.as_fd())? {
                return Ok(());
            }
        }
    }

    pub(super) fn reply(&mut self, reply: &Reply, fds: Vec<OwnedFd>) {
        if self.parts.engine.is_some() {
            self.outbox.push(reply, fds);
            self.flush();
        }
    }

    pub(super) fn fail(&mut self, seq: Seq, step: u32, error: Error) {
        let (errno, call) = (error.errno.raw_os_error(), error.call);
        let failure = Failure { step, errno, call, file: None };
        self.reply(&Reply::Failed { seq, failure, times: Times::default() }, Vec::new());
    }

    pub(super) fn flush(&mut self) {
        let Some(engine) = &self.parts.engine else { return };
        let blocked = match self.outbox.flush(engine.link.as_fd()) {
            Ok(sent) => !sent,
            // The engine is gone: its exit, or the end of the link, says so.
            Err(_) => {
                self.outbox = Outbox::default();
                false
            }
        };
        if blocked != self.blocked {
            self.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = EventData::new_u64(TOKEN_ENGINE);
            _ = epoll::modify(&self.epoll, &engine.link, data, flags);
        }
    }
}
