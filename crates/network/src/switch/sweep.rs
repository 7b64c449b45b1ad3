//! Taking away: what starts that were cut short left, and everything at the end.

use std::os::fd::BorrowedFd;

use hull_netlink::route::Link;

use super::{Switch, inside, kernel};
use crate::error::Error;

impl Switch {
    /// Takes away every wire on bridges that are up, and on these, whose link is in no use: of starts that were cut short. A wire
    /// belongs to the bridge it is on, so no other engine's is touched.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn sweep(&self, bridges: &[String], used: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        self.delete(&self.strays(bridges, used)?)
    }

    /// Deletes links. Waits for the kernel, some 15 ms for each.
    ///
    /// # Errors
    /// The kernel's first refusal; the rest was tried.
    pub fn delete(&self, links: &[u32]) -> Result<(), Error> {
        let mut result = Ok(());
        for link in links {
            let mut state = self.lock();
            let (route, _) = state.sockets()?;
            result = result.and(route.delete(*link).map_err(kernel("delete a wire that nobody uses")));
        }
        result
    }

    /// What [`Switch::sweep`] takes away: the links' numbers, which no other link will have.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn strays(&self, bridges: &[String], used: &dyn Fn(&str) -> bool) -> Result<Vec<u32>, Error> {
        let mut state = self.lock();
        let up: Vec<String> = state.bridges().map(|network| network.link.clone()).collect();
        let bridges = [bridges, &up].concat();
        let (route, _) = state.sockets()?;
        let links = route.links().map_err(kernel("read the links"))?;
        let ours = |link: &Link| {
            link.master.is_some_and(|master| {
                links.iter().any(|bridge| bridge.index == master && bridges.contains(&bridge.name))
            })
        };
        Ok(links.iter().filter(|link| ours(link) && !used(&link.name)).map(|link| link.index).collect())
    }

    /// The same inside a container's namespace, of links that stand on a parent and are not among these names.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn sweep_inside(&self, netns: BorrowedFd<'_>, used: &[&str]) -> Result<(), Error> {
        let parents: Vec<String> = {
            let state = self.lock();
            state.up.values().filter(|n| n.driver.upper().is_some()).map(|network| network.link.clone()).collect()
        };
        if parents.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        let (route, _) = state.sockets()?;
        let links = route.links().map_err(kernel("read the links"))?;
        let parents: Vec<u32> =
            links.iter().filter(|link| parents.contains(&link.name)).map(|link| link.index).collect();
        inside::sweep(netns, &parents, used)
    }

    /// Takes everything away: bridges, these among them, rules, wires.
    ///
    /// # Errors
    /// The first refusal; the rest was tried.
    pub fn clear(&self, bridges: &[String]) -> Result<(), Error> {
        self.ready.close();
        let swept = self.sweep(bridges, &|_| false);
        let mut state = self.lock();
        let networks = std::mem::take(&mut state.up);
        state.ports.clear();
        state.pins.clear();
        state.answering.clear();
        let mut result = swept.and(state.install(&self.table, self.obeys));
        for network in networks.values() {
            result = result.and(match network.driver.upper() {
                Some(_) => state.lower_parent(network, &self.table.name),
                None => state.delete_link(&network.link),
            });
        }
        for bridge in bridges {
            result = result.and(state.delete_link(bridge));
        }
        result
    }
}
