//! Requests of the engine.

use std::os::fd::OwnedFd;

use hull_sys::{Error, Result, fds, memfd};
use rustix::io::Errno;

use super::{Keeper, PER_LAUNCH, RESERVE, log};
use crate::keeper::launching;
use crate::keeper::{Child, HeldName, Reply, Request, Seq, exits, place};
use crate::plan::{LaunchPlan, STEP_CLONE, Slot};

impl Keeper {
    pub(super) fn serve(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Launch { seq, plan, hold } => self.launch(seq, plan, hold, fds),
            Request::Userns { seq, maps } => {
                let (uids, gids) = crate::cloning::map_lines(&maps);
                match hull_sys::namespace::new_user(&uids, &gids) {
                    Ok(userns) => self.reply(&Reply::Userns { seq }, vec![userns]),
                    Err(error) => self.fail(seq, STEP_CLONE, error),
                }
            }
            Request::Hold { key, name } => match fds.into_iter().next() {
                Some(fd) if self.has_room() => _ = self.parts.held.insert((key, name), fd),
                Some(_) => log(&format!("{name:?} of {key:?} is not held: too many descriptors")),
                None => {}
            },
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

    /// A request whose descriptors are lost, since this process may open no more.
    pub(super) fn serve_without(&mut self, request: Request) {
        let lost = |what: &str| Error::new(format!("recvmsg(descriptors of {what})"), Errno::MFILE);
        match request {
            Request::Launch { seq, plan, .. } => {
                launching::wipe(*plan);
                self.fail(seq, STEP_CLONE, lost("a launch"));
            }
            Request::Upgrade { seq } => self.fail(seq, STEP_CLONE, lost("an upgrade")),
            Request::Hold { key, name } => log(&format!("{name:?} of {key:?} is not held: too many descriptors")),
            // They bear none.
            other => self.serve(other, Vec::new()),
        }
    }

    pub(super) fn launch(&mut self, seq: Seq, plan: Box<LaunchPlan>, hold: Vec<(String, Slot)>, fds: Vec<OwnedFd>) {
        let launched = match self.check(&plan.key, &hold, fds.len()) {
            Ok(()) => self.launcher.launch(seq, self.generation, plan, hold, fds),
            Err(error) => {
                launching::wipe(*plan);
                Err(error)
            }
        };
        match launched {
            Ok(pending) => self.begin(pending),
            Err(error) => self.fail(seq, STEP_CLONE, error),
        }
    }

    /// Whether another launch or held descriptor leaves enough to receive any message in full.
    pub(super) fn has_room(&self) -> bool {
        let used = self.parts.held.len() + self.parts.children.len() + PER_LAUNCH * self.pending.len();
        let limit = usize::try_from(self.parts.nofile.1).unwrap_or(usize::MAX);
        used + RESERVE <= limit
    }

    pub(super) fn check(&self, key: &str, hold: &[(String, Slot)], fds: usize) -> Result<()> {
        let refuse = |what: String, errno| Err(Error::new(what, errno));
        if !exits::is_valid_key(key) {
            return refuse(format!("launch with the key {key:?}"), Errno::INVAL);
        }
        if !self.has_room() {
            let held = self.parts.held.len();
            return refuse(format!("launch, with {held} descriptors held already"), Errno::MFILE);
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
    pub(super) fn answer_lists(&mut self) {
        if self.pending.values().any(|pending| pending.generation != self.generation) {
            return;
        }
        // ORDER: whoever has the list reads the records next.
        self.write_again();
        for seq in std::mem::take(&mut self.lists) {
            match self.listing(seq) {
                Ok((reply, fds)) => self.reply(&reply, fds),
                Err(error) => self.fail(seq, STEP_CLONE, error),
            }
        }
    }

    pub(super) fn listing(&self, seq: Seq) -> Result<(Reply, Vec<OwnedFd>)> {
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
    pub(super) fn upgrade_if_idle(&mut self) {
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
}
