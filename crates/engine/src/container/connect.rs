//! Joining and leaving networks, running or not.

use std::os::fd::{AsFd, OwnedFd};

use hull_network::Definition as Network;
use hull_types::{Fault, Kind};

use super::record::Definition;
use super::task::Task;
use crate::core::blocking;
use crate::networks::names::Who;
use crate::networks::{EndpointWish, Given};
use crate::prepare;

impl Task {
    /// The container is on this network from now on, or from its next start.
    pub(super) fn connect(&mut self, network: &Network, wish: EndpointWish) -> Result<(), Fault> {
        self.check_mode()?;
        let mut definition = (*self.definition).clone();
        let plan = &mut definition.network.endpoints;
        match plan.iter_mut().find(|known| known.network == wish.network) {
            Some(_) if self.container.live().is_some() => {
                let (name, network) = (&self.definition.name, &network.name);
                let refusal = format!("endpoint with name {name} already exists in network {network}");
                return Err(Fault::new(Kind::Forbidden, refusal));
            }
            Some(known) => *known = wish.clone(),
            None => plan.push(wish.clone()),
        }
        definition.network.check_names()?;
        match self.netns()? {
            None => self.replace(definition)?,
            Some(netns) => self.join(definition, &wish, &netns)?,
        }
        self.core.events.network("connect", &network.id, &network.name, Some(self.definition.id.as_str()));
        Ok(())
    }

    /// It is not on this network any more; `who` is the network's name or id.
    pub(super) fn disconnect(&mut self, who: &str) -> Result<(), Fault> {
        self.check_mode()?;
        let mut definition = (*self.definition).clone();
        let plan = &mut definition.network.endpoints;
        let Some(at) = plan.iter().position(|wish| wish.network == who || wish.name == who) else {
            let refusal = format!("container {} is not connected to network {who}", self.definition.id);
            return Err(Fault::new(Kind::Forbidden, refusal));
        };
        let wish = plan.remove(at);
        match self.netns()? {
            None => self.replace(definition)?,
            Some(netns) => self.leave(definition, &wish, &netns)?,
        }
        self.core.events.network("disconnect", &wish.network, &wish.name, Some(self.definition.id.as_str()));
        Ok(())
    }

    fn check_mode(&self) -> Result<(), Fault> {
        match self.definition.host_config.network_mode.as_str() {
            "none" => Err(Fault::invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            )),
            mode if mode == "host" || mode.starts_with("container:") => Err(Fault::invalid(
                "container sharing network namespace with another container or host cannot be connected to any other network",
            )),
            _ => Ok(()),
        }
    }

    /// Its network namespace, if it runs.
    fn netns(&self) -> Result<Option<OwnedFd>, Fault> {
        let pid = self.container.live().and_then(|live| rustix::process::Pid::from_raw(live.pid));
        Ok(pid.map(|pid| hull_sys::namespace::of(pid, "net")).transpose()?)
    }

    fn join(&mut self, definition: Definition, wish: &EndpointWish, netns: &OwnedFd) -> Result<(), Fault> {
        let core = self.core.clone();
        let before = (self.definition.clone(), self.state.given.clone());
        let endpoint = core.networks.lease_one(&Who::of(&self.definition), wish)?;
        self.state.given.endpoints.push(endpoint.clone());
        self.state.given.joining = Some(endpoint.id.clone());
        let (id, plan) = (definition.id, definition.network.clone());
        // ORDER: written before the kernel has any of it, so that an engine that is killed finds it again.
        let joined = self
            .replace_all(definition)
            .and_then(|()| blocking(|| core.networks.plug(id, &endpoint, &plan, netns.as_fd())));
        match joined {
            Ok(given) => self.settle_networks(given),
            Err(fault) => {
                let undone = blocking(|| core.networks.unplug(id, &endpoint, &before.0.network, netns.as_fd()));
                self.state.given = undone.unwrap_or(before.1);
                if let Err(error) = self.replace_all((*before.0).clone()) {
                    tracing::error!(container = %self.definition.name, %error, "a network that was not joined stays noted");
                }
                Err(fault)
            }
        }
    }

    fn leave(&mut self, definition: Definition, wish: &EndpointWish, netns: &OwnedFd) -> Result<(), Fault> {
        let core = self.core.clone();
        let at = self.state.given.endpoints.iter().position(|endpoint| endpoint.network == wish.network);
        let endpoint = at.map(|at| self.state.given.endpoints.remove(at));
        let (id, plan) = (definition.id, definition.network.clone());
        // ORDER: written first. A wire that nobody has noted is swept at the next start of an engine.
        self.replace_all(definition)?;
        match endpoint {
            None => Ok(()),
            Some(endpoint) => {
                let given = blocking(|| core.networks.unplug(id, &endpoint, &plan, netns.as_fd()))?;
                self.settle_networks(given)
            }
        }
    }

    /// What it has been given is written, held and shown, also to itself.
    fn settle_networks(&mut self, given: Given) -> Result<(), Fault> {
        self.state.given = given;
        for (name, socket) in self.core.networks.name_sockets(self.definition.id) {
            self.core.keeper.hold(self.definition.id.as_str(), name, &socket);
        }
        let root = &self.core.parts.root;
        let written =
            prepare::follow_networks(root, &self.definition.id, &self.definition.spec, &self.state.given.endpoints);
        if let Err(fault) = written {
            tracing::warn!(container = %self.definition.name, cause = %fault, "its files in /etc are not as its networks are");
        }
        let noted = self.core.note_state(&self.definition, &self.state);
        self.publish();
        Ok(noted?)
    }

    /// Definition and state, as one.
    fn replace_all(&mut self, definition: Definition) -> Result<(), Fault> {
        let state = self.state.clone();
        self.core.write(&definition, |tx| {
            tx.put(definition.id.as_str(), &definition)?;
            tx.put(definition.id.as_str(), &state)
        })?;
        self.definition = definition.into();
        self.publish();
        Ok(())
    }
}
