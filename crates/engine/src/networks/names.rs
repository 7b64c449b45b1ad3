//! The name service of running containers: how they are called, and the sockets that they ask at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hull_network::dns::{Scope, Server, Sockets};
use hull_network::{Definition, Endpoint};
use hull_types::{ContainerId, Fault};

use super::{DEFAULT, EndpointWish, Ends, Networks};
use crate::container::record;

/// The names under which the keeper holds a container's sockets.
const UDP: &str = "names-udp";
const TCP: &str = "names-tcp";

/// What networks need to know of a container.
pub(crate) struct Who<'a> {
    pub id: ContainerId,
    definition: &'a record::Definition,
}

impl<'a> Who<'a> {
    pub fn of(definition: &'a record::Definition) -> Self {
        Self { id: definition.id, definition }
    }

    /// Whom it wants to be asked what nobody on its networks is called.
    pub fn servers(&self) -> Vec<IpAddr> {
        self.definition.spec.resolver.servers.iter().filter_map(|text| text.parse().ok()).collect()
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
    pub server: Option<Server>,
    /// Of an earlier engine's; served when all names are known again.
    pub held: Option<Held>,
}

/// What an earlier engine left of a container's name service.
pub(crate) struct Held {
    sockets: Option<Sockets>,
    netns: Option<OwnedFd>,
}

impl Held {
    /// Takes the sockets out of what the keeper holds; `pid` is a process in the container's namespace.
    pub fn take(held: &mut HashMap<String, OwnedFd>, pid: i32) -> Self {
        let sockets = match (held.remove(UDP), held.remove(TCP)) {
            (Some(udp), Some(tcp)) => Some(Sockets { udp, tcp }),
            _ => None,
        };
        let pid = rustix::process::Pid::from_raw(pid);
        Self { sockets, netns: pid.and_then(|pid| hull_sys::namespace::of(pid, "net").ok()) }
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

    fn start_server(&self, container: ContainerId, sockets: Sockets, netns: Option<OwnedFd>) -> Result<(), Fault> {
        let mut inner = self.lock();
        let known = inner.known.clone();
        let Some(ends) = inner.ends.get_mut(&container) else { return Ok(()) };
        let outward = |network: &String| known.get(network).is_some_and(|network| !network.internal);
        let named = ends.endpoints.iter().filter(|endpoint| !endpoint.names.is_empty());
        let scope = Scope {
            networks: named.map(|endpoint| endpoint.network.clone()).collect(),
            links: Vec::new(),
            outward: ends.endpoints.iter().any(|endpoint| outward(&endpoint.network)),
            servers: ends.names.servers.clone(),
            // Held only where it is needed: as long as it is, the namespace stays.
            netns: netns.filter(|_| !ends.names.servers.is_empty()).map(Arc::new),
        };
        let service = (Arc::clone(&self.zone), Arc::clone(&self.resolvers));
        ends.names.server = Some(Server::start(&self.runtime, service, sockets, scope).map_err(lack)?);
        Ok(())
    }

    /// Answers what waited in the sockets of an earlier engine. Now all names are known again.
    pub fn resume_names(&self) {
        let taken: Vec<(ContainerId, Held)> = {
            let mut inner = self.lock();
            let with_names = inner.ends.iter_mut().filter(|(_, ends)| ends.has_names());
            with_names.filter_map(|(id, ends)| Some((*id, ends.names.held.take()?))).collect()
        };
        for (container, held) in taken {
            let resumed = match (held.sockets, held.netns) {
                (Some(sockets), netns) => self.start_server(container, sockets, netns),
                (None, Some(netns)) => self.serve_names(container, netns.as_fd()),
                (None, None) => Ok(()),
            };
            if let Err(error) = resumed {
                tracing::error!(%container, %error, "its name service is lost");
            }
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

impl Ends {
    fn has_names(&self) -> bool {
        self.endpoints.iter().any(|endpoint| !endpoint.names.is_empty())
    }
}

fn lack(error: std::io::Error) -> Fault {
    Fault::internal("the name service cannot be opened").cause(error)
}
