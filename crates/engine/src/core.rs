//! [`Core`]: what every part of the engine shares, and small things that need all of it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hull_launch::keeper::Handover;
use hull_launch::plan::IdMaps;
use hull_launch::spec::Spec;
use hull_records::{Db, Tx};
use hull_types::{ContainerId, Fault};

use crate::container::record::{Definition, State};
use crate::container::step::Refusal;
use crate::container::{Container, View};
use crate::error::Error;
use crate::events::Events;
use crate::exec::Execs;
use crate::janitor::Janitor;
use crate::keeper::{Keeper, LaunchError};
use crate::networks::Networks;
use crate::prepare::{Parts, Peer, Peers};
use crate::registry::Registry;
use crate::settings::Current;
use crate::transfer::Transfers;

/// What the parts of the engine share.
pub(crate) struct Core {
    pub facts: Facts,
    pub parts: Arc<Parts>,
    pub images: hull_image::Images,
    pub transfers: Transfers,
    /// `<root>/state.db`.
    pub durable: Db,
    /// `<run>/state.db`: containers that end with their run.
    pub fleeting: Db,
    pub registry: Registry,
    pub settings: Current,
    pub networks: Networks,
    pub keeper: Arc<Keeper>,
    pub events: Events,
    pub collector: Arc<hull_logs::Collector>,
    pub execs: Execs,
    pub janitor: Janitor,
    /// Why removed containers ended.
    pub remembered: crate::why::Remembered,
    /// What was done when, in the latest starts.
    pub stories: crate::story::Stories,
    /// Whether volumes are about to be synced.
    pub settling: Arc<AtomicBool>,
    pub runtime: tokio::runtime::Handle,
}

/// What does not change while an engine runs.
pub(crate) struct Facts {
    pub root: PathBuf,
    pub run: PathBuf,
    pub instance: String,
    /// The listening address, for a new keeper.
    pub host: String,
    /// The listening socket, for a new keeper.
    pub listener: Option<OwnedFd>,
    /// Where the next keeper asks for it and for what the former one held.
    pub handover: Option<Handover>,
    /// The keeper is the main process of a unit: systemd starts the next one.
    pub under_systemd: bool,
    pub pools: bool,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    pub version: String,
    pub commit: String,
    pub built: String,
}

impl Core {
    pub fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.facts.root.join("containers").join(id.as_str())
    }

    pub fn exit_record(&self, key: &str) -> PathBuf {
        self.facts.run.join("exits").join(key)
    }

    /// What admission knows.
    pub fn admission(&self) -> crate::admit::Context<'_> {
        crate::admit::Context { host: &self.parts.host, cgroups: &self.parts.cgroups, containers: self, networks: self }
    }

    pub fn resolve(&self, who: &str) -> Result<Arc<Container>, Error> {
        self.registry.resolve(who)
    }

    /// The cgroup parent of a container.
    pub fn cgroup_parent(&self, spec: &Spec) -> String {
        spec.cgroup_parent.clone().unwrap_or_else(|| self.facts.instance.clone())
    }

    pub fn cgroup(&self, view: &View) -> Result<hull_cgroup::Cgroup, Fault> {
        let definition = &view.definition;
        Ok(self.parts.cgroups.open(&self.cgroup_parent(&definition.spec), definition.id.as_str())?)
    }

    /// The cgroup of a container that does not run, as its start would make it.
    pub fn cgroup_to_come(&self, view: &View) -> Result<hull_cgroup::Cgroup, Fault> {
        let definition = &view.definition;
        let (spec, id) = (&definition.spec, definition.id.as_str());
        Ok(self.parts.cgroups.to_come(&self.cgroup_parent(spec), id, &spec.limits)?)
    }

    /// Writes rows of a container, on the disk when this returns unless it is ephemeral.
    pub fn write(
        &self,
        definition: &Definition,
        work: impl FnOnce(&Tx<'_>) -> hull_records::Result<()>,
    ) -> hull_records::Result<()> {
        if definition.ephemeral() {
            return self.fleeting.write_relaxed(work);
        }
        blocking(|| self.durable.write(work))
    }

    /// Writes what a container is doing.
    ///
    /// That it runs is true until the next boot only, so it is not waited for: it survives a killed
    /// engine at once and a power cut with the next synced write. With a restart policy it says what
    /// has to run after a power cut, and is waited for.
    pub fn save_state(&self, definition: &Definition, state: &State) -> hull_records::Result<()> {
        if state.phase.is_running() && !definition.restarts() && !definition.ephemeral() {
            return self.durable.write_relaxed(|tx| tx.put(definition.id.as_str(), state));
        }
        self.write(definition, |tx| tx.put(definition.id.as_str(), state))
    }

    /// Writes what a container is about to be given: survives a killed engine, and is not waited for.
    pub fn note_state(&self, definition: &Definition, state: &State) -> hull_records::Result<()> {
        let db = if definition.ephemeral() { &self.fleeting } else { &self.durable };
        db.write_relaxed(|tx| tx.put(definition.id.as_str(), state))
    }

    /// An event of a container, with more attributes than its own.
    pub fn announce(&self, definition: &Definition, action: impl Into<String>, more: &[(&str, String)]) {
        let mut attributes = definition.event_attributes();
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.events.container(action, definition.id.as_str(), attributes);
    }

    /// A user namespace from the keeper, for preparations. Blocks.
    pub fn userns(&self, maps: &IdMaps) -> Result<OwnedFd, Fault> {
        self.keeper.userns(maps).map_err(|error| match error {
            LaunchError::Keeper(error) => error.into(),
            LaunchError::Step(failure, _) => {
                Fault::internal("the user namespace could not be made").cause(failure.call)
            }
        })
    }
}

impl Peers for Core {
    fn running(&self, id: &str) -> Option<Peer> {
        let container = self.registry.get(&id.parse().ok()?)?;
        let live = container.live()?;
        let spec = Arc::clone(&container.view().definition.spec);
        Some(Peer { pid: live.pid, pidfd: live.pidfd.try_clone().ok()?, spec })
    }
}

impl crate::admit::Lookup for Core {
    fn container(&self, who: &str) -> Result<(ContainerId, Arc<Spec>), Fault> {
        let container = self.resolve(who)?;
        Ok((container.id, Arc::clone(&container.view().definition.spec)))
    }
}

impl crate::networks::plan::Find for Core {
    fn network(&self, who: &str) -> Result<Arc<hull_network::Definition>, Fault> {
        self.networks.find(who)
    }

    fn hears_loopback6(&self) -> bool {
        self.networks.switch().hears_loopback6()
    }
}

/// Runs work that may wait for the disk or the kernel without holding up other tasks.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The pieces of a container that is running, or why it is none.
pub(crate) fn running(container: &Container) -> Result<Arc<crate::container::Live>, Error> {
    container.live().ok_or_else(|| container.view().refuse(Refusal::NotRunning))
}
