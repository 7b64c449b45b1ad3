//! What a container's task tells: the view for readers, the life for waiters, answers for clients, events.

use std::collections::BTreeMap;
use std::sync::Arc;

use hull_launch::spec::{MountKind, Readonly};
use hull_types::{Fault, Kind};

use super::step::{Goal, Input, Notice, Phase};
use super::task::Task;
use super::{Life, View};
use crate::error::Error;

impl Task {
    /// Lets readers and waiters see how it is now.
    pub(super) fn publish(&self) {
        self.container.publish(Arc::new(View::new(Arc::clone(&self.definition), self.state.clone())));
        let phase = self.state.phase;
        self.container.life.send_if_modified(|life| {
            let now = Life {
                running: phase.is_live() && phase != Phase::Starting,
                exits: self.exits,
                code: self.state.exit_code,
                error: self.state.error.clone(),
                removed: phase == Phase::Gone,
            };
            let changed = (life.running, life.exits, life.removed) != (now.running, now.exits, now.removed);
            *life = now;
            changed
        });
    }

    /// Answers the clients whose goal is reached, or can no longer be.
    pub(super) fn settle(&mut self, input: Input) {
        let unwritten = self.unwritten.take();
        if self.parked.is_empty() {
            return;
        }
        let undone = if matches!(input, Input::Exited { .. }) { self.undoing.take() } else { None };
        let failed_start = matches!(input, Input::LaunchFailed { .. });
        let failed_removal = matches!(input, Input::NotDestroyed { .. });
        let phase = self.state.phase;
        for (goal, reply) in std::mem::take(&mut self.parked) {
            let outcome = match goal {
                Goal::Started | Goal::Restarted if failed_start => Some(Err(self.trouble())),
                Goal::Started | Goal::Restarted if undone.is_some() => Some(undone.clone().map_or(Ok(()), Err)),
                Goal::Started | Goal::Restarted if self.undoing.is_some() => None,
                Goal::Started if input == Input::Launched => Some(Ok(())),
                Goal::Restarted if input == Input::Launched => {
                    self.core.announce(&self.definition, "restart", &[]);
                    Some(Ok(()))
                }
                Goal::Started | Goal::Restarted if matches!(phase, Phase::Removing | Phase::Gone) => {
                    Some(Err(Error::Removed.into()))
                }
                Goal::Started | Goal::Restarted => None,
                Goal::Stopped if phase.is_live() && !matches!(input, Input::Exited { .. }) => None,
                Goal::Stopped => Some(unwritten.clone().map_or(Ok(()), Err)),
                Goal::Removed if failed_removal => Some(Err(self.trouble())),
                Goal::Removed => (phase == Phase::Gone).then_some(Ok(())),
            };
            match outcome {
                Some(outcome) => drop(reply.send(outcome)),
                None => self.parked.push((goal, reply)),
            }
        }
    }

    fn trouble(&self) -> Fault {
        self.trouble.clone().unwrap_or_else(|| Fault::new(Kind::Internal, "the operation failed"))
    }

    pub(super) fn announce(&self, notice: Notice) {
        // ORDER: whoever hears of it and looks at once finds it so.
        self.publish();
        if notice == Notice::Start {
            self.announce_volumes("mount");
            self.announce_networks("connect");
        }
        let (action, more) = match notice {
            Notice::Start => ("start", vec![]),
            Notice::Die => {
                let ran = self.state.finished.nanos().saturating_sub(self.state.started.nanos()).max(0);
                let more = vec![
                    ("exitCode", self.state.exit_code.to_string()),
                    ("execDuration", (ran / 1_000_000_000).to_string()),
                ];
                ("die", more)
            }
            Notice::Stop => ("stop", vec![]),
            Notice::Pause => ("pause", vec![]),
            Notice::Unpause => ("unpause", vec![]),
            Notice::Destroy => ("destroy", vec![]),
        };
        self.core.announce(&self.definition, action, &more);
        if notice == Notice::Die {
            self.announce_networks("disconnect");
            self.announce_volumes("unmount");
        }
    }

    /// COMPAT(docker 28): each volume at each start and end.
    fn announce_volumes(&self, action: &str) {
        for wish in &self.definition.spec.mounts {
            let MountKind::Volume { name, readonly, .. } = &wish.kind else { continue };
            let mut more = BTreeMap::from([("container".to_owned(), self.definition.id.to_string())]);
            if action == "mount" {
                more.insert("destination".to_owned(), wish.target.to_string_lossy().into_owned());
                more.insert("propagation".to_owned(), String::new());
                more.insert("read/write".to_owned(), (*readonly == Readonly::No).to_string());
            }
            self.core.events.volume(action, name, more);
        }
    }

    /// COMPAT(docker 28): before the start, and after the end.
    fn announce_networks(&self, action: &str) {
        for wish in &self.definition.network.endpoints {
            self.core.events.network(action, &wish.network, &wish.name, Some(self.definition.id.as_str()));
        }
    }
}
