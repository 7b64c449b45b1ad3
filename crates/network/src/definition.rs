//! [`Definition`]: what a network is asked to be. Typed, stored, and enough to make its kernel state.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hull_netlink::route::{IpvlanFlag, IpvlanMode, MacvlanMode, Net, Upper};
use hull_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gateway::{GatewayMode, Gateways};

/// What a network's containers are wired to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Driver {
    /// A bridge of its own.
    #[default]
    Bridge,
    /// A link of this host, each container with a hardware address of its own.
    Macvlan(MacvlanMode),
    /// A link of this host, all containers with its hardware address.
    Ipvlan(IpvlanMode, IpvlanFlag),
}

impl Driver {
    /// docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }

    /// The links that containers have, if they stand on a parent.
    pub fn upper(self) -> Option<Upper> {
        match self {
            Self::Bridge => None,
            Self::Macvlan(mode) => Some(Upper::Macvlan(mode)),
            Self::Ipvlan(mode, flag) => Some(Upper::Ipvlan(mode, flag)),
        }
    }

    /// Whether a container has a hardware address of its own.
    pub fn own_mac(self) -> bool {
        !matches!(self, Self::Ipvlan(..) | Self::Macvlan(MacvlanMode::Passthru))
    }

    /// Whether the way out needs no neighbour: the parent's namespace routes.
    pub(crate) fn routes(self) -> bool {
        matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name that containers join it by.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What its containers are wired to.
    #[serde(default)]
    pub driver: Driver,
    /// The name of its bridge, or of the parent; at most 15 bytes.
    pub link: String,
    /// At most one of IPv4 and one of IPv6, in this order.
    pub subnets: Vec<Subnet>,
    /// How its containers meet other machines.
    #[serde(default)]
    pub gateways: Gateways,
    /// No way out and none in.
    pub internal: bool,
    /// Kept for clients: of networks of a swarm it would say something.
    #[serde(default)]
    pub attachable: bool,
    /// Its containers may talk to each other.
    pub icc: bool,
    /// Its containers leave under the host's address.
    pub masquerade: bool,
    /// Bytes of a packet; the kernel's choice otherwise.
    pub mtu: Option<u32>,
    /// Whether TCP may hand over pieces above 64 KiB; as suits the network where nobody says.
    #[serde(default)]
    pub large_segments: Option<bool>,
    /// Where a port is published that names no address.
    pub publish_on: Option<IpAddr>,
    /// Labels, kept for clients.
    pub labels: BTreeMap<String, String>,
    /// Options as they were asked for, kept for clients.
    pub options: BTreeMap<String, String>,
}

impl Definition {
    /// A bridge of these names, made now, with what nobody asked to be otherwise: its containers may talk to each other and
    /// leave under the host's address. It has no subnet yet.
    pub fn bridge(id: impl Into<String>, name: impl Into<String>, link: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            created: Timestamp::now(),
            driver: Driver::Bridge,
            link: link.into(),
            subnets: Vec::new(),
            gateways: Gateways::default(),
            internal: false,
            attachable: false,
            icc: true,
            masquerade: true,
            mtu: None,
            large_segments: None,
            publish_on: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }

    /// Whether TCP of IPv4 hands over pieces above 64 KiB: half as fast again between containers. What leaves this machine must be cut for
    /// its link by the processor then, since no link takes such pieces; so a network does it that nothing leaves, or one that is asked to.
    pub fn has_large_segments(&self) -> bool {
        self.large_segments.unwrap_or(self.internal)
    }

    /// The bridge's own addresses.
    pub fn host_addresses(&self) -> impl Iterator<Item = Net> {
        let has = |v4| self.gateways.mode(v4) != GatewayMode::Isolated && !(v4 && self.gateways.inhibit_v4);
        let subnets = self.subnets.iter().filter(move |subnet| has(subnet.net.address.is_ipv4()));
        subnets.map(|subnet| Net { address: subnet.gateway, prefix: subnet.net.prefix })
    }

    /// Whether its bridge speaks IPv6.
    pub(crate) fn bridge_has_v6(&self) -> bool {
        self.subnet(false).is_some() && self.gateways.v6 != GatewayMode::Isolated
    }

    /// The subnet of this family.
    pub fn subnet(&self, v4: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.net.address.is_ipv4() == v4)
    }
}

/// One range of addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The network, its host bits zero.
    pub net: Net,
    /// The bridge's own address in it, or that of a router behind the parent.
    pub gateway: IpAddr,
    /// Where containers' addresses are taken from, if not from all of it.
    pub range: Option<Net>,
    /// Addresses that belong to somebody else, by name.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The name of the link inside: `eth0`.
    pub name: String,
    /// The name of its peer on the bridge; of no use where it stands on a parent.
    pub link: String,
    /// Its hardware address.
    pub mac: hull_netlink::route::Mac,
    /// Its addresses with their networks' prefixes.
    pub addresses: Vec<Net>,
    /// Further addresses that are good for this network alone, with their prefixes.
    #[serde(default)]
    pub link_local: Vec<Net>,
    /// The default route goes through this one.
    pub gateway: bool,
    /// What it is called on this network; its container's name is the first. None where there is no name service.
    #[serde(default)]
    pub names: Vec<String>,
    /// Settings of its link inside: a path beneath `/proc/sys`, and the value.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
    /// It may speak in its own name alone: its container cannot change its addresses.
    #[serde(default)]
    pub pinned: bool,
}

impl Endpoint {
    /// Its address of this family.
    pub fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses.iter().map(|net| net.address).find(|address| address.is_ipv4() == v4)
    }

    /// Whether its link has IPv6.
    pub(crate) fn has_v6(&self) -> bool {
        self.addresses.iter().chain(&self.link_local).any(|net| net.address.is_ipv6())
    }
}
