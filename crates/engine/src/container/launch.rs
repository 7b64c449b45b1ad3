//! Starting: streams, preparation, the keeper, and what follows a launch that failed.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use hull_launch::keeper::Failure;
use hull_types::{Fault, Kind, Timestamp};

use super::Live;
use super::record::State;
use super::run::{self, Ends, Split};
use super::step::{Input, Phase};
use super::task::Task;
use crate::core::blocking;
use crate::janitor::Job;
use crate::keeper::LaunchError;
use crate::networks::links;
use crate::networks::names::{Held, Who};
use crate::prepare::{self, StartInput};
use crate::story::Attempt;

impl Task {
    /// Prepares and launches; the outcome as an input.
    pub(super) async fn launch(&mut self) -> Input {
        if let Some(sweeping) = self.sweeping.take() {
            let _ = sweeping.await;
        }
        self.trouble = None;
        let _files = Arc::clone(&self.container.files).lock_owned().await;
        let mut attempt = Attempt::default();
        let launched = self.try_launch(&mut attempt).await;
        self.core.stories.keep(&self.container.view(), attempt, launched.as_ref().err());
        match launched {
            Ok(()) => {
                self.core.janitor.ask(Job::Refill);
                Input::Launched
            }
            Err(fault) => self.launch_failed(fault),
        }
    }

    async fn try_launch(&mut self, attempt: &mut Attempt) -> Result<(), Fault> {
        attempt.laps.next("open its streams");
        let definition = self.definition.clone();
        let config = &definition.config;
        let size = *self.container.terminal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (ends, io) = run::open(config.tty, config.open_stdin, size)?;
        let core = self.core.clone();
        let linked = links::apply(&core, &definition)?;
        let spec = linked.as_ref().unwrap_or(&definition.spec);
        attempt.laps.next("lease its addresses and ports");
        self.lease()?;
        let prepare = || {
            prepare::start(
                &core.parts,
                StartInput {
                    id: &definition.id,
                    name: definition.name.as_str(),
                    spec,
                    rootfs: prepare::Rootfs {
                        base: definition.base.clone().into(),
                        slot: definition.id.to_string(),
                        ephemeral: definition.ephemeral(),
                    },
                    io,
                    endpoints: &self.state.given.endpoints,
                    gateway: &core.networks.host_gateway(),
                    ready: &|| core.networks.ready(definition.id),
                    wire: &|netns| core.networks.wire(definition.id, netns),
                    laps: &mut attempt.laps,
                    peers: &*core,
                    userns: &|maps| core.userns(maps),
                },
            )
        };
        // Told that work may block, the runtime wakes a thread to do the others' meanwhile. That costs more
        // than a preparation that takes its parts from the pools.
        let mut prepared = if definition.spec.is_brief() && core.networks.is_ready(definition.id) {
            prepare()
        } else {
            blocking(prepare)
        }?;
        attempt.laps.next("gather what the keeper shall hold");
        for warning in &prepared.warnings {
            tracing::warn!(container = %definition.name, "{warning}");
        }
        let mut hold = ends.hold(&mut prepared)?;
        for (name, fd) in core.networks.name_sockets(definition.id) {
            hold.push((name.to_owned(), prepared.push(fd)));
        }
        attempt.laps.next("hand the plan and its descriptors to the keeper");
        let launched = core.keeper.launch(prepared.plan, &prepared.fds, hold).await;
        // ORDER: the child's ends close here, or the log would never see their end.
        drop(prepared.fds);
        let launched = launched.map_err(|(error, plan)| match error {
            LaunchError::Step(failure, times) => {
                let fault = explain(&plan, &failure);
                attempt.stopped(&plan, times);
                fault
            }
            LaunchError::Keeper(error) => error.into(),
        })?;
        attempt.launched(&launched.plan, &launched.times);
        for failure in &launched.warnings {
            tracing::warn!(container = %definition.name, call = %failure.call, errno = failure.errno, "not applied");
        }
        self.keep_mounts(launched.pid);
        let split = match ends.split(launched.master) {
            Ok(split) => split,
            Err(error) => {
                self.give_up(launched.pid, &launched.pidfd);
                return Err(error.into());
            }
        };
        if let Err(fault) = self.take_run(Some((launched.pid, launched.pidfd)), split) {
            if let Some(live) = self.container.live() {
                self.give_up(live.pid, &live.pidfd);
                self.container.set_live(None);
            }
            return Err(fault);
        }
        self.began();
        links::follow(&core, &definition, &self.state.given.endpoints);
        Ok(())
    }

    /// Addresses and ports of a container with networks.
    fn lease(&mut self) -> Result<(), Fault> {
        self.core.networks.share(&Who::of(&self.definition));
        if self.definition.network.endpoints.is_empty() {
            return Ok(());
        }
        self.state.given = self.core.networks.lease(&Who::of(&self.definition), &self.definition.network)?;
        // ORDER: written before the kernel has any of it, so that an engine that is killed finds them again. The
        // phase stays what it was: that it starts is nothing to remember.
        let phase = self.container.view().state.phase;
        Ok(self.core.note_state(&self.definition, &State { phase, ..self.state.clone() })?)
    }

    /// Gives back what [`Task::lease`] took.
    pub(super) fn release(&mut self) {
        self.core.networks.release(self.definition.id);
        self.state.given = crate::networks::Given::default();
    }

    /// Holds the run's mount namespace until its exit is told: the kernel would take all mounts down inside that
    /// exit, before anyone hears of it. Not with mounts of the user's, whose owner may wait for them to be gone.
    fn keep_mounts(&mut self, pid: i32) {
        let pid = rustix::process::Pid::from_raw(pid).filter(|_| self.definition.spec.mounts.is_empty());
        // If the process is gone already, so are its mounts.
        self.mounts = pid.and_then(|pid| hull_sys::namespace::of(pid, "mnt").ok());
    }

    /// Gives the log its sources, and clients the process.
    fn take_run(&mut self, process: Option<(i32, OwnedFd)>, split: Split) -> Result<(), Fault> {
        if let Some((pid, pidfd)) = process {
            self.state.pid = pid;
            let live = Live { pid, pidfd, stdin: Mutex::new(split.stdin), master: split.master };
            self.container.set_live(Some(Arc::new(live)));
        }
        if let Some(sources) = split.sources {
            crate::logging::follow(&self.core, &self.container, &self.definition);
            self.log = Some(self.core.collector.begin(&self.container.spool, sources)?);
        }
        Ok(())
    }

    /// It runs, but cannot be taken care of: nobody is told of it, so it must not go on.
    fn give_up(&mut self, pid: i32, pidfd: &OwnedFd) {
        self.given_up = pid;
        if let Err(error) = hull_sys::pidfd::send_signal(pidfd, hull_types::Signal::KILL.number()) {
            tracing::error!(container = %self.definition.name, %error, "a start that failed could not be ended");
        }
        self.core.keeper.drop_held(self.definition.id.as_str(), None);
    }

    /// A run that an earlier engine began; without a process, only what it wrote last is taken.
    pub(crate) fn adopt(&mut self, process: Option<(i32, OwnedFd)>, mut held: HashMap<String, OwnedFd>) {
        let names = Held::take(&mut held, process.as_ref().map_or(0, |(pid, _)| *pid));
        let split = match Ends::from_held(held) {
            Some((ends, master)) => ends.split(master).map_err(Fault::from),
            None => Ok(Split::default()),
        };
        let lost = split.as_ref().is_ok_and(|s| s.sources.is_none()) && process.is_some();
        if lost {
            tracing::error!(container = %self.definition.name, "its output is lost: the keeper has no pipes of it");
        }
        if let Some((pid, _)) = process
            && self.state.pid != pid
        {
            // It was launched, and the engine was killed before that was saved.
            self.state.pid = pid;
            self.began();
        }
        if let Err(fault) = split.and_then(|split| self.take_run(process, split)) {
            tracing::error!(container = %self.definition.name, cause = %fault, "not wholly taken over");
        }
        if self.container.live().is_some() {
            self.core.networks.adopt(&Who::of(&self.definition), &self.state.given, names);
            // COMPAT(docker 28): a container that is found running is checked as if it had just been started.
            self.follow_with_checks(self.state.phase == Phase::Running);
        }
        // ORDER: without a process the end is still to be accounted for, and its record to be kept.
        if self.container.live().is_some() {
            // It is logged; nobody waits for it.
            let _ = self.save();
        }
        self.publish();
    }

    fn began(&mut self) {
        let state = &mut self.state;
        state.boot.clone_from(&self.core.facts.boot);
        state.started = Timestamp::now();
        state.finished = Timestamp::NEVER;
        state.exit_code = 0;
        state.error.clear();
        state.oom_killed = false;
        state.ever_started = true;
        self.sent = None;
        if self.last_delay.is_some() {
            state.restarts += 1;
        }
    }

    fn launch_failed(&mut self, fault: Fault) -> Input {
        self.state.exit_code = match fault.kind {
            Kind::CommandNotFound => 127,
            Kind::NotExecutable => 126,
            _ => 128,
        };
        self.state.error = fault.to_string();
        self.state.pid = 0;
        self.release();
        self.state.boot.clone_from(&self.core.facts.boot);
        self.exits += 1;
        self.trouble = Some(fault);
        self.sweep_cgroup();
        crate::volumes::release(&self.core, &self.definition.spec, Some(self.definition.id));
        Input::LaunchFailed { auto_remove: self.definition.ephemeral(), started_before: self.state.ever_started }
    }
}

/// A failed step in the user's words.
pub(crate) fn explain(plan: &hull_launch::plan::LaunchPlan, failure: &Failure) -> Fault {
    hull_launch::compile::explain_failure(plan, failure)
}
