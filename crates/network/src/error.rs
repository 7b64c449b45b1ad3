//! What can go wrong with networks.

use std::net::IpAddr;

use hull_netlink::route::Net;
use hull_types::{Fault, Kind};

/// A failed operation on networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel gave no new namespace.
    #[error("cannot make a network namespace")]
    NewNamespace {
        /// The cause.
        source: hull_sys::Error,
    },
    /// The kernel refused a change of links, addresses, routes or rules.
    #[error("{attempt}")]
    Kernel {
        /// What was attempted.
        attempt: String,
        /// The cause.
        source: hull_netlink::Error,
    },
    /// A setting beneath `/proc/sys` could not be written.
    #[error("cannot write `{value}` to `{path}`: {why}")]
    Setting {
        /// The file.
        path: String,
        /// What was to be written.
        value: String,
        /// The kernel's words.
        why: String,
    },
    /// A link that should be there is not.
    #[error("the link `{link}` is gone")]
    Gone {
        /// Its name.
        link: String,
    },
    /// A link of a network's name that is something else.
    #[error("the link `{link}` is no bridge")]
    NoBridge {
        /// Its name.
        link: String,
    },
    /// A kind of link that the kernel does not know.
    #[error("this kernel has no {kind} links")]
    UnknownLink {
        /// `macvlan`, `ipvlan` or `vlan`.
        kind: &'static str,
        /// The option that it would have to be built with.
        option: &'static str,
    },
    /// A parent that is not there, and is no VLAN of one that is.
    #[error("the parent `{link}` of the network is not there")]
    NoParent {
        /// Its name.
        link: String,
    },
    /// No socket for the name service.
    #[error("cannot open a socket for the name service: {why}")]
    Names {
        /// The kernel's words.
        why: String,
    },
    /// No thread for the watch over the ruleset.
    #[error("cannot start the thread that watches the ruleset: {why}")]
    Thread {
        /// The kernel's words.
        why: String,
    },
    /// Every default pool overlaps a network or a route.
    #[error("all predefined address pools have been fully subnetted")]
    NoPool,
    /// A network is full.
    #[error("no available IPv4 or IPv6 addresses on this network's address pools: {0}")]
    NoAddress(Net),
    /// An address of another network.
    #[error("no configured subnet contains IP address {address}")]
    AddressOutside {
        /// What was asked for.
        address: IpAddr,
        /// What the network has.
        net: Net,
    },
    /// An address that somebody has.
    #[error("Address already in use: {0}")]
    AddressInUse(IpAddr),
    /// A port that somebody has.
    #[error("Bind for {address}:{port} failed: port is already allocated")]
    PortInUse {
        /// The host's address.
        address: IpAddr,
        /// The host's port.
        port: u16,
        /// `tcp`, `udp` or `sctp`.
        protocol: &'static str,
        /// Who holds it, if that can be told.
        holder: Option<String>,
    },
    /// A port could not be reserved for another reason.
    #[error("cannot reserve {address}:{port}/{protocol}: {why}")]
    Port {
        /// The host's address.
        address: IpAddr,
        /// The host's port.
        port: u16,
        /// `tcp`, `udp` or `sctp`.
        protocol: &'static str,
        /// The kernel's words.
        why: String,
    },
    /// `--add-host` without a name and an address.
    #[error("bad format for add-host: \"{0}\"")]
    ExtraHost(String),
    /// `--add-host` with something else than an address.
    #[error("invalid IP address in add-host: \"{0}\"")]
    ExtraHostAddress(String),
    /// `--add-host name:host-gateway` where no bridge has an address.
    #[error("unable to derive the IP value for host-gateway")]
    HostGateway,
    /// `--dns` with something else than an address.
    #[error("IP address is not correctly formatted: {0}")]
    DnsServer(String),
    /// `--dns-search` with something else than a domain.
    #[error("{0} is not a valid domain")]
    DnsSearch(String),
    /// `--dns-option` that would break the line.
    #[error("invalid DNS option \"{0}\"")]
    DnsOption(String),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NewNamespace { source } => source.kind(),
            Self::HostGateway | Self::UnknownLink { .. } => Kind::Unsupported,
            Self::NoParent { .. } => Kind::Invalid,
            Self::Kernel { source, .. } => source.kind(),
            Self::Setting { .. }
            | Self::Gone { .. }
            | Self::Thread { .. }
            | Self::Names { .. }
            | Self::Port { .. }
            | Self::PortInUse { .. } => Kind::Internal,
            Self::NoBridge { .. } => Kind::Conflict,
            Self::NoPool | Self::NoAddress(_) => Kind::Unavailable,
            Self::AddressInUse(_) => Kind::Forbidden,
            Self::AddressOutside { .. } => Kind::Invalid,
            Self::ExtraHost(_)
            | Self::ExtraHostAddress(_)
            | Self::DnsServer(_)
            | Self::DnsSearch(_)
            | Self::DnsOption(_) => Kind::Invalid,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Fault::new(error.kind(), error.to_string());
        match error {
            Error::NewNamespace { source } => fault.cause(source),
            Error::Kernel { source, .. } => fault.cause(source),
            Error::UnknownLink { option, .. } => {
                fault.hint(format!("it would have to be built with {option}, or its module loaded"))
            }
            Error::NoParent { .. } => {
                fault.hint("`ip link` shows the links of this host; `eth0.50` is made as VLAN 50 of `eth0`")
            }
            Error::NoPool => fault.hint("give the network a subnet of its own: `--subnet 10.89.0.0/24`"),
            Error::NoAddress(net) => fault.hint(format!("remove containers, or make a larger network than {net}")),
            Error::AddressOutside { net, .. } => fault.hint(format!("the network is {net}")),
            Error::PortInUse { holder: Some(holder), protocol, port, .. } => {
                fault.cause(format!("{holder} holds {port}/{protocol}")).hint("stop that one or choose another port")
            }
            Error::PortInUse { .. } => fault.hint("choose another port"),
            Error::HostGateway => fault.hint("give the address itself: there is no bridge network"),
            _ => fault,
        }
    }
}
