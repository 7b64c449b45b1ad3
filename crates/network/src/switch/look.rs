//! Reads what [`crate::look`] tells.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use hull_netlink::nft::Nft;
use hull_netlink::route::{Link, Net, octets};
use hull_netlink::{Route, Tolerate};
use rustix::io::Errno;

use super::room::{self, FORWARD};
use super::{State, Switch, kernel};
use crate::definition::{Definition, Driver, Endpoint};
use crate::error::Error;
use crate::look::{Seen, SeenLink, SeenRule};
use crate::ports::Published;
use crate::rules;

impl Switch {
    /// What the kernel has of one end, and of ports that are published through it.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn look(
        &self,
        network: &Definition,
        endpoint: &Endpoint,
        ports: &[Published],
        netns: BorrowedFd<'_>,
    ) -> Result<Seen, Error> {
        let mut seen = Seen { table: self.table.to_string(), obeys: self.obeys.is_some(), ..Seen::default() };
        crate::netns::within(netns, || inside(endpoint, &mut seen))?;
        let mut state = self.lock();
        let (route, _) = state.sockets()?;
        let (links, addresses) = read(route)?;
        seen.network = links.iter().find(|link| link.name == network.link).map(|link| shown(link, &links, &addresses));
        if network.driver != Driver::Bridge {
            return Ok(seen);
        }
        seen.wire = links.iter().find(|link| link.name == endpoint.link).map(|link| shown(link, &links, &addresses));
        seen.forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|on| on.trim() == "1");
        seen.whole = state.is_whole(&self.table, self.obeys)?;
        self.look_at_rules(&mut state, network, endpoint, ports, &mut seen)?;
        Ok(seen)
    }

    fn look_at_rules(
        &self,
        state: &mut State,
        network: &Definition,
        endpoint: &Endpoint,
        ports: &[Published],
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let (_, nft) = state.sockets()?;
        let mut elements = |set: &str| {
            let found = nft.elements(&self.table, set).tolerate(&[Errno::NOENT]);
            found.map(Option::unwrap_or_default).map_err(kernel("read the ruleset"))
        };
        let link = hull_netlink::nft::Expr::ifname(&network.link);
        seen.neighbours = elements("neighbours")?.iter().any(|(key, _)| *key == link.repeat(2));
        seen.internal = elements("internal")?.iter().any(|(key, _)| *key == link);
        for port in ports {
            let Some(to) = endpoint.address(port.address.is_ipv4()) else { continue };
            let (map, key, open) = rules::keys_of(port, to);
            let found = elements(map)?.into_iter().find(|(known, _)| *known == key);
            if port.is_direct() {
                let to = found.map(|_| SocketAddr::new(to, port.port));
                seen.rules.push(SeenRule { map, to, open: to.is_some() });
                continue;
            }
            let leads = found.and_then(|(_, data)| target(&data?));
            let set = if to.is_ipv4() { "open4" } else { "open6" };
            let open = elements(set)?.iter().any(|(known, _)| *known == open);
            seen.rules.push(SeenRule { map, to: leads, open });
        }
        let chains = nft.chains().map_err(kernel("read the ruleset"))?;
        for chain in chains.iter().filter(|chain| chain.hook == FORWARD && chain.drops && chain.table != self.table) {
            if !room::is_made(nft, &self.table, chain, network)? {
                seen.dropping.push(format!("{} {}", chain.table, chain.name));
            }
        }
        Ok(())
    }
}

/// Addresses, with the index of their link.
type Addresses = Vec<(u32, Net)>;

fn read(route: &mut Route) -> Result<(Vec<Link>, Addresses), Error> {
    let links = route.links().map_err(kernel("read the links"))?;
    Ok((links, route.addresses().map_err(kernel("read the addresses"))?))
}

fn shown(link: &Link, links: &[Link], addresses: &[(u32, Net)]) -> SeenLink {
    let master = link.master.and_then(|master| links.iter().find(|other| other.index == master));
    SeenLink {
        name: link.name.clone(),
        up: link.up,
        mac: link.mac,
        master: master.map(|master| master.name.clone()),
        isolated: link.isolated,
        addresses: addresses.iter().filter(|(index, _)| *index == link.index).map(|(_, net)| *net).collect(),
    }
}

/// In the container's namespace.
fn inside(endpoint: &Endpoint, seen: &mut Seen) -> Result<(), Error> {
    let mut route = Route::open().map_err(kernel("open a netlink socket"))?;
    let (links, addresses) = read(&mut route)?;
    let link = links.iter().find(|link| link.name == endpoint.name);
    seen.inside = link.map(|link| shown(link, &links, &addresses));
    let paths = route.paths().map_err(kernel("read the routes"))?;
    seen.default_route = paths.iter().any(hull_netlink::route::Path::is_default);
    let mut nft = Nft::open().map_err(kernel("open a netlink socket"))?;
    let tables = nft.tables().map_err(kernel("read the ruleset"))?;
    seen.rules_inside = tables.iter().map(ToString::to_string).collect();
    Ok(())
}

/// `address . port`, each padded to four bytes.
fn target(data: &[u8]) -> Option<SocketAddr> {
    let (address, port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    let address: IpAddr = match address.len() {
        4 => <[u8; 4]>::try_from(address).ok()?.into(),
        16 => <[u8; 16]>::try_from(address).ok()?.into(),
        _ => return None,
    };
    debug_assert_eq!(octets(address).len(), data.len() - 4);
    Some(SocketAddr::new(address, port))
}
