//! On and off a network while the container runs: one more wire, and the default route, the published ports and
//! the names follow.

use std::os::fd::{AsFd, BorrowedFd};

use hull_network::Endpoint;
use hull_types::{ContainerId, Fault};

use super::names::{self, Held, Service, Who};
use super::{EndpointWish, Given, Networks, Plan, lease};

impl Networks {
    /// Chooses addresses for a running container that joins a further network. Nothing of the kernel's is made yet.
    ///
    /// # Errors
    /// The network is gone or full, or an address is taken.
    pub fn lease_one(&self, who: &Who<'_>, wish: &EndpointWish) -> Result<Endpoint, Fault> {
        let network = self.find(&wish.network)?;
        let given: Vec<String> = self.endpoints(who.id).into_iter().map(|endpoint| endpoint.name).collect();
        let name = lease::link_name(&network, wish, &given);
        if given.contains(&name) {
            return Err(Fault::conflict(format!("a link of the container is called {name} already")));
        }
        let mut endpoint = self.endpoint(&network, wish, &name)?;
        endpoint.names = names::on(&network, who, wish);
        endpoint.pinned = self.is_pinned(who);
        let mut inner = self.lock();
        let ends = inner.ends.entry(who.id).or_default();
        ends.endpoints.push(endpoint.clone());
        let asked = Service::asked_by(who);
        let links = wish.links.iter().map(|(alias, target)| (alias.clone(), target.to_ascii_lowercase()));
        ends.names.servers = asked.servers;
        ends.names.links = asked.links.into_iter().chain(links).collect();
        self.zone.add(&network, &endpoint);
        Ok(endpoint)
    }

    /// Wires a leased endpoint; what the container has been given then.
    ///
    /// # Errors
    /// The kernel's refusal. [`Networks::unplug`] undoes what was done.
    pub fn plug(
        &self,
        container: ContainerId,
        endpoint: &Endpoint,
        plan: &Plan,
        netns: BorrowedFd<'_>,
    ) -> Result<Given, Fault> {
        let network = self.find(&endpoint.network)?;
        self.switch.raise(&network)?;
        self.switch.attach(&network, endpoint, netns)?;
        self.settle(container, plan, netns)
    }

    /// Takes an endpoint off; `plan` is without it already. What the container has been given then.
    ///
    /// # Errors
    /// The kernel's refusal; the address is free all the same.
    pub fn unplug(
        &self,
        container: ContainerId,
        endpoint: &Endpoint,
        plan: &Plan,
        netns: BorrowedFd<'_>,
    ) -> Result<Given, Fault> {
        let network = self.find(&endpoint.network);
        if let Some(ends) = self.lock().ends.get_mut(&container) {
            ends.endpoints.retain(|other| other.id != endpoint.id);
        }
        self.zone.remove(endpoint);
        let closed = self.switch.detach(&endpoint.id).and_then(|()| self.switch.let_go());
        let unplugged = network.and_then(|network| Ok(self.switch.unplug(&network, endpoint, netns)?));
        let given = self.settle(container, plan, netns);
        closed?;
        unplugged?;
        given
    }

    /// Takes up what an earlier engine left, when all names are known again: answers what waited in the sockets, and
    /// ends what that one had begun.
    pub fn resume(&self) {
        let taken: Vec<(ContainerId, Held)> = {
            let mut inner = self.lock();
            inner.ends.iter_mut().filter_map(|(id, ends)| Some((*id, ends.names.held.take()?))).collect()
        };
        for (container, mut held) in taken {
            let resumed = self.sweep_inside(container, &held).and_then(|()| self.join_again(container, &held));
            let resumed = resumed.and_then(|()| self.resume_names(container, &mut held));
            let resumed = resumed.and_then(|()| match &held.netns {
                Some(netns) => self.settle(container, &held.plan, netns.as_fd()).map(drop),
                None => Ok(()),
            });
            if let Err(error) = resumed {
                tracing::error!(%container, %error, "its networks are not wholly taken over");
            }
        }
    }

    /// A link that a container had left when the engine was killed, and that nobody has taken away.
    fn sweep_inside(&self, container: ContainerId, held: &Held) -> Result<(), Fault> {
        let Some(netns) = &held.netns else { return Ok(()) };
        let endpoints = self.endpoints(container);
        let used: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.name).collect();
        Ok(self.switch.sweep_inside(netns.as_fd(), &used)?)
    }

    /// An endpoint whose wiring was cut short is wired anew.
    fn join_again(&self, container: ContainerId, held: &Held) -> Result<(), Fault> {
        let (Some(id), Some(netns)) = (&held.joining, &held.netns) else { return Ok(()) };
        let endpoints = self.endpoints(container);
        let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.id == *id) else { return Ok(()) };
        let network = self.find(&endpoint.network)?;
        self.switch.unplug(&network, endpoint, netns.as_fd())?;
        Ok(self.switch.attach(&network, endpoint, netns.as_fd())?)
    }

    /// Lets default route, published ports and names follow what the container is on now.
    fn settle(&self, container: ContainerId, plan: &Plan, netns: BorrowedFd<'_>) -> Result<Given, Fault> {
        let main = plan.endpoints.get(self.gateway(plan)).map(|wish| wish.network.clone());
        let endpoints = self.endpoints(container);
        let old = endpoints.iter().find(|endpoint| endpoint.gateway);
        let new = endpoints.iter().find(|endpoint| Some(&endpoint.network) == main.as_ref());
        if old.map(|end| &end.id) != new.map(|end| &end.id) {
            if let Some(old) = old {
                self.switch.close(&old.id)?;
            }
            let network = new.map(|end| self.find(&end.network)).transpose()?;
            self.switch.lead(netns, old, network.as_deref().zip(new))?;
            let main = new.map(|end| end.id.clone());
            if let Some(ends) = self.lock().ends.get_mut(&container) {
                ends.endpoints.iter_mut().for_each(|end| end.gateway = Some(&end.id) == main.as_ref());
            }
            self.publish_again(container, plan)?;
        }
        self.follow_names(container, netns)?;
        let inner = self.lock();
        Ok(inner.ends.get(&container).map_or_else(Given::default, |ends| Given {
            endpoints: ends.endpoints.clone(),
            ports: ends.reserved.iter().map(|one| one.published).collect(),
            joining: None,
        }))
    }

    /// The ports lead to where the default route is now; they stay kept meanwhile.
    fn publish_again(&self, container: ContainerId, plan: &Plan) -> Result<(), Fault> {
        let endpoints = self.endpoints(container);
        let kept = self.lock().ends.get(&container).is_some_and(|ends| !ends.reserved.is_empty());
        if !kept {
            let reserved = self.keep_ports(plan, &endpoints)?;
            if let Some(ends) = self.lock().ends.get_mut(&container) {
                ends.reserved = reserved;
            }
        }
        let ports: Vec<_> = self
            .lock()
            .ends
            .get(&container)
            .map_or_else(Vec::new, |ends| ends.reserved.iter().map(|one| one.published).collect());
        self.open_ports(&endpoints, &ports)
    }

    fn endpoints(&self, container: ContainerId) -> Vec<Endpoint> {
        self.lock().ends.get(&container).map_or_else(Vec::new, |ends| ends.endpoints.clone())
    }
}
