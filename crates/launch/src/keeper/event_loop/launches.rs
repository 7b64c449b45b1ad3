//! Launches under way, and the exits of what was launched.

use hull_sys::{Error, fds, process};
use rustix::event::epoll;
use rustix::io::Errno;

use super::{Keeper, log};
use crate::keeper::launching::{Pending, Progress};
use crate::keeper::state::LiveChild;
use crate::keeper::{ExitRecord, Reply, TERMINAL, Times, exits};
use crate::plan::STEP_CLONE;

impl Keeper {
    pub(super) fn begin(&mut self, pending: Pending) {
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

    pub(super) fn on_report(&mut self, token: u64) {
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
            Progress::Launched(times) => self.launched(pending, times),
            Progress::Failed(failure, times) => {
                _ = hull_sys::pidfd::send_signal(&pending.pidfd, 9);
                if pending.generation == self.generation {
                    self.reply(&Reply::Failed { seq: pending.seq, failure, times }, Vec::new());
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

    pub(super) fn launched(&mut self, pending: Pending, times: Times) {
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
            self.reply(&Reply::Launched { seq, pid, terminal: has_terminal, times }, sent);
        } else if wanted {
            _ = hull_sys::pidfd::send_signal(&pidfd, 9);
            self.fail(seq, STEP_CLONE, Error::new("dup(pidfd)", Errno::MFILE));
        }
        self.parts.children.insert(pid, LiveChild { key, pidfd });
        if let Some(status) = status {
            self.exited(pid, status);
        }
    }

    pub(super) fn reap(&mut self) {
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
    pub(super) fn exited_early(&mut self, pid: i32, status: i32) {
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

    pub(super) fn exited(&mut self, pid: i32, status: i32) {
        let Some(child) = self.parts.children.remove(&pid) else { return };
        let record = ExitRecord { key: child.key, pid, status, at_ns: exits::now_ns() };
        // An older one has been accounted for, or nobody ever will.
        self.unwritten.retain(|older| older.key != record.key);
        // ORDER: written before anyone is told.
        if let Err(error) = exits::write(&self.parts.exits, &record) {
            log(&error);
            self.unwritten.push(record.clone());
        }
        self.reply(&Reply::Exited(record), Vec::new());
    }

    /// Exit records that could not be written, for an engine that was not there to be told.
    pub(super) fn write_again(&mut self) {
        let (exits, live) = (&self.parts.exits, &self.parts.children);
        let runs_again = |record: &ExitRecord| live.values().any(|child| child.key == record.key);
        self.unwritten.retain(|record| !runs_again(record) && exits::write(exits, record).is_err());
    }
}
