//! The container's side of a wire: addresses, the link up, the default route.

use std::os::fd::BorrowedFd;

use hull_netlink::Route;
use hull_netlink::route::{Link, Mac, Net, Path};

use super::kernel;
use crate::definition::{Definition, Endpoint, Subnet};
use crate::error::Error;

/// Configures the far end in its namespace, on a thread of its own.
pub(super) fn configure(netns: BorrowedFd<'_>, network: &Definition, endpoint: &Endpoint) -> Result<(), Error> {
    crate::netns::within(netns, || within(network, endpoint))
}

/// In the container's namespace.
fn within(network: &Definition, endpoint: &Endpoint) -> Result<(), Error> {
    let mut end = open(&endpoint.name, endpoint.has_v6())?;
    for (path, value) in &endpoint.sysctls {
        super::settings::write(&format!("/proc/sys/{path}"), value)?;
    }
    end.equip(network, endpoint, None)
}

/// A link in a container's namespace, and a socket of that namespace.
#[derive(Debug)]
pub(super) struct End {
    route: Route,
    link: u32,
}

/// Finds a link in the calling thread's namespace and settles what it has of IPv6, while it is down.
pub(super) fn open(name: &str, v6: bool) -> Result<End, Error> {
    let mut route = Route::open().map_err(kernel("open a netlink socket"))?;
    let link = route.link(name).map_err(kernel("configure the container's link"))?;
    let link = link.ok_or_else(|| Error::Gone { link: name.to_owned() })?.index;
    if v6 {
        // Its addresses and its way out are given; a neighbour that says it is a router is not heard.
        super::settings::write(&format!("/proc/sys/net/ipv6/conf/{name}/accept_ra"), "0")?;
    } else {
        // IPv6 off means off: no link-local address, nothing heard of routers.
        super::settings::no_ipv6(name);
    }
    Ok(End { route, link })
}

impl End {
    /// Gives it its addresses and the default route, and sets it up. From whichever namespace.
    pub(super) fn equip(&mut self, network: &Definition, endpoint: &Endpoint, mac: Option<Mac>) -> Result<(), Error> {
        let paths = if endpoint.gateway { defaults(self.link, network, endpoint) } else { Vec::new() };
        let addresses = [&endpoint.addresses[..], &endpoint.link_local].concat();
        let equipped = self.route.equip(self.link, mac, &addresses, &paths);
        equipped.map_err(kernel("configure the container's link"))
    }
}

/// The default route goes through another endpoint from now on, or through none.
pub(super) fn lead(
    netns: BorrowedFd<'_>,
    from: Option<&Endpoint>,
    to: Option<(&Definition, &Endpoint)>,
) -> Result<(), Error> {
    crate::netns::within(netns, || {
        let attempt = || kernel("change the container's default route");
        let mut route = Route::open().map_err(attempt())?;
        let old = from.map(|end| route.link(&end.name)).transpose().map_err(attempt())?.flatten();
        // With a link that is gone, so are its routes.
        if let Some(old) = old {
            for path in route.paths().map_err(attempt())? {
                if path.is_default() && path.link == old.index {
                    route.delete_path(&path).map_err(attempt())?;
                }
            }
        }
        let Some((network, endpoint)) = to else { return Ok(()) };
        let link = route.link(&endpoint.name).map_err(attempt())?;
        let link = link.ok_or_else(|| Error::Gone { link: endpoint.name.clone() })?;
        // ORDER: in the place of whatever leads out now. After a kill that may be a wire which is still about to be swept, and
        // the route would go with it.
        for path in defaults(link.index, network, endpoint) {
            route.replace_path(&path).map_err(attempt())?;
        }
        Ok(())
    })
}

/// Deletes a link, if it is there.
pub(super) fn delete(netns: BorrowedFd<'_>, name: &str) -> Result<(), Error> {
    sweep_where(netns, |link| link.name == name)
}

/// Deletes links that stand on these parents and are not among those that are used.
pub(super) fn sweep(netns: BorrowedFd<'_>, parents: &[u32], used: &[&str]) -> Result<(), Error> {
    let stands = |link: &Link| {
        matches!(link.kind.as_deref(), Some("macvlan" | "ipvlan")) && link.peer.is_some_and(|on| parents.contains(&on))
    };
    sweep_where(netns, |link| stands(link) && !used.contains(&&*link.name))
}

fn sweep_where(netns: BorrowedFd<'_>, which: impl Fn(&Link) -> bool + Sync) -> Result<(), Error> {
    crate::netns::within(netns, || {
        let attempt = || kernel("delete the container's link");
        let mut route = Route::open().map_err(attempt())?;
        for link in route.links().map_err(attempt())?.iter().filter(|link| which(link)) {
            route.delete(link.index).map_err(attempt())?;
        }
        Ok(())
    })
}

/// The ways out of a network.
fn defaults(link: u32, network: &Definition, endpoint: &Endpoint) -> Vec<Path> {
    let has = |v4| endpoint.address(v4).is_some();
    let out = network.subnets.iter().filter(|subnet| !network.internal && has(subnet.net.address.is_ipv4()));
    let path = |subnet: &Subnet| {
        let any = if subnet.net.address.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
        let gateway = Some(subnet.gateway).filter(|_| !network.driver.routes());
        Path { destination: Net { address: any, prefix: 0 }, gateway, link, metric: None }
    };
    out.map(path).collect()
}
