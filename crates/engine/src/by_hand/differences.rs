//! What a script cannot do, or does in another way.

use hull_launch::spec::{Idmap, MountKind, SeccompWish};
use hull_network::Net;

use super::Subject;
use super::network::other_port;
use super::shell::clean;
use crate::container::record::Base;
use crate::prepare::by_hand::Thing;

/// One sentence each.
pub(super) fn of(subject: &Subject<'_>) -> Vec<String> {
    let spec = &subject.view.definition.spec;
    let process = &spec.process;
    let mut all: Vec<String> = Vec::new();
    let mut tell = |holds: bool, text: &str| {
        if holds {
            all.push(text.to_owned());
        }
    };
    tell(
        process.seccomp != SeccompWish::Unconfined,
        "seccomp: no common command loads a filter of system calls; this one runs without",
    );
    tell(true, "keyring: hull gives it a session keyring of its own; this one shares yours");
    tell(true, "process: `unshare` waits for it, as one process more in its cgroup");
    tell(spec.init, "init: hull's own init is not PID 1; the command itself is");
    tell(process.tty, "terminal: hull makes a terminal in the container's /dev/pts; this one uses yours");
    tell(
        subject.told.v2 && !spec.privileged,
        "devices: on cgroup v2 a BPF program says which devices may be used; no common command loads it",
    );
    tell(
        subject.told.maps.is_some() && !matches!(subject.view.definition.base, Base::Host),
        "root: hull has the kernel map the owners of the layers' files; here they are copied and the copies' owners changed",
    );
    tell(
        subject.told.maps.is_some() && !spec.mounts.is_empty(),
        "mounts: its root must be able to reach what is bound",
    );
    let mapped = |kind: &MountKind| matches!(kind, MountKind::Bind { idmap, .. } | MountKind::Volume { idmap, .. } if *idmap != Idmap::None);
    tell(spec.mounts.iter().any(|mount| mapped(&mount.kind)), "mounts: owners of bound files are not mapped");
    tell(
        matches!(subject.view.definition.base, Base::Layers(_)),
        "files: it begins with those of the image; what the container itself has changed is not there",
    );
    let endpoints = &subject.given.endpoints;
    tell(
        endpoints.iter().any(|endpoint| !endpoint.names.is_empty()),
        "names: nobody answers for the names of other containers",
    );
    tell(
        endpoints.iter().any(|endpoint| endpoint.pinned),
        "network: hull lets a container speak on its bridge in its own name alone",
    );
    tell(
        endpoints.len() > subject.places.len(),
        "network: a link of the host that the container has for itself alone (macvlan, passthru) is left out",
    );
    tell(
        subject.places.iter().any(|place| place.network.has_large_segments()),
        "network: hull's wires take up to 512 KiB of TCP in one piece where nothing leaves a network; these take 64",
    );
    for thing in &subject.told.things {
        if let Thing::Foreign(what) = thing {
            all.push(format!("mounts: {} is left out", clean(what)));
        }
    }
    for place in &subject.places {
        let name = clean(&place.network.name);
        let new = |nets: &[Net]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        all.push(match place.bridged() {
            true => format!("addresses: {} stands in for the subnet of the network {name}", new(&place.stands_in)),
            false => format!("addresses: {} on the network {name} stands in for the container's own", new(&place.own)),
        });
    }
    for port in subject.given.ports.iter().filter(|port| !port.is_direct()) {
        all.push(format!("ports: {} of this machine stands in for {}", other_port(port.host), port.host));
    }
    all
}
