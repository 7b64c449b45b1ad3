//! Wires made ahead of need: a namespace with `eth0` in it, down, whose other end is a port of the network's bridge already. They are
//! kept for the default network and for the few that containers started on last.
//! A start gives it addresses, a hardware address and a route in one request, where making a pair takes the kernel most of a
//! millisecond.
//!
//! ```text
//! refill ──▶ ready ──reserve──▶ reserved ──ready──▶ handed out ──used──▶ a container's
//!              │ forget, close      │ unready            │ unready
//!              └────────────────────┴────────────────────┴──▶ gone with its namespace
//! ```
//!
//! Nothing can come in or go out by one before it is used. With the engine they go, since nobody else holds their namespaces; the
//! next engine sweeps what the kernel has not let go by then.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_netlink::route::Peer;

use super::inside::{self, End};
use super::{State, Switch, find};
use crate::definition::{Definition, Driver, Endpoint};
use crate::error::Error;
use crate::netns::{self, Netns};

/// The name that every one has inside.
const NAME: &str = "eth0";

/// Of how many networks besides the one.
const RECENT: usize = 3;

/// One of them.
#[derive(Debug)]
pub(super) struct Wired {
    /// The link inside.
    pub end: End,
    /// Its namespace is the container's; without a descriptor to spare it is not.
    pub handed_out: bool,
    /// How its port was set: whether a container's way to its own published port is turned on the bridge.
    pub hairpin: bool,
    netns: Netns,
    network: Definition,
}

#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The network whose wires are always wanted, by id.
    always: Option<String>,
    /// The others whose wires are, the one used last at the end.
    recent: Vec<String>,
    ready: BTreeMap<String, Wired>,
    reserved: BTreeMap<String, Wired>,
}

impl Ready {
    /// The one with this link, for good.
    pub(super) fn used(&self, link: &str) -> Option<Wired> {
        self.lock().reserved.remove(link)
    }

    /// The network goes.
    pub(super) fn forget(&self, network: &str) {
        let mut inner = self.lock();
        inner.ready.retain(|_, wired| wired.network.id != network);
        inner.always.take_if(|wanted| wanted == network);
        inner.recent.retain(|wanted| wanted != network);
    }

    /// All go, and none is made any more.
    pub(super) fn close(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A container starts on this network: more of them may follow.
    fn note(&mut self, network: &str) {
        if self.always.as_deref() == Some(network) {
            return;
        }
        self.recent.retain(|other| other != network);
        self.recent.push(network.to_owned());
        if self.recent.len() > RECENT {
            let oldest = self.recent.remove(0);
            self.ready.retain(|_, wired| wired.network.id != oldest);
        }
    }

    /// A network of which fewer are ready than wanted, among those that can have some.
    fn lacking(&self, count: usize, can: impl Fn(&str) -> bool) -> Option<String> {
        let has = |id: &str| self.ready.values().filter(|wired| wired.network.id == id).count();
        self.always.iter().chain(&self.recent).find(|id| can(id) && has(id) < count).cloned()
    }

    fn wants(&self, network: &str) -> bool {
        self.always.as_deref() == Some(network) || self.recent.iter().any(|id| id == network)
    }
}

impl Switch {
    /// Wires of this network are always kept ready from now on.
    pub fn keep_ready(&self, network: &Definition) {
        self.ready.lock().always = (network.driver == Driver::Bridge).then(|| network.id.clone());
    }

    /// Makes wires until `count` are ready. Blocks; meant to run behind an answer.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn refill(&self, count: usize) -> Result<(), Error> {
        loop {
            let up: BTreeMap<String, Definition> =
                self.lock().bridges().map(|network| (network.id.clone(), network.clone())).collect();
            let wanted = self.ready.lock().lacking(count, |id| up.contains_key(id));
            let Some(network) = wanted.and_then(|id| up.get(&id).cloned()) else { return Ok(()) };
            let (link, wired) = self.make_ready(network)?;
            let mut ready = self.ready.lock();
            // ORDER: looked at again, since the network may have gone meanwhile; dropped with its namespace then.
            if ready.wants(&wired.network.id) {
                ready.ready.insert(link, wired);
            }
        }
    }

    fn make_ready(&self, network: Definition) -> Result<(String, Wired), Error> {
        let netns = Netns::new()?;
        let link = random_name();
        let peer = Peer { name: NAME, mac: None, mtu: network.mtu, netns: Some(netns.as_fd()) };
        let hairpin = super::settings::bridged_frames_pass_the_ruleset();
        {
            let mut state = self.lock();
            state.add_wire(&network, &link, peer)?;
            state.set_port(&network, &link)?;
        }
        let v6 = network.subnet(false).is_some();
        let end = netns::within(netns.as_fd(), || inside::open(NAME, v6))?;
        Ok((link, Wired { end, netns, network, handed_out: false, hairpin }))
    }

    /// Keeps a ready wire for an endpoint whose link is to bear the name that is returned. Whether there is one or not: more of
    /// its network's are wanted.
    pub fn reserve(&self, endpoint: &Endpoint) -> Option<String> {
        if endpoint.name != NAME || !endpoint.sysctls.is_empty() || !endpoint.link_local.is_empty() {
            return None;
        }
        let mut ready = self.ready.lock();
        ready.note(&endpoint.network);
        let link = ready.ready.iter().find(|(_, wired)| wired.network.id == endpoint.network)?.0.clone();
        let wired = ready.ready.remove(&link)?;
        ready.reserved.insert(link.clone(), wired);
        Some(link)
    }

    /// The namespace of a wire that is reserved. [`Switch::attach`] of its endpoint uses the wire.
    pub fn ready(&self, link: &str) -> Option<OwnedFd> {
        let mut ready = self.ready.lock();
        let wired = ready.reserved.get_mut(link)?;
        let netns = wired.netns.as_fd().try_clone_to_owned().ok()?;
        wired.handed_out = true;
        Some(netns)
    }

    /// Whether a wire is reserved.
    pub fn is_reserved(&self, link: &str) -> bool {
        self.ready.lock().reserved.contains_key(link)
    }

    /// A reserved wire is not used.
    pub fn unready(&self, link: &str) {
        drop(self.ready.lock().reserved.remove(link));
    }
}

impl State {
    /// Whether a wire is still a port; one that somebody has taken off is none.
    pub(super) fn is_on_its_bridge(&mut self, link: &str) -> bool {
        let found = self.sockets().and_then(|(route, _)| find(route, link));
        found.is_ok_and(|link| link.is_some_and(|link| link.master.is_some()))
    }
}

/// Eight random digits. Without random bytes the second one of that name is refused.
fn random_name() -> String {
    let mut bytes = [0; 4];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!("veth{:08x}", u32::from_be_bytes(bytes))
}
