//! What is kept of a container: its definition, which rarely changes, and its state.
//!
//! Two rows, so that a start writes a few hundred bytes and not the whole definition.

use std::sync::Arc;

use hull_launch::spec::Spec;
use hull_records::Record;
use hull_types::{ContainerId, Name, Timestamp};
use hull_wire as wire;
use serde::{Deserialize, Serialize};

use super::death::Death;
use super::health::Health;
use super::step::Phase;
use crate::networks::{Given, Plan};

/// What a container was created as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub id: ContainerId,
    pub name: Name,
    pub created: Timestamp,
    /// The image's id.
    pub image: String,
    /// `amd64`, …
    pub architecture: String,
    /// What its root file system stands on.
    pub base: Base,
    pub config: wire::ContainerConfig,
    pub host_config: wire::HostConfig,
    /// The networks it joins and the ports it publishes.
    #[serde(default)]
    pub network: Plan,
    pub spec: Arc<Spec>,
}

impl Record for Definition {
    const TABLE: &'static str = "containers";
}

/// What a root file system stands on; as `hull_snapshot::Base`, to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Base {
    /// Chain ids of the layers, bottom first.
    Layers(Vec<hull_types::Digest>),
    /// This machine's own root file system.
    Host,
}

impl From<hull_snapshot::Base> for Base {
    fn from(base: hull_snapshot::Base) -> Self {
        match base {
            hull_snapshot::Base::Layers(chain) => Self::Layers(chain),
            hull_snapshot::Base::Host => Self::Host,
        }
    }
}

impl From<Base> for hull_snapshot::Base {
    fn from(base: Base) -> Self {
        match base {
            Base::Layers(chain) => Self::Layers(chain),
            Base::Host => Self::Host,
        }
    }
}

impl Definition {
    /// It ends with its run: kept in the run directory, never synced.
    pub fn ephemeral(&self) -> bool {
        self.host_config.auto_remove
    }

    /// How many layers its root file system stands on.
    pub fn base_layers(&self) -> usize {
        match &self.base {
            Base::Layers(chain) => chain.len(),
            Base::Host => 0,
        }
    }

    /// Its restart policy may start it by itself.
    pub fn restarts(&self) -> bool {
        !matches!(self.host_config.restart_policy.name.as_str(), "" | "no")
    }

    /// The labels and attributes that its events carry.
    pub fn event_attributes(&self) -> std::collections::BTreeMap<String, String> {
        let mut attributes = self.config.labels.clone();
        attributes.insert("image".into(), self.config.image.clone());
        attributes.insert("name".into(), self.name.to_string());
        attributes
    }
}

/// What a container is doing and how its last run went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub phase: Phase,
    /// The boot in which `phase` was true.
    pub boot: String,
    /// PID 1 on the host; 0 if there is none.
    pub pid: i32,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub exit_code: i64,
    /// Why the last start failed, or why the exit code is not known.
    pub error: String,
    pub oom_killed: bool,
    /// Restarts by the policy since a client started it.
    pub restarts: u32,
    /// A person ended it.
    pub manual: bool,
    /// It was ended together with the engine: for its restart policy nobody ended it.
    #[serde(default)]
    pub shut_down: bool,
    /// It ran at least once.
    pub ever_started: bool,
    /// Size of the terminal that a client asked for.
    #[serde(default)]
    pub terminal: (u16, u16),
    /// Its addresses and published ports, while it runs.
    #[serde(default)]
    pub given: Given,
    /// What its health checks found; absent if there was none to do yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Arc<Health>>,
    /// How its latest run ended, if there is more to say of it than success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Arc<Death>>,
}

impl Record for State {
    const TABLE: &'static str = "states";
}

impl State {
    pub fn created(boot: &str) -> Self {
        Self {
            phase: Phase::Created,
            boot: boot.to_owned(),
            pid: 0,
            started: Timestamp::NEVER,
            finished: Timestamp::NEVER,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            restarts: 0,
            manual: false,
            shut_down: false,
            ever_started: false,
            terminal: (0, 0),
            given: Given::default(),
            health: None,
            death: None,
        }
    }
}
