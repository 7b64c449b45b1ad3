//! Networks: those that exist, who is on them, and the way on and off.
//!
//! What a network is asked to be is a record; who has which address follows from the states of the
//! containers; bridges and rules follow from both ([`hull_network::Switch`] makes them). So nothing here is
//! stored twice, and starting again is enough to mend everything.

mod asked;
pub(crate) mod change;
mod connect;
mod lease;
pub(crate) mod links;
pub(crate) mod names;
pub mod plan;
mod settings;
pub(crate) mod show;
mod status;
pub(crate) mod trace;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_network::dns::{Resolvers, Zone};
use hull_network::ports::{Published, Reserved, reserve_again};
use hull_network::rules::PortRule;
use hull_network::{Definition, Driver, Endpoint, Net, Switch, ipam};
use hull_records::{Db, Record};
use hull_types::{ContainerId, Digest, Fault};
use serde::{Deserialize, Serialize};

use crate::core::blocking;
use names::{Held, Service, Who};
pub(crate) use plan::{EndpointWish, Plan};
use settings::{Settings, Wish};

/// The name of the network that a container joins if it names none.
pub(crate) const DEFAULT: &str = "bridge";

/// Networks that are no bridge: always there, nothing to make.
pub(crate) const BUILTIN: [&str; 2] = ["host", "none"];

/// A network's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Row(Definition);

impl Record for Row {
    const TABLE: &'static str = "networks";
}

/// The networks of one engine.
pub(crate) struct Networks {
    db: Db,
    switch: Arc<Switch>,
    zone: Arc<Zone>,
    resolvers: Arc<Resolvers>,
    runtime: tokio::runtime::Handle,
    /// What is wrong with them is said when something is to be published.
    settings: Result<Settings, Fault>,
    inner: Mutex<Inner>,
    /// Held while a network is made.
    creating: Mutex<()>,
}

#[derive(Default)]
struct Inner {
    known: BTreeMap<String, Arc<Definition>>,
    /// The address given last, by network and family: the next search begins behind it.
    last: HashMap<(String, bool), IpAddr>,
    /// Containers whose network another one shares that may change its addresses.
    outspoken: BTreeSet<ContainerId>,
    /// The ends of running containers.
    ends: BTreeMap<ContainerId, Ends>,
}

/// One container's ends, and the ports that are kept for it.
#[derive(Default)]
struct Ends {
    endpoints: Vec<Endpoint>,
    reserved: Vec<Reserved>,
    names: Service,
}

/// What a running container was given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Given {
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<Published>,
    /// The id of an endpoint that is being wired while the container runs.
    #[serde(default)]
    pub joining: Option<String>,
}

/// Whether these settings of networks can be used together with those of networks.json.
///
/// # Errors
/// What is wrong with them.
pub fn check_settings(over: &serde_json::Map<String, serde_json::Value>) -> Result<(), Fault> {
    let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| hull_registry::HULL_ETC.into());
    Settings::read(Path::new(&etc), over).map(drop)
}

impl Networks {
    /// Reads the records; makes the default network. `in_use`: whether containers run on a network, by its id.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn open(
        db: Db,
        instance: &str,
        over: &serde_json::Map<String, serde_json::Value>,
        in_use: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Fault> {
        let rows = db.write_relaxed(|tx| tx.scan::<Row>())?;
        for aside in &rows.set_aside {
            tracing::error!(table = %aside.table, key = %aside.key, why = %aside.why, "unreadable record set aside");
        }
        let known = rows.rows.into_iter().map(|(id, Row(network))| (id, Arc::new(network))).collect();
        let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| hull_registry::HULL_ETC.into());
        let mut settings = Settings::read(Path::new(&etc), over);
        let switch = Switch::new(instance);
        // What is asked for is not known if the file cannot be read: then the stricter way.
        let obeys = settings.as_ref().map_or(true, |settings| settings.obeys);
        let switch = Arc::new(if obeys { switch.obeying() } else { switch });
        if let Err(error) = Switch::pass_on(&switch) {
            settings = settings.and(Err(error.into()));
        }
        if let Err(error) = &settings {
            tracing::error!(%error, "no port can be published");
        }
        let mut networks = Self {
            db,
            switch,
            settings,
            zone: Arc::default(),
            resolvers: Arc::new(Resolvers::of("/etc/resolv.conf")),
            runtime: tokio::runtime::Handle::current(),
            inner: Mutex::new(Inner { known, ..Inner::default() }),
            creating: Mutex::default(),
        };
        // Without it, a container without a wish has no network; the engine works all the same.
        if let Err(error) = blocking(|| networks.bring_up(instance, in_use)) {
            tracing::warn!(%error, "the default network could not be made; containers can run with `--network none`");
        }
        Ok(networks)
    }

    /// The default network, as the settings want it. Another subnet than before waits until none of its containers runs.
    fn bring_up(&mut self, instance: &str, in_use: &dyn Fn(&str) -> bool) -> Result<(), Fault> {
        let stored = self.find(DEFAULT).ok();
        let link = if instance == "hull" { "hull0".to_owned() } else { format!("br-{}", &instance[5..]) };
        let wanted = match &self.settings {
            Ok(settings) => {
                let others = self.all().into_iter().filter(|other| other.name != DEFAULT).collect::<Vec<_>>();
                settings::definition(&settings.default, stored.as_deref(), &others, link, |v4| {
                    self.free_pool(v4, &self.taken(true)?)
                })
            }
            // What is asked for is not known: as it was, or plain.
            Err(_) => settings::definition(&Wish::default(), stored.as_deref(), &[], link, |v4| {
                self.free_pool(v4, &self.taken(true)?)
            }),
        };
        let mut wanted = wanted.inspect_err(|error| {
            tracing::error!(%error, "no port can be published");
            self.settings = Err(error.clone());
        })?;
        if let Some(stored) = stored.as_deref().filter(|stored| stored.subnets != wanted.subnets) {
            if in_use(&stored.id) {
                tracing::warn!(
                    "the default network keeps its subnet: containers run on it. The next engine that finds none changes it"
                );
                wanted.subnets.clone_from(&stored.subnets);
            } else if let Err(error) = self.switch.lower(stored) {
                tracing::warn!(%error, "what the default network was before could not be taken away whole");
            }
        }
        let default = match stored {
            Some(stored) if *stored == wanted => stored,
            _ => self.store(wanted)?,
        };
        // What is refused now is tried again by the first container.
        let raised = self.switch.raise(&default);
        self.switch.keep_ready(&default);
        Ok(Switch::watch(&self.switch).and(raised)?)
    }

    /// Networks and, for one of this host's own, routes that a new pool must not overlap.
    pub fn taken(&self, own: bool) -> Result<Vec<Net>, Fault> {
        let mut taken = if own { self.switch.taken()? } else { Vec::new() };
        let inner = self.lock();
        taken.extend(inner.known.values().flat_map(|network| network.subnets.iter().map(|subnet| subnet.net)));
        Ok(taken)
    }

    /// A pool for a network that names no subnet of this family.
    pub fn free_pool(&self, v4: bool, taken: &[Net]) -> Result<Net, Fault> {
        let pools = self.settings.as_ref().map(|settings| &*settings.pools).unwrap_or_default();
        let of_family: Vec<Net> = pools.iter().copied().filter(|pool| pool.address.is_ipv4() == v4).collect();
        match of_family.is_empty() {
            true if !v4 => asked::local_v6(),
            _ => Ok(ipam::free_pool(&of_family, taken)?),
        }
    }

    fn store(&self, network: Definition) -> Result<Arc<Definition>, Fault> {
        let network = Arc::new(network);
        let row = Row((*network).clone());
        blocking(|| self.db.write(|tx| tx.put(&network.id, &row)))?;
        self.lock().known.insert(network.id.clone(), Arc::clone(&network));
        Ok(network)
    }

    /// The network with this name, id or unique beginning of an id.
    ///
    /// # Errors
    /// None, or more than one.
    pub fn find(&self, who: &str) -> Result<Arc<Definition>, Fault> {
        let inner = self.lock();
        let by_name = inner.known.values().find(|network| network.name == who);
        if let Some(network) = inner.known.get(who).or(by_name) {
            return Ok(Arc::clone(network));
        }
        let mut begin = inner.known.values().filter(|network| !who.is_empty() && network.id.starts_with(who));
        match (begin.next(), begin.next()) {
            (Some(network), None) => Ok(Arc::clone(network)),
            (Some(_), Some(_)) => Err(Fault::invalid(format!("network {} is ambiguous", shown(who)))),
            (None, _) => Err(Fault::not_found(format!("network {} not found", shown(who)))
                .hint("`hull network ls` lists those that are here")),
        }
    }

    /// The addresses of this host on the default network.
    pub fn host_gateway(&self) -> Vec<IpAddr> {
        let default = self.find(DEFAULT);
        default.map_or_else(|_| Vec::new(), |default| default.subnets.iter().map(|subnet| subnet.gateway).collect())
    }

    /// Wires a leased container's namespace to its networks and opens its ports.
    ///
    /// # Errors
    /// The kernel's refusal. [`Networks::release`] undoes what was done.
    pub fn wire(&self, container: ContainerId, netns: BorrowedFd<'_>) -> Result<(), Fault> {
        let (endpoints, ports) = {
            let inner = self.lock();
            let Some(ends) = inner.ends.get(&container) else { return Ok(()) };
            (ends.endpoints.clone(), ends.reserved.iter().map(|one| one.published).collect::<Vec<_>>())
        };
        for endpoint in &endpoints {
            let network = self.find(&endpoint.network)?;
            self.switch.raise(&network)?;
            self.switch.attach(&network, endpoint, netns)?;
        }
        self.serve_names(container, netns)?;
        self.open_ports(&endpoints, &ports)
    }

    fn open_ports(&self, endpoints: &[Endpoint], ports: &[Published]) -> Result<(), Fault> {
        let Some(main) = self.publishing(endpoints)?.map(|(end, _)| end) else { return Ok(()) };
        let to = |published: &Published| main.address(published.address.is_ipv4());
        let rules = ports.iter().filter_map(|one| Some(PortRule { published: *one, to: to(one)? }));
        Ok(self.switch.publish(main, rules.collect())?)
    }

    /// A container has ended, or did not start: its addresses and ports are free again.
    pub fn release(&self, container: ContainerId) {
        let ends = {
            let mut inner = self.lock();
            inner.outspoken.remove(&container);
            inner.ends.remove(&container)
        };
        let Some(ends) = ends else { return };
        for endpoint in &ends.endpoints {
            self.zone.remove(endpoint);
            self.switch.unready(&endpoint.link);
            let detach = || self.switch.detach(&endpoint.id);
            // Without a port there is nothing that the kernel has to be asked for.
            if let Err(error) = if ends.reserved.is_empty() { detach() } else { blocking(detach) } {
                tracing::warn!(%container, %error, "published ports not closed");
            }
        }
    }

    /// A container that an earlier engine started: its ends are taken over. Its wires are there.
    pub fn adopt(&self, who: &Who<'_>, given: &Given, held: Held) {
        self.share(who);
        let (container, endpoints) = (who.id, &given.endpoints);
        if endpoints.is_empty() {
            return;
        }
        let kept = |published: &Published| match reserve_again(*published) {
            Ok(reserved) => Some(reserved),
            Err(error) => {
                tracing::error!(%container, %error, "a published port is lost");
                None
            }
        };
        let reserved: Vec<Reserved> = given.ports.iter().filter_map(kept).collect();
        let open: Vec<Published> = reserved.iter().map(|one| one.published).collect();
        let held = Held { plan: who.plan().clone(), joining: given.joining.clone(), ..held };
        let names = Service { held: Some(held), ..Service::asked_by(who) };
        self.lock().ends.insert(container, Ends { endpoints: endpoints.clone(), reserved, names });
        let raised = endpoints.iter().try_for_each(|endpoint| {
            let network = self.find(&endpoint.network)?;
            self.zone.add(&network, endpoint);
            self.switch.raise(&network)?;
            let pinned = network.driver == Driver::Bridge && self.is_pinned(who);
            if pinned { Ok::<(), Fault>(self.switch.adopt(endpoint)?) } else { Ok(()) }
        });
        if let Err(error) = raised.and_then(|()| self.open_ports(endpoints, &open)) {
            tracing::error!(%container, %error, "its network could not be taken over");
        }
    }

    /// What starts that were cut short left behind.
    pub fn sweep(&self) {
        let used: BTreeSet<String> =
            self.lock().ends.values().flat_map(|ends| ends.endpoints.iter().map(|end| end.link.clone())).collect();
        let not_swept = |error: &dyn std::fmt::Display| tracing::warn!(%error, "wires not swept");
        let strays = match self.switch.strays(&self.bridges(), &|link| used.contains(link)) {
            Ok(strays) if strays.is_empty() => return,
            Ok(strays) => strays,
            Err(error) => return not_swept(&error),
        };
        // Those that the last engine kept ready are among them: no start of an engine waits for the kernel to let them go.
        let switch = Arc::clone(&self.switch);
        let delete = move || switch.delete(&strays).unwrap_or_else(|error| not_swept(&error));
        if let Err(error) = std::thread::Builder::new().name("sweep".into()).spawn(delete) {
            not_swept(&error);
        }
    }

    /// What wires containers to networks.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    /// The namespace that was made ahead for a leased container, with its wire.
    pub fn ready(&self, container: ContainerId) -> Option<OwnedFd> {
        let inner = self.lock();
        let ends = inner.ends.get(&container)?;
        ends.endpoints.iter().find_map(|end| self.switch.ready(&end.link))
    }

    /// Whether all that a leased container needs was made ahead: to wire it waits for little.
    pub fn is_ready(&self, container: ContainerId) -> bool {
        let inner = self.lock();
        let Some(ends) = inner.ends.get(&container) else { return true };
        let made = |end: &Endpoint| end.names.is_empty() && self.switch.is_reserved(&end.link);
        ends.reserved.is_empty() && ends.endpoints.iter().all(made)
    }

    /// The engine ends in good order: without a running container, nothing of the networks stays.
    pub fn close(&self) {
        if !self.lock().ends.is_empty() {
            return;
        }
        let parents = self.all().into_iter().filter(|network| network.driver != Driver::Bridge);
        let lowered = parents.map(|network| self.switch.lower(&network)).fold(Ok(()), Result::and);
        if let Err(error) = lowered.and(self.switch.clear(&self.bridges())) {
            tracing::warn!(%error, "links of networks not removed");
        }
    }

    /// The links of the networks that no container may have used since this engine started, as far as their names
    /// are hull's own: one that a client has chosen may be somebody else's by now.
    fn bridges(&self) -> Vec<String> {
        let inner = self.lock();
        let own = inner.known.values().filter(|network| network.link == asked::link(&network.id));
        own.map(|network| network.link.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Addresses in use on a network.
    fn addresses(&self, network: &str) -> impl Iterator<Item = IpAddr> {
        let ends = self.ends.values().flat_map(|ends| &ends.endpoints);
        ends.filter(move |end| end.network == network).flat_map(|end| end.addresses.iter().map(|net| net.address))
    }
}

/// 64 hexadecimal digits.
fn random_id() -> Result<String, Fault> {
    Ok(ContainerId::new_random().to_string())
}

/// The id of a built-in network: always the same.
fn builtin_id(name: &str) -> String {
    Digest::of(format!("hull network {name}").as_bytes()).hex().to_owned()
}

fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}
