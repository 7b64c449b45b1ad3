//! Ends and removal: the exit's accounting, the last bytes of the log, and what is taken away.

use std::sync::Arc;
use std::time::Duration;

use hull_launch::keeper::ExitRecord;
use hull_launch::spec::{MountKind, NamespaceWish};
use hull_types::{Fault, Timestamp};
use tokio::sync::oneshot;

use super::death::{Death, Oom};
use super::policy::{self, Run};
use super::record::{Definition, State};
use super::step::Input;
use super::task::Task;
use super::{Ending, View};
use crate::core::blocking;
use crate::janitor::Job;
use crate::why::Coming;

/// What a seccomp filter sends.
const SIGSYS: i32 = 31;

/// docker's code for a run whose end nobody saw.
pub(crate) const UNKNOWN_EXIT: i64 = 255;

impl Task {
    /// The run is over: drains the log, notes how it ended, asks the policy.
    pub(super) fn on_ending(&mut self, ending: Ending) -> Option<Input> {
        if matches!(&ending, Ending::Known(record) if record.pid == self.given_up) {
            self.given_up = 0;
            self.forget_exit();
            return None;
        }
        if !self.state.phase.is_live() || !self.is_this_run(&ending) {
            return None;
        }
        let unseen = matches!(ending, Ending::Unknown { .. });
        if unseen || self.definition.spec.namespaces.pid != NamespaceWish::New {
            self.kill_stragglers();
        }
        self.finish_log();
        self.account(&ending);
        self.container.set_live(None);
        self.core.keeper.drop_held(self.definition.id.as_str(), None);
        self.exits += 1;
        self.release();
        self.sweep_cgroup();
        crate::volumes::release(&self.core, &self.definition.spec, Some(self.definition.id));
        let ran = self.state.finished.nanos().saturating_sub(self.state.started.nanos());
        let run = Run {
            exit_code: self.state.exit_code,
            ran: Duration::from_nanos(u64::try_from(ran).unwrap_or(0)),
            restarts: self.state.restarts,
            manual: self.state.manual,
        };
        let restart = policy::after_exit(&self.definition.host_config.restart_policy, run, self.last_delay);
        Some(Input::Exited { restart, auto_remove: self.definition.ephemeral() })
    }

    /// A report may come twice: from the keeper and from its record.
    fn is_this_run(&self, ending: &Ending) -> bool {
        match ending {
            Ending::Known(record) => record.pid == self.state.pid,
            Ending::Unknown { .. } => true,
        }
    }

    fn account(&mut self, ending: &Ending) {
        let state = &mut self.state;
        let mut death = Death { started: state.started, sent: self.sent.take(), ..Death::default() };
        state.pid = 0;
        match ending {
            Ending::Known(ExitRecord { status, at_ns, pid, .. }) => {
                (death.signal, death.dumped) = hull_sys::process::ended_by(*status).unwrap_or_default();
                death.denied = (death.signal == SIGSYS).then_some(*pid);
                state.exit_code = i64::from(hull_sys::process::exit_code(*status));
                state.finished = Timestamp::from_nanos(*at_ns);
            }
            Ending::Unknown { why, at_ns } => {
                state.exit_code = UNKNOWN_EXIT;
                state.error.clone_from(why);
                death.unseen.clone_from(why);
                state.finished = Timestamp::from_nanos(*at_ns);
            }
        }
        (death.code, death.finished) = (state.exit_code, state.finished);
        // Only an unhappy end can be one by lack of memory; asking costs a file.
        if death.code != 0 {
            death.oom = self.out_of_memory();
        }
        if death.oom.is_some() {
            self.state.oom_killed = true;
            self.core.announce(&self.definition, "oom", &[]);
        }
        let unhappy = death.code != 0 || death.sent.is_some();
        self.state.death = unhappy.then(|| Arc::new(death));
    }

    /// ORDER: asked before the cgroup goes, which takes the counters with it.
    fn out_of_memory(&self) -> Option<Oom> {
        let cgroup = self.core.cgroup(&self.container.view()).ok()?;
        blocking(|| Oom::of(&cgroup))
    }

    /// Without a pid namespace of its own, PID 1's end does not end the others.
    fn kill_stragglers(&self) {
        let killed = self.core.cgroup(&self.container.view()).and_then(|c| Ok(blocking(|| c.kill())?));
        if let Err(error) = killed
            && error.kind != hull_types::Kind::NotFound
        {
            tracing::warn!(container = %self.definition.name, %error, "processes left behind");
        }
    }

    fn finish_log(&mut self) {
        let Some(run) = self.log.take() else { return };
        let spool = &self.container.spool;
        if !self.core.collector.finish(spool, run) {
            blocking(|| spool.finish());
        }
    }

    /// Has the mounts and the cgroup removed behind the answer; the next launch waits for both.
    pub(super) fn sweep_cgroup(&mut self) {
        let (done, sweeping) = oneshot::channel();
        self.sweeping = Some(sweeping);
        if let Some(mounts) = self.mounts.take() {
            // ORDER: before the cgroup, whose end says that both are gone.
            self.core.janitor.ask(Job::Mounts(mounts));
        }
        self.core.janitor.ask(Job::Cgroup {
            parent: self.core.cgroup_parent(&self.definition.spec),
            id: self.definition.id.to_string(),
            done,
        });
    }

    /// The exit is in the records now.
    pub(super) fn forget_exit(&self) {
        // ORDER: done at once, since a file that is removed later could be that of the next run.
        let path = self.core.exit_record(self.definition.id.as_str());
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "exit record not removed");
        }
    }

    /// Removes the record, then everything that only the record kept alive.
    pub(super) async fn destroy(&mut self) -> Input {
        // ORDER: when the record is gone, recovery sweeps whatever is left, so a crash here leaks nothing.
        let id = self.definition.id;
        let with_volumes = self.remove_volumes || self.definition.ephemeral();
        // ORDER: recovery takes them for left behind when the record is gone.
        if !with_volumes && let Err(error) = self.keep_anonymous_volumes() {
            self.trouble = Some(error.into());
            return Input::NotDestroyed { started_before: self.state.ever_started };
        }
        // ORDER: before its log is closed. What was published is older than the end of a run that takes it along.
        let view = View::new(Arc::clone(&self.definition), self.state.clone());
        let coming = crate::why::remember(&self.core, &self.container, &view);
        let delete = |coming: Option<&Coming>| {
            self.core.write(&self.definition, |tx| {
                tx.delete::<Definition>(id.as_str())?;
                tx.delete::<State>(id.as_str())?;
                coming.map_or(Ok(()), |coming| coming.write(tx))
            })
        };
        // A full disk lets a row go, and takes no other.
        if let Err(error) = delete(coming.as_ref()).or_else(|_| delete(None)) {
            let name = &self.definition.name;
            self.trouble = Some(Fault::internal(format!("cannot remove container `{name}`")).cause(error));
            return Input::NotDestroyed { started_before: self.state.ever_started };
        }
        coming.into_iter().for_each(|coming| self.core.remembered.add(coming));
        if with_volumes {
            self.remove_anonymous_volumes();
        }
        self.forget_exit();
        self.core.janitor.ask(Job::Slot(id.to_string()));
        self.core.janitor.ask(Job::Directory(self.core.container_dir(&id)));
        Input::Destroyed
    }

    fn anonymous_volumes(&self) -> impl Iterator<Item = &str> {
        self.definition.spec.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume { name, anonymous: true, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    fn keep_anonymous_volumes(&self) -> Result<(), hull_volume::Error> {
        self.anonymous_volumes().try_for_each(|name| self.core.parts.volumes.keep(name))
    }

    fn remove_anonymous_volumes(&self) {
        for name in self.anonymous_volumes().filter(|name| !self.used_by_others(name)) {
            match self.core.parts.volumes.remove(name) {
                Ok(()) => self.core.events.volume("destroy", name, Default::default()),
                Err(error) => tracing::warn!(volume = %name, %error, "anonymous volume not removed"),
            }
        }
    }

    /// `--volumes-from` gives an anonymous volume to more than one container.
    fn used_by_others(&self, volume: &str) -> bool {
        let others = self.core.registry.all();
        let mut others = others.iter().filter(|other| other.id != self.definition.id);
        others.any(|other| other.view().definition.spec.mounts_volume(volume))
    }

    pub(super) fn forget(&self) {
        self.core.registry.remove(&self.definition.id, &self.definition.name);
        self.core.execs.forget_container(&self.definition.id);
        self.container.spool.close();
    }
}
