//! `explain --by-hand`: a running container as a shell script that makes another one like it, of ordinary commands, in the
//! order in which hull does it.
//!
//! The script is the launch plan, told: [`crate::prepare::by_hand`] gathers the facts of the start once more and compiles
//! the plan; here each step becomes its lines. What a script cannot do is told in [`wire::ByHand::differences`] and in the
//! script's head. It makes everything beside what the engine has, under names of its own.

mod differences;
mod inside;
mod network;
mod outside;
mod shell;

use hull_network::Net;
use hull_types::Fault;
use hull_wire as wire;

use crate::container::{Container, View};
use crate::core::{Core, blocking, running};
use crate::prepare::by_hand::{Running, Told, tell};
use network::Place;

/// What the lines are made of.
struct Subject<'a> {
    core: &'a Core,
    view: &'a View,
    told: Told,
    places: Vec<Place>,
}

/// `GET /hull/containers/{id}/by-hand`.
pub(crate) fn by_hand(core: &Core, container: &Container) -> Result<wire::ByHand, Fault> {
    let live = running(container)?;
    let view = container.view();
    let told = blocking(|| {
        let group = core.cgroup(&view)?;
        let definition = &view.definition;
        let peer = |id: &str| core.registry.get(&id.parse().ok()?)?.live().map(|live| live.pid);
        let of = Running { id: &definition.id, spec: &definition.spec, pid: live.pid, group: &group, peer: &peer };
        let told = tell(&core.parts, &of)?;
        let subject = Subject { core, view: &view, told, places: places(core, &view)? };
        let differences = differences::of(&subject);
        Ok(wire::ByHand { script: outside::script(&subject, &differences)?, differences })
    });
    // ORDER: of a process that has ended since, nothing can be told, and what could not be read has this cause.
    if container.live().is_none_or(|now| now.pid != live.pid) {
        return Err(Fault::conflict(format!("container {} ended meanwhile", view.name())));
    }
    told
}

/// Its networks that are bridges, each with subnets that nobody has.
fn places(core: &Core, view: &View) -> Result<Vec<Place>, Fault> {
    let mut taken = core.networks.taken(true)?;
    let mut places = Vec::new();
    for endpoint in &view.state.given.endpoints {
        let network = core.networks.find(&endpoint.network)?;
        if network.driver.upper().is_some() {
            continue;
        }
        let mut stands_in: Vec<Net> = Vec::new();
        for subnet in &network.subnets {
            let free = core.networks.free_pool(true, &taken).ok();
            let new = network::stand_in(subnet.net, free);
            taken.push(new);
            stands_in.push(new);
        }
        places.push(Place { network, endpoint: endpoint.clone(), stands_in });
    }
    Ok(places)
}
