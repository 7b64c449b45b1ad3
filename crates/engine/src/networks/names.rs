//! The name service of running containers: how they are called, and the sockets that they ask at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hull_launch::spec::{NamespaceWish, Userns};
use hull_network::dns::{Scope, Server, Sockets};
use hull_network::{Definition, Endpoint};
use hull_types::{ContainerId, Fault};

use super::{DEFAULT, EndpointWish, Ends, Inner, Networks, Plan};
use crate::container::record;

/// The names under which the keeper holds a container's sockets.
const UDP: &str = "names-udp";
const TCP: &str = "names-tcp";

/// `CAP_NET_ADMIN`.
const NET_ADMIN: u32 = 12;

/// What networks need to know of a container.
pub(crate) struct Who<'a> {
    pub id: ContainerId,
    definition: &'a record::Definition,
}

impl<'a> Who<'a> {
    pub fn of(definition: &'a record::Definition) -> Self {
        Self { id: definition.id, definition }
    }

    pub fn plan(&self) -> &Plan {
        &self.definition.network
    }

    /// Whether nothing in it can change its addresses: it lacks `CAP_NET_ADMIN`.
    pub fn speaks_for_itself(&self) -> bool {
        self.definition.spec.process.capabilities & (1 << NET_ADMIN) == 0
    }

    /// Whether it is in no user namespace of its own: only then can it have a network namespace that was made ahead.
    pub fn has_the_engines_users(&self) -> bool {
        self.definition.spec.namespaces.user == Userns::Host
    }

    /// The container whose network it has, if it has another's.
    pub fn shares(&self) -> Option<ContainerId> {
        match &self.definition.spec.namespaces.net {
            NamespaceWish::Container(id) => id.parse().ok(),
            NamespaceWish::New | NamespaceWish::Host => None,
        }
    }

    /// Whom it wants to be asked what nobody on its networks is called.
    fn servers(&self) -> Vec<IpAddr> {
        self.definition.spec.resolver.servers.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl Service {
    /// What a container asks of it.
    pub fn asked_by(who: &Who<'_>) -> Self {
        let mut links = Vec::new();
        for wish in &who.definition.network.endpoints {
            links.extend(wish.links.iter().map(|(alias, target)| (alias.clone(), target.to_ascii_lowercase())));
        }
        Self { servers: who.servers(), links, ..Self::default() }
    }
}

/// How a container is called on a network: by its name, its aliases, the beginning of its id and its host name.
/// COMPAT(docker 28): not at all on the default network.
pub(super) fn on(network: &Definition, who: &Who<'_>, wish: &EndpointWish) -> Vec<String> {
    if network.name == DEFAULT {
        return Vec::new();
    }
    let mut names = vec![who.definition.name.to_string()];
    let hostname = Some(&who.definition.spec.hostname).filter(|name| !name.is_empty());
    for name in wish.aliases.iter().chain([&who.id.short().to_owned()]).chain(hostname) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// One container's name service.
#[derive(Default)]
pub(super) struct Service {
    pub servers: Vec<IpAddr>,
    pub links: Vec<(String, String)>,
    pub server: Option<Server>,
    /// Of an earlier engine's, until all names are known again.
    pub held: Option<Held>,
}

/// What an earlier engine left of a container's networks.
#[derive(Default)]
pub(crate) struct Held {
    pub(super) sockets: Option<Sockets>,
    pub(super) netns: Option<OwnedFd>,
    pub(super) plan: Plan,
    pub(super) joining: Option<String>,
}

impl Held {
    /// Takes the sockets out of what the keeper holds; `pid` is a process in the container's namespace.
    pub fn take(held: &mut HashMap<String, OwnedFd>, pid: i32) -> Self {
        let sockets = match (held.remove(UDP), held.remove(TCP)) {
            (Some(udp), Some(tcp)) => Some(Sockets { udp, tcp }),
            _ => None,
        };
        let pid = rustix::process::Pid::from_raw(pid);
        Self { sockets, netns: pid.and_then(|pid| hull_sys::namespace::of(pid, "net").ok()), ..Self::default() }
    }
}

impl Networks {
    /// Opens a container's name service in its namespace, if one of its networks has names.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn serve_names(&self, container: ContainerId, netns: BorrowedFd<'_>) -> Result<(), Fault> {
        let wanted = self.lock().ends.get(&container).is_some_and(Ends::has_names);
        if !wanted {
            return Ok(());
        }
        let sockets = Sockets::open(netns)?;
        let netns = netns.try_clone_to_owned().map_err(lack)?;
        self.start_server(container, sockets, Some(netns))
    }

    /// The container has joined or left a network.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn follow_names(&self, container: ContainerId, netns: BorrowedFd<'_>) -> Result<(), Fault> {
        let copy = netns.try_clone_to_owned().map_err(lack)?;
        {
            let inner = self.lock();
            let Some(ends) = inner.ends.get(&container) else { return Ok(()) };
            if let Some(server) = &ends.names.server {
                server.set_scope(inner.scope(ends, Some(copy)));
                return Ok(());
            }
        }
        self.serve_names(container, netns)
    }

    fn start_server(&self, container: ContainerId, sockets: Sockets, netns: Option<OwnedFd>) -> Result<(), Fault> {
        let mut inner = self.lock();
        let Some(ends) = inner.ends.get(&container) else { return Ok(()) };
        let scope = inner.scope(ends, netns);
        let service = (Arc::clone(&self.zone), Arc::clone(&self.resolvers));
        let server = Server::start(&self.runtime, service, sockets, scope).map_err(lack)?;
        if let Some(ends) = inner.ends.get_mut(&container) {
            ends.names.server = Some(server);
        }
        Ok(())
    }

    /// Serves on the sockets of an earlier engine; on new ones if there are none.
    pub(super) fn resume_names(&self, container: ContainerId, held: &mut Held) -> Result<(), Fault> {
        let wanted = self.lock().ends.get(&container).is_some_and(Ends::has_names);
        let netns = held.netns.as_ref().map(OwnedFd::try_clone).transpose().map_err(lack)?;
        match (held.sockets.take(), netns) {
            (Some(sockets), netns) => self.start_server(container, sockets, netns),
            (None, Some(netns)) if wanted => self.serve_names(container, netns.as_fd()),
            (None, _) => Ok(()),
        }
    }

    /// Duplicates of a container's sockets, with the names that the keeper holds them under.
    pub fn name_sockets(&self, container: ContainerId) -> Vec<(&'static str, OwnedFd)> {
        let inner = self.lock();
        let server = inner.ends.get(&container).and_then(|ends| ends.names.server.as_ref());
        match server.map(Server::sockets) {
            Some(Ok(Sockets { udp, tcp })) => vec![(UDP, udp), (TCP, tcp)],
            // Without them the next engine opens others.
            Some(Err(_)) | None => Vec::new(),
        }
    }

    /// A container is called otherwise from now on; its endpoints as they are then.
    pub fn rename(&self, container: ContainerId, old: &str, new: &str) -> Option<Vec<Endpoint>> {
        let mut inner = self.lock();
        let known = inner.known.clone();
        let ends = inner.ends.get_mut(&container)?;
        for endpoint in &mut ends.endpoints {
            self.zone.remove(endpoint);
            endpoint.names.iter_mut().filter(|name| *name == old).for_each(|name| new.clone_into(name));
            if let Some(network) = known.get(&endpoint.network) {
                self.zone.add(network, endpoint);
            }
        }
        Some(ends.endpoints.clone())
    }
}

impl Inner {
    /// What a container sees.
    fn scope(&self, ends: &Ends, netns: Option<OwnedFd>) -> Scope {
        let outward = |network: &String| self.known.get(network).is_some_and(|network| !network.internal);
        let named = ends.endpoints.iter().filter(|endpoint| !endpoint.names.is_empty());
        Scope {
            networks: named.map(|endpoint| endpoint.network.clone()).collect(),
            links: ends.names.links.clone(),
            outward: ends.endpoints.iter().any(|endpoint| outward(&endpoint.network)),
            servers: ends.names.servers.clone(),
            // Held only where it is needed: as long as it is, the namespace stays.
            netns: netns.filter(|_| !ends.names.servers.is_empty()).map(Arc::new),
        }
    }
}

impl Ends {
    fn has_names(&self) -> bool {
        self.endpoints.iter().any(|endpoint| !endpoint.names.is_empty())
    }
}

fn lack(error: std::io::Error) -> Fault {
    Fault::internal("the name service cannot be opened").cause(error)
}
