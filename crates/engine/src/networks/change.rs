//! Making and removing networks.

use std::sync::Arc;

use hull_network::{Definition, Driver, Endpoint};
use hull_types::{ContainerId, Fault, Kind};
use hull_wire as wire;

use super::{BUILTIN, DEFAULT, Networks, Row, asked};
use crate::container::Message;
use crate::core::{Core, blocking};
use crate::options::Told;

/// `POST /networks/create`.
pub(crate) fn create(core: &Core, request: &wire::NetworkCreateRequest) -> Result<wire::NetworkCreateResponse, Fault> {
    let networks = &core.networks;
    // One at a time, or two could choose the same pool.
    let _alone = networks.creating.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if networks.find(&request.name).is_ok_and(|known| known.name == request.name) && request.name != DEFAULT {
        return Err(Fault::new(Kind::Conflict, format!("network with name {} already exists", request.name)));
    }
    let taken = blocking(|| networks.taken(asked::is_bridge(request)))?;
    let definition = asked::definition(request, &taken, |v4| networks.free_pool(v4, &taken))?;
    asked::check_parent(&definition, &networks.all())?;
    let own = definition.driver == Driver::Bridge;
    if own && networks.all().iter().any(|other| other.link == definition.link) {
        return Err(Fault::new(
            Kind::Conflict,
            format!("the bridge name {} is that of another network", super::shown(&definition.link)),
        ));
    }
    let network = networks.store(definition)?;
    if let Err(error) = blocking(|| networks.switch.raise(&network)) {
        networks.forget(&network);
        return Err(error.into());
    }
    core.events.network("create", &network.id, &network.name, None);
    Ok(wire::NetworkCreateResponse { id: network.id.clone(), warning: String::new() })
}

/// `POST /networks/{id}/connect`.
pub(crate) async fn connect(core: &Core, who: &str, request: &wire::NetworkConnectRequest) -> Result<(), Fault> {
    let container = core.resolve(&request.container)?;
    refuse_builtin(who)?;
    let network = core.networks.find(who)?;
    let plain = wire::EndpointSettings::default();
    let asked = request.endpoint_config.as_ref().unwrap_or(&plain);
    if network.name == DEFAULT && !asked.links.is_empty() {
        return Err(Fault::invalid(
            "a container joins the default network without links: they are said at its creation",
        ));
    }
    let wish = Box::new(super::plan::wish(&network, asked, &asked.mac_address)?);
    container.ask(|reply| Message::Connect { network, wish, reply }).await
}

/// `POST /networks/{id}/disconnect`.
pub(crate) async fn disconnect(core: &Core, who: &str, request: &wire::NetworkDisconnectRequest) -> Result<(), Fault> {
    let container = core.resolve(&request.container)?;
    refuse_builtin(who)?;
    // A network that is gone may still be noted at a container that does not run.
    let network = core.networks.find(who).map_or_else(|_| who.to_owned(), |network| network.id.clone());
    container.ask(|reply| Message::Disconnect { network, reply }).await
}

fn refuse_builtin(who: &str) -> Result<(), Fault> {
    match BUILTIN.contains(&who) {
        true if who == "host" => Err(Fault::invalid(
            "cannot connect container to host network - container must be created in host network mode",
        )),
        true => Err(Fault::invalid(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )),
        false => Ok(()),
    }
}

/// `DELETE /networks/{id}`.
pub(crate) fn remove(core: &Core, who: &str) -> Result<(), Fault> {
    if BUILTIN.contains(&who) {
        return Err(predefined(who));
    }
    let network = core.networks.find(who)?;
    if network.name == DEFAULT {
        return Err(predefined(DEFAULT));
    }
    let users = core.networks.users(&network.id);
    if !users.is_empty() {
        let shown = |(id, endpoint): &(ContainerId, Endpoint)| {
            let name = core.registry.get(id).map_or_else(String::new, |c| c.view().definition.name.to_string());
            format!("name:\"{name}\" id:\"{}\"", &endpoint.id[..12])
        };
        let mut ends: Vec<String> = users.iter().map(shown).collect();
        ends.sort();
        return Err(Fault::new(
            Kind::Forbidden,
            format!(
                "error while removing network: network {} has active endpoints ({})",
                network.name,
                ends.join(", ")
            ),
        )
        .hint("stop or disconnect its containers first"));
    }
    remove_unused(core, &network)
}

fn remove_unused(core: &Core, network: &Arc<Definition>) -> Result<(), Fault> {
    let networks = &core.networks;
    // ORDER: the record first. A bridge without one is swept at the next start.
    blocking(|| networks.db.write(|tx| tx.delete::<Row>(&network.id)))?;
    networks.lock().known.remove(&network.id);
    if let Err(error) = blocking(|| networks.switch.lower(network)) {
        tracing::warn!(network = %network.name, %error, "its bridge is left behind");
    }
    core.events.network("destroy", &network.id, &network.name, None);
    Ok(())
}

fn predefined(name: &str) -> Fault {
    Fault::new(Kind::Forbidden, format!("{name} is a pre-defined network and cannot be removed"))
}

/// `POST /networks/prune`: those that no container names, running or not.
pub(crate) fn prune(core: &Core, filters: &wire::Filters, told: &Told) -> Result<wire::NetworksPruneReport, Fault> {
    filters.check(&["label", "label!", "until"])?;
    let until = crate::prune::until(filters)?;
    let views: Vec<_> = core.registry.all().iter().map(|container| container.view()).collect();
    let named = |id: &str| views.iter().any(|v| v.definition.network.endpoints.iter().any(|end| end.network == id));
    let mut deleted = Vec::new();
    for network in core.networks.all() {
        let chosen = network.name != DEFAULT
            && !named(&network.id)
            && core.networks.users(&network.id).is_empty()
            && crate::prune::labels_match(filters, &network.labels)
            && until.is_none_or(|until| network.created < until);
        if chosen {
            remove_unused(core, &network)?;
            told(&network.name, "deleted");
            deleted.push(network.name.clone());
        }
    }
    Ok(wire::NetworksPruneReport { networks_deleted: deleted })
}

impl Networks {
    /// Undoes [`Networks::store`].
    fn forget(&self, network: &Definition) {
        self.lock().known.remove(&network.id);
        if let Err(error) = blocking(|| self.db.write(|tx| tx.delete::<Row>(&network.id))) {
            tracing::error!(network = %network.name, %error, "the record of a network that was not made stays");
        }
    }
}
