//! `explain --by-hand`: a container as a shell script that makes another one like it, of ordinary commands, in the order in
//! which hull does it.
//!
//! The script is the launch plan, told: [`crate::prepare::by_hand`] gathers the facts of the start once more and compiles
//! the plan; here each step becomes its lines. What a script cannot do is told in [`wire::ByHand::differences`] and in the
//! script's head. It makes everything beside what the engine has, under names of its own. Of a container that does not run the
//! facts are those of a start to come; nothing is kept for one.

mod differences;
mod inside;
mod network;
mod outside;
mod shell;

use hull_launch::spec::NamespaceWish;
use hull_network::etc;
use hull_network::{Driver, MacvlanMode, Net};
use hull_types::Fault;
use hull_wire as wire;

use crate::container::{Container, View};
use crate::core::{Core, blocking};
use crate::networks::Given;
use crate::networks::names::Who;
use crate::prepare::by_hand::{Of, Told, tell};
use crate::prepare::etc_texts;
use network::Place;

/// What the lines are made of.
struct Subject<'a> {
    core: &'a Core,
    view: &'a View,
    told: Told,
    /// What it has of networks, or would be given.
    given: Given,
    places: Vec<Place>,
    /// `hosts`, `hostname` and `resolv.conf`.
    texts: [(&'static str, String); 3],
}

/// `GET /hull/containers/{id}/by-hand`.
pub(crate) fn by_hand(core: &Core, container: &Container) -> Result<wire::ByHand, Fault> {
    let live = container.live();
    let pid = live.as_ref().map(|live| live.pid);
    let view = container.view();
    let told = blocking(|| {
        let group = if pid.is_some() { core.cgroup(&view)? } else { core.cgroup_to_come(&view)? };
        let definition = &view.definition;
        let peer = |id: &str| core.registry.get(&id.parse().ok()?)?.live().map(|live| live.pid);
        let base = definition.base.clone().into();
        let of = Of { id: &definition.id, spec: &definition.spec, base: &base, pid, group: &group, peer: &peer };
        let told = tell(&core.parts, &of)?;
        let given = match pid {
            Some(_) => view.state.given.clone(),
            None => core.networks.imagine(&Who::of(definition), &definition.network)?,
        };
        let texts = texts(core, &view, &given, pid.is_some())?;
        let places = places(core, &given)?;
        let subject = Subject { core, view: &view, told, given, places, texts };
        let differences = differences::of(&subject);
        Ok(wire::ByHand { script: outside::script(&subject, &differences), differences })
    });
    // ORDER: of a process that has ended since, nothing can be told, and what could not be read has this cause.
    if pid.is_some() && container.live().map(|now| now.pid) != pid {
        return Err(Fault::conflict(format!("container {} ended meanwhile", view.name())));
    }
    told
}

/// The files in `/etc` that hull writes: as they are, or as they would be.
fn texts(core: &Core, view: &View, given: &Given, running: bool) -> Result<[(&'static str, String); 3], Fault> {
    let (spec, own) = (&view.definition.spec, core.container_dir(&view.definition.id));
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let (hosts, resolv) = match &spec.namespaces.net {
        NamespaceWish::Container(id) => {
            let theirs = own.with_file_name(id);
            (read(theirs.join("hosts")), read(theirs.join("resolv.conf")))
        }
        _ if running => (read(own.join("hosts")), read(own.join("resolv.conf"))),
        _ => etc_texts(spec, &given.endpoints, &core.networks.host_gateway())?,
    };
    let hostname = if running { read(own.join("hostname")) } else { etc::hostname(&spec.hostname) };
    Ok([("hosts", hosts), ("hostname", hostname), ("resolv.conf", resolv)])
}

/// Its networks: bridges with subnets that nobody has, links of the host with addresses that nobody has.
fn places(core: &Core, given: &Given) -> Result<Vec<Place>, Fault> {
    let mut taken = core.networks.taken(true)?;
    let mut places = Vec::new();
    for endpoint in &given.endpoints {
        let network = core.networks.find(&endpoint.network)?;
        if network.driver == Driver::Macvlan(MacvlanMode::Passthru) {
            continue;
        }
        if network.driver.upper().is_some() {
            let (own, endpoint) = (core.networks.spare(&network)?, endpoint.clone());
            places.push(Place { stands_in: Vec::new(), own, network, endpoint });
            continue;
        }
        let mut stands_in: Vec<Net> = Vec::new();
        for subnet in &network.subnets {
            let free = core.networks.free_pool(true, &taken).ok();
            let new = network::stand_in(subnet.net, free);
            taken.push(new);
            stands_in.push(new);
        }
        places.push(Place { network, endpoint: endpoint.clone(), stands_in, own: Vec::new() });
    }
    Ok(places)
}
