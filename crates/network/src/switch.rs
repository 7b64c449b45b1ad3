//! [`Switch`]: the host's side of the networks. It makes bridges, wires containers to them and keeps the
//! ruleset; all of it derived from what it was told, so that it can be made again at any time.
//!
//! Blocking; one caller at a time. It belongs to the network namespace of the thread that first uses it,
//! which is the engine's.

mod inside;
mod look;
mod loopback6;
mod mend;
mod obey;
mod pins;
mod ready;
mod room;
mod settings;
mod sweep;
mod upper;

pub use upper::own_parent;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_netlink::nft::{Batch, Family, Nft, Table};
use hull_netlink::route::{Bridge, Link, Mac, Net, NewLink, Peer, Veth};
use hull_netlink::{Route, Tolerate};
use rustix::io::Errno;

use crate::definition::{Definition, Driver, Endpoint};
use crate::error::Error;
use crate::ipam;
use crate::rules::{self, Loopback6, PortRule};

/// The host's side of one engine's networks.
#[derive(Debug)]
pub struct Switch {
    table: Table,
    /// The log group of what the host's input rules let through, if they are asked.
    obeys: Option<u16>,
    state: Mutex<State>,
    /// Wires made ahead of need.
    ready: ready::Ready,
}

#[derive(Debug, Default)]
struct State {
    sockets: Option<(Route, Nft)>,
    /// Networks whose bridges are up, by id.
    up: BTreeMap<String, Definition>,
    /// Published ports, by the id of their endpoint.
    ports: BTreeMap<String, Vec<PortRule>>,
    /// Wires that speak in their own name alone, by the id of their endpoint.
    pins: BTreeMap<String, Endpoint>,
    /// Those that are no more, which the kernel is still to be told of.
    unpinned: Vec<Endpoint>,
    /// The kernel has no rules for bridges.
    unpinnable: bool,
    /// How answers to `::1` come back, once that is known.
    loopback6: Option<Loopback6>,
    /// Those with published ports of IPv6, by the id of their endpoint.
    answering: BTreeMap<String, Endpoint>,
}

impl Switch {
    /// A switch with nothing on it; `name` is the name of its table. Touches nothing yet.
    pub fn new(name: &str) -> Self {
        let table = Table { family: Family::Inet, name: name.to_owned() };
        Self { table, obeys: None, state: Mutex::default(), ready: ready::Ready::default() }
    }

    /// What the host's links and routes already use, for choosing a pool.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn taken(&self) -> Result<Vec<Net>, Error> {
        let mut state = self.lock();
        let (route, _) = state.sockets()?;
        let paths = route.paths().map_err(kernel("read the routes"))?;
        let addresses = route.addresses().map_err(kernel("read the addresses"))?;
        let of_addresses = addresses.into_iter().map(|(_, net)| net.network());
        Ok(paths.iter().map(|path| path.destination).filter(|net| net.prefix > 0).chain(of_addresses).collect())
    }

    /// Makes the network's bridge, with its addresses and rules, if it is not up yet; of one that stands on a parent, the
    /// parent, if that is hull's to make.
    ///
    /// # Errors
    /// The kernel's refusal; what was made of it goes again.
    pub fn raise(&self, network: &Definition) -> Result<(), Error> {
        let mut state = self.lock();
        if state.up.get(&network.id) == Some(network) {
            return Ok(());
        }
        if network.driver.upper().is_some() {
            state.raise_parent(network, &self.table.name)?;
            state.up.insert(network.id.clone(), network.clone());
            return Ok(());
        }
        let made = state.make_bridge(network);
        made.and_then(|()| {
            state.up.insert(network.id.clone(), network.clone());
            state.install(&self.table, self.obeys)
        })
        .inspect_err(|_| {
            state.up.remove(&network.id);
            let _ = state.delete_link(&network.link);
        })
    }

    /// Takes a network's bridge and rules away.
    ///
    /// # Errors
    /// The kernel's refusal; the rest was tried.
    pub fn lower(&self, network: &Definition) -> Result<(), Error> {
        self.ready.forget(&network.id);
        let mut state = self.lock();
        state.up.remove(&network.id);
        if network.driver.upper().is_some() {
            return state.lower_parent(network, &self.table.name);
        }
        let installed = state.install(&self.table, self.obeys);
        // What the rules are refused for is no reason to keep the bridge.
        state.delete_link(&network.link).and(installed)
    }

    /// Wires a namespace to a network that is up.
    ///
    /// # Errors
    /// The kernel's refusal; nothing is left of it then.
    pub fn attach(&self, network: &Definition, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<(), Error> {
        if let Some(kind) = network.driver.upper() {
            return upper::attach(|| self.lock(), (network, endpoint, netns), kind);
        }
        let made = self.ready.used(&endpoint.link);
        let mut state = self.lock();
        let made = match made {
            Some(made) if made.handed_out && state.is_on_its_bridge(&endpoint.link) => Some(made),
            Some(_) => state.delete_link(&endpoint.link).map(|()| None)?,
            None => None,
        };
        if made.is_none() {
            let peer = Peer { name: &endpoint.name, mac: Some(endpoint.mac), mtu: network.mtu, netns: Some(netns) };
            state.add_wire(network, &endpoint.link, peer)?;
        }
        // Whether bridged frames pass the ruleset may have changed since.
        let is_set = made.as_ref().is_some_and(|made| made.hairpin == settings::bridged_frames_pass_the_ruleset());
        // ORDER: pinned before it can send.
        let configured = state.pin(&self.table, endpoint).and_then(|()| match made {
            Some(mut made) => made.end.equip(network, endpoint, Some(endpoint.mac)),
            None => inside::configure(netns, network, endpoint),
        });
        let is_port = |state: &mut State| if is_set { Ok(()) } else { state.set_port(network, &endpoint.link) };
        configured.and_then(|()| is_port(&mut state)).inspect_err(|_| {
            let _ = state.delete_link(&endpoint.link);
            let _ = state.unpin(&self.table, &endpoint.id);
        })
    }

    /// Opens the ports of an endpoint, all at once.
    ///
    /// # Errors
    /// The kernel's refusal; none is open then.
    pub fn publish(&self, endpoint: &Endpoint, ports: Vec<PortRule>) -> Result<(), Error> {
        if ports.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        let mut batch = Batch::new();
        rules::add_ports(&mut batch, &self.table, &ports, self.obeys());
        let (_, nft) = state.sockets()?;
        let added = nft.commit(batch).tolerate(&[Errno::NOENT]).map_err(kernel("publish ports"))?;
        state.note_answers(endpoint, ports.iter().any(|port| port.to.is_ipv6() && !port.published.is_direct()));
        state.ports.insert(endpoint.id.clone(), ports);
        // Somebody flushed the table: it is made again, with these.
        if added.is_none() {
            return state.install(&self.table, self.obeys);
        }
        state.lead_answers(&self.table, endpoint)
    }

    /// Closes the ports of an endpoint and lets its wire go. The wire of a container that has ended goes with its
    /// namespace; this waits for none of it.
    ///
    /// # Errors
    /// The kernel's refusal; the rest was tried.
    pub fn detach(&self, endpoint: &str) -> Result<(), Error> {
        self.lock().forget_pin(endpoint);
        self.close(endpoint)
    }

    /// Tells the kernel of wires that were let go; without that, the next start does.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn let_go(&self) -> Result<(), Error> {
        self.lock().change_pins(&self.table, None)
    }

    /// Closes the ports of an endpoint.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn close(&self, endpoint: &str) -> Result<(), Error> {
        let mut state = self.lock();
        let Some(ports) = state.ports.remove(endpoint) else { return Ok(()) };
        let forgotten = state.forget_answers(&self.table, endpoint);
        let mut batch = Batch::new();
        rules::delete_ports(&mut batch, &self.table, &ports, self.obeys());
        let (_, nft) = state.sockets()?;
        let deleted = nft.commit(batch).tolerate(&[Errno::NOENT]).map_err(kernel("close published ports"))?;
        if deleted.is_none() { state.install(&self.table, self.obeys) } else { forgotten }
    }

    /// Lets a wire speak in any name from now on.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn let_speak(&self, endpoint: &str) -> Result<(), Error> {
        self.lock().unpin(&self.table, endpoint)
    }

    /// Takes over a wire that an earlier engine made.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn adopt(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.lock().pin(&self.table, endpoint)
    }

    /// Has a container's default route go through another endpoint, or through none.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn lead(
        &self,
        netns: BorrowedFd<'_>,
        from: Option<&Endpoint>,
        to: Option<(&Definition, &Endpoint)>,
    ) -> Result<(), Error> {
        inside::lead(netns, from, to)
    }

    /// Takes away the wire of an endpoint whose container lives on. Waits for the kernel, 14 to 22 ms.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn unplug(&self, network: &Definition, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<(), Error> {
        match network.driver.upper() {
            Some(_) => inside::delete(netns, &endpoint.name),
            None => self.lock().delete_link(&endpoint.link),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a packet where nothing says otherwise.
const ETHERNET: u32 = 1500;

/// Bytes that TCP hands over in one piece where it may be much: the most a veth takes (the kernel's `GSO_MAX_SIZE`).
const LARGE_SEGMENT: u32 = 8 * 65_535;

/// Bytes of a packet on the link of the default route; none without one. What a container sends shall leave this machine in one
/// piece, also through a tunnel or a cloud's network.
fn uplink_mtu(route: &mut Route) -> Result<Option<u32>, Error> {
    let attempt = "find the link of the default route";
    let paths = route.paths().map_err(kernel(attempt))?;
    let best = paths.iter().filter(|path| path.is_default()).min_by_key(|path| path.metric.unwrap_or(0));
    let Some(best) = best else { return Ok(None) };
    let links = route.links().map_err(kernel(attempt))?;
    Ok(links.into_iter().find(|link| link.index == best.link).map(|link| link.mtu))
}

impl State {
    fn sockets(&mut self) -> Result<(&mut Route, &mut Nft), Error> {
        if self.sockets.is_none() {
            let route = Route::open().map_err(kernel("open a netlink socket"))?;
            let nft = Nft::open().map_err(kernel("open a netlink socket"))?;
            self.sockets = Some((route, nft));
        }
        let (route, nft) = self.sockets.as_mut().expect("just made");
        Ok((route, nft))
    }

    /// The bridge networks that are up.
    fn bridges(&self) -> impl Iterator<Item = &Definition> {
        self.up.values().filter(|network| network.driver == Driver::Bridge)
    }

    fn make_bridge(&mut self, network: &Definition) -> Result<(), Error> {
        let (route, _) = self.sockets()?;
        let attempt = || format!("make the bridge `{}`", network.link);
        let mac = network.subnet(true).and_then(|subnet| match subnet.gateway {
            std::net::IpAddr::V4(gateway) => Some(ipam::mac(gateway)),
            std::net::IpAddr::V6(_) => None,
        });
        let mtu = match network.mtu {
            None if !network.internal => uplink_mtu(route)?,
            asked => asked,
        };
        let link = NewLink { name: &network.link, mac: mac.or_else(random_mac), mtu, up: true, ..NewLink::default() };
        let made = route.add_bridge(&Bridge { link, multicast_snooping: false });
        // One that an earlier engine made is taken over.
        made.tolerate(&[Errno::EXIST]).map_err(kernel(attempt()))?;
        let bridge = find(route, &network.link)?.ok_or_else(|| Error::Gone { link: network.link.clone() })?;
        if bridge.kind.as_deref() != Some("bridge") {
            return Err(Error::NoBridge { link: network.link.clone() });
        }
        let wanted = mtu.unwrap_or(ETHERNET);
        if bridge.mtu != wanted {
            route.set_mtu(bridge.index, wanted).map_err(kernel(attempt()))?;
        }
        for own in network.host_addresses() {
            route.add_address(bridge.index, own).tolerate(&[Errno::EXIST]).map_err(kernel(attempt()))?;
        }
        route.set_up(bridge.index, true).map_err(kernel(attempt()))?;
        settings::of_bridge(network)?;
        if network.bridge_has_v6() {
            let (route, _) = self.sockets()?;
            route.hear_loopback6(bridge.index).tolerate(&[Errno::EXIST]).map_err(kernel(attempt()))?;
        }
        Ok(())
    }

    /// Makes a wire whose near end is a port of the network's bridge.
    fn add_wire(&mut self, network: &Definition, name: &str, peer: Peer<'_>) -> Result<(), Error> {
        let (route, _) = self.sockets()?;
        let bridge = find(route, &network.link)?.ok_or_else(|| Error::Gone { link: network.link.clone() })?;
        let mtu = Some(network.mtu.unwrap_or(bridge.mtu));
        let link = NewLink { name, mtu, master: Some(bridge.index), up: true, ..NewLink::default() };
        // What the bridge cannot tell of, the kernel cannot do.
        let segment_ipv4 = bridge.segment_ipv4.filter(|_| network.has_large_segments()).map(|_| LARGE_SEGMENT);
        let veth = Veth { link, peer: Peer { mtu, ..peer }, segment_ipv4 };
        route.add_veth(&veth).map_err(kernel("wire the container to its network"))
    }

    fn set_port(&mut self, network: &Definition, name: &str) -> Result<(), Error> {
        // Where bridged frames pass the ruleset, a container's way to its own published port is turned on
        // the bridge itself.
        let hairpin = settings::bridged_frames_pass_the_ruleset();
        if network.icc && !hairpin {
            return Ok(());
        }
        let (route, _) = self.sockets()?;
        let link = find(route, name)?.ok_or_else(|| Error::Gone { link: name.to_owned() })?;
        route.set_port(link.index, !network.icc, hairpin).map_err(kernel("set the container's port on the bridge"))
    }

    fn delete_link(&mut self, name: &str) -> Result<(), Error> {
        let (route, _) = self.sockets()?;
        match find(route, name)? {
            Some(link) => route.delete(link.index).map_err(kernel(format!("delete the link `{name}`"))),
            None => Ok(()),
        }
    }
}

fn find(route: &mut Route, name: &str) -> Result<Option<Link>, Error> {
    route.link(name).map_err(kernel("read the links"))
}

/// A bridge without an address of IPv4 has a locally administered one that stays, whoever joins.
fn random_mac() -> Option<Mac> {
    let mut bytes = [0; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    bytes[0] = (bytes[0] | 0x02) & 0xfe;
    Some(Mac(bytes))
}

/// Adds what was attempted to the kernel's refusal.
fn kernel(attempt: impl Into<String>) -> impl FnOnce(hull_netlink::Error) -> Error {
    let attempt = attempt.into();
    move |source| Error::Kernel { attempt: format!("cannot {attempt}"), source }
}
