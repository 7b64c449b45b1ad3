//! Networks whose containers' links stand on a link of this host: macvlan, ipvlan. The parent is somebody else's, or one of
//! hull's own, which bears hull's name as its alias:
//!
//! ```text
//! eth0.50     a VLAN of eth0, if there was none
//! dm-ID       without a parent: one end of a pair whose other end is a port of a bridge that is down, so that
//!             frames of containers end there
//! ```

use std::os::fd::BorrowedFd;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use hull_netlink::route::{Bridge, MacvlanMode, NewLink, Peer, Upper, Veth};
use hull_netlink::{Route, Tolerate};
use rustix::io::Errno;

use super::{State, find, inside, kernel};
use crate::definition::{Definition, Endpoint};
use crate::error::Error;

/// What a kernel must be built with for a kind of link.
fn option(kind: Upper) -> &'static str {
    match kind {
        Upper::Macvlan(_) => "CONFIG_MACVLAN",
        Upper::Ipvlan(..) => "CONFIG_IPVLAN",
        Upper::Vlan(_) => "CONFIG_VLAN_8021Q",
    }
}

/// Refuses a kind of link that this kernel does not know.
fn known(route: &mut Route, kind: Upper) -> Result<(), Error> {
    match route.knows(kind).map_err(kernel("ask the kernel which links it knows"))? {
        true => Ok(()),
        false => Err(Error::UnknownLink { kind: kind.kind(), option: option(kind) }),
    }
}

/// The names of the three links that stand for a parent.
fn own(id: &str) -> [String; 3] {
    ["dm", "dx", "dd"].map(|what| format!("{what}-{}", &id[..12]))
}

/// The name of the parent of a network that names none.
pub fn own_parent(id: &str) -> String {
    let [parent, ..] = own(id);
    parent
}

impl State {
    /// Makes the parent if it is not there and hull's to make.
    pub(super) fn raise_parent(&mut self, network: &Definition, owner: &str) -> Result<(), Error> {
        let Some(kind) = network.driver.upper() else { return Ok(()) };
        let (route, _) = self.sockets()?;
        known(route, kind)?;
        if let Some(parent) = find(route, &network.link)? {
            if parent.alias.as_deref() == Some(owner) {
                route.set_up(parent.index, true).map_err(kernel("set the parent up"))?;
            }
            return Ok(());
        }
        let made = if network.link == own_parent(&network.id) {
            make_own(route, &network.id, network.mtu)
        } else {
            make_vlan(route, &network.link)
        };
        let noted = made.and_then(|()| {
            let made = find(route, &network.link)?.ok_or_else(|| Error::Gone { link: network.link.clone() })?;
            route.set_alias(made.index, owner).map_err(kernel("note whose link it is"))
        });
        noted.inspect_err(|_| {
            let _ = self.lower_parent(network, owner);
        })
    }

    /// Takes the parent away if hull made it and no other network stands on it.
    pub(super) fn lower_parent(&mut self, network: &Definition, owner: &str) -> Result<(), Error> {
        if self.up.values().any(|other| other.link == network.link && other.id != network.id) {
            return Ok(());
        }
        if network.link == own_parent(&network.id) {
            let [parent, _, end] = own(&network.id);
            return self.delete_link(&parent).and(self.delete_link(&end));
        }
        let (route, _) = self.sockets()?;
        match find(route, &network.link)? {
            Some(link) if link.alias.as_deref() == Some(owner) => self.delete_link(&network.link),
            _ => Ok(()),
        }
    }
}

fn make_own(route: &mut Route, id: &str, mtu: Option<u32>) -> Result<(), Error> {
    let attempt = || kernel("make a parent for the network");
    let [parent, port, end] = own(id);
    for left in [&parent, &end] {
        if let Some(link) = find(route, left)? {
            route.delete(link.index).map_err(attempt())?;
        }
    }
    let link = NewLink { name: &end, ..NewLink::default() };
    route.add_bridge(&Bridge { link, multicast_snooping: false }).map_err(attempt())?;
    let end = find(route, &end)?.ok_or(Error::Gone { link: end })?.index;
    // ORDER: no address of IPv6 before it is up, and its peer is a port before anything can come in by it.
    let peer = Peer { name: &parent, mac: None, mtu, netns: None };
    let near = NewLink { name: &port, mtu, master: Some(end), ..NewLink::default() };
    route.add_veth(&Veth { link: near, peer, segment_ipv4: None }).map_err(attempt())?;
    for name in [&port, &parent] {
        super::settings::no_ipv6(name);
        let link = find(route, name)?.ok_or_else(|| Error::Gone { link: name.clone() })?;
        route.set_up(link.index, true).map_err(attempt())?;
    }
    Ok(())
}

/// `eth0.50`: what is tagged 50 on `eth0`.
fn make_vlan(route: &mut Route, name: &str) -> Result<(), Error> {
    let gone = || Error::NoParent { link: name.to_owned() };
    let (below, id) = name.rsplit_once('.').ok_or_else(gone)?;
    let id = id.parse().ok().filter(|id| (1..=4094).contains(id)).ok_or_else(gone)?;
    let below = find(route, below)?.ok_or_else(gone)?;
    known(route, Upper::Vlan(id))?;
    let link = NewLink { name, up: true, ..NewLink::default() };
    let made = route.add_upper(&link, below.index, Upper::Vlan(id)).tolerate(&[Errno::EXIST]);
    made.map(drop).map_err(kernel(format!("make the VLAN `{name}`")))
}

/// How long a parent that is passed through is waited for: its last container's namespace goes some time after its process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container on its parent.
pub(super) fn attach<'a>(
    state: impl Fn() -> MutexGuard<'a, State>,
    (network, endpoint, netns): (&Definition, &Endpoint, BorrowedFd<'_>),
    kind: Upper,
) -> Result<(), Error> {
    let link = NewLink {
        name: &endpoint.name,
        mac: network.driver.own_mac().then_some(endpoint.mac),
        mtu: network.mtu,
        netns: Some(netns),
        ..NewLink::default()
    };
    let begin = Instant::now();
    loop {
        // ORDER: not held while this waits.
        let mut state = state();
        let (route, _) = state.sockets()?;
        let parent = find(route, &network.link)?.ok_or_else(|| Error::Gone { link: network.link.clone() })?;
        match route.add_upper(&link, parent.index, kind) {
            Ok(()) => break,
            Err(error) => {
                let may_pass = kind == Upper::Macvlan(MacvlanMode::Passthru) && error.errno() == Some(Errno::INVAL);
                if !may_pass || begin.elapsed() > PATIENCE {
                    let attempt = format!("give the container a {} on `{}`", kind.kind(), network.link);
                    return Err(kernel(attempt)(error));
                }
            }
        }
        drop(state);
        std::thread::sleep(Duration::from_millis(20));
    }
    inside::configure(netns, network, endpoint).inspect_err(|_| {
        let _ = inside::delete(netns, &endpoint.name);
    })
}
