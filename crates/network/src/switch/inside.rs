//! The container's side of a wire: addresses, the link up, the default route.

use std::os::fd::BorrowedFd;

use hull_netlink::route::{Link, Net, Path};
use hull_netlink::{Route, Tolerate};

use rustix::io::Errno;

use super::kernel;
use crate::definition::{Definition, Endpoint};
use crate::error::Error;

/// Configures the far end in its namespace, on a thread of its own.
pub(super) fn configure(netns: BorrowedFd<'_>, network: &Definition, endpoint: &Endpoint) -> Result<(), Error> {
    crate::netns::within(netns, || within(network, endpoint))
}

/// In the container's namespace.
fn within(network: &Definition, endpoint: &Endpoint) -> Result<(), Error> {
    let attempt = || kernel("configure the container's link");
    let mut route = Route::open().map_err(attempt())?;
    let link = route.link(&endpoint.name).map_err(attempt())?;
    let link = link.ok_or_else(|| Error::Gone { link: endpoint.name.clone() })?;
    if endpoint.address(false).is_none() {
        // IPv6 off means off: no link-local address, nothing heard of routers.
        super::settings::no_ipv6(&endpoint.name);
    } else {
        // Its addresses and its way out are given; a neighbour that says it is a router is not heard.
        super::settings::write(&format!("/proc/sys/net/ipv6/conf/{}/accept_ra", endpoint.name), "0")?;
    }
    for (path, value) in &endpoint.sysctls {
        super::settings::write(&format!("/proc/sys/{path}"), value)?;
    }
    for address in &endpoint.addresses {
        route.add_address(link.index, *address).map_err(attempt())?;
    }
    route.set_up(link.index, true).map_err(attempt())?;
    if endpoint.gateway { add_default(&mut route, link.index, network, endpoint) } else { Ok(()) }
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
        add_default(&mut route, link.index, network, endpoint)
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

fn add_default(route: &mut Route, link: u32, network: &Definition, endpoint: &Endpoint) -> Result<(), Error> {
    if network.internal {
        return Ok(());
    }
    for subnet in &network.subnets {
        let v4 = subnet.net.address.is_ipv4();
        if endpoint.address(v4).is_none() {
            continue;
        }
        let any = if v4 { [0u8; 4].into() } else { [0u8; 16].into() };
        let destination = Net { address: any, prefix: 0 };
        let gateway = Some(subnet.gateway).filter(|_| !network.driver.routes());
        let path = Path { destination, gateway, link, metric: None };
        let added = route.add_path(&path).tolerate(&[Errno::EXIST]);
        added.map_err(kernel("add the container's default route"))?;
    }
    Ok(())
}
