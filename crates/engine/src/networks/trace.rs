//! `network trace`: the way of a packet from outside to a process, and from where it can be gone. What is told is read from
//! the kernel at that moment; records only say what to look for.

mod judge;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::sync::Arc;

use hull_network::look::{Listener, Seen, sockets};
use hull_network::ports::{Protocol, Published};
use hull_network::{Definition, Endpoint};
use hull_types::Fault;
use hull_wire as wire;

use super::shown;
use crate::container::{Container, View};
use crate::core::{Core, blocking, running};

/// A port of the container.
pub(crate) type Port = (u16, Protocol);

/// One network of the container, as it is.
pub(crate) struct Place {
    pub network: Arc<Definition>,
    pub endpoint: Endpoint,
    pub seen: Seen,
}

/// Somebody who waits at a port.
struct Waiting {
    listener: Listener,
    /// Its program and number; none if it is no process of the container's.
    process: Option<String>,
}

/// `GET /hull/trace/{container}`; `port` is as in `80` or `53/udp`, or empty for all that are published, exposed or
/// listened at.
pub(crate) fn trace(core: &Core, container: &Container, port: &str) -> Result<wire::NetworkTrace, Fault> {
    let asked = if port.is_empty() { None } else { Some(read_port(port)?) };
    running(container)?;
    let view = container.view();
    if view.state.given.endpoints.is_empty() {
        let mode = &view.definition.host_config.network_mode;
        return Err(Fault::invalid(format!(
            "container {} is on no network of its own: its network mode is {}",
            view.definition.name,
            shown(mode)
        )));
    }
    let pid = container.live().map_or(0, |live| live.pid);
    let whole = blocking(|| look(core, &view, pid))?;
    Ok(wire::NetworkTrace {
        id: view.definition.id.to_string(),
        name: view.definition.name.to_string(),
        ports: whole.ports(&view, asked),
    })
}

/// The networks of a container as they are, and who waits at its ports.
pub(crate) struct Whole {
    /// That with the default route first: ports are published through it.
    pub places: Vec<Place>,
    waiting: Vec<Waiting>,
}

impl Whole {
    /// One port, or all that are published, exposed or listened at.
    pub fn ports(&self, view: &View, asked: Option<Port>) -> Vec<wire::PortTrace> {
        let ports = asked.map_or_else(|| all(view, &self.waiting), |port| BTreeSet::from([port]));
        let published = &view.state.given.ports;
        ports.into_iter().map(|port| judge::port(port, &self.places, published, &self.waiting)).collect()
    }
}

fn read_port(text: &str) -> Result<Port, Fault> {
    let bad = || Fault::invalid(format!("invalid port {}: write `80` or `53/udp`", shown(text)));
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(bad)?;
    Ok((number, Protocol::parse(protocol).ok_or_else(bad)?))
}

/// Published, exposed, or listened at.
fn all(view: &View, waiting: &[Waiting]) -> BTreeSet<Port> {
    let published = view.state.given.ports.iter().map(|one| (one.port, one.protocol));
    let exposed = view.definition.config.exposed_ports.keys().filter_map(|text| read_port(text).ok());
    let listened = waiting.iter().map(|one| &one.listener).filter(|one| !is_names(one));
    published.chain(exposed).chain(listened.map(|one| (one.at.port(), one.protocol))).collect()
}

/// The name service's own sockets.
fn is_names(listener: &Listener) -> bool {
    listener.at.ip() == std::net::IpAddr::from([127, 0, 0, 11])
}

/// Looks at a container whose PID 1 is `pid`. Blocks.
pub(crate) fn look(core: &Core, view: &View, pid: i32) -> Result<Whole, Fault> {
    let of = rustix::process::Pid::from_raw(pid).ok_or_else(|| Fault::internal("the container has no process"))?;
    let netns = hull_sys::namespace::of(of, "net")?;
    let given = &view.state.given;
    let mut places = Vec::new();
    for endpoint in &given.endpoints {
        let network = core.networks.find(&endpoint.network)?;
        let ports: &[Published] = if endpoint.gateway { &given.ports } else { &[] };
        let seen = core.networks.switch.look(&network, endpoint, ports, netns.as_fd())?;
        places.push(Place { network, endpoint: endpoint.clone(), seen });
    }
    places.sort_by_key(|place| !place.endpoint.gateway);
    let pids = core.cgroup(view)?.pids()?;
    Ok(Whole { places, waiting: waiting(pid, &pids) })
}

/// Who listens in the network namespace of `pid`.
fn waiting(pid: i32, pids: &[i32]) -> Vec<Waiting> {
    let mut found = Vec::new();
    for (file, protocol) in
        [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)]
    {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        found.extend(sockets(protocol, &table).into_iter().map(|listener| Waiting { listener, process: None }));
    }
    for pid in pids {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for target in entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()) {
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.trim_end_matches(']').parse().ok());
            let mut of = found.iter_mut().filter(|one| Some(one.listener.inode) == inode && one.process.is_none());
            if let Some(one) = of.next() {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                one.process = Some(format!("{} (pid {pid})", shown(comm.trim())));
            }
        }
    }
    found
}
