//! Published ports: what is asked for, what is given, and the sockets that keep a given one from others.

mod holder;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol as Number, SocketFlags, SocketType, ipproto, sockopt};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// From docker's word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|one| text.eq_ignore_ascii_case(one.name()))
    }

    /// Its number in a packet.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// A port of a container that is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The protocol.
    pub protocol: Protocol,
    /// The container's port.
    pub port: u16,
    /// The host's address; the network's default otherwise.
    pub address: Option<IpAddr>,
    /// The first and last port of the host that will do; 0 and 0 is any.
    pub host: (u16, u16),
}

/// A port that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The protocol.
    pub protocol: Protocol,
    /// The container's port.
    pub port: u16,
    /// The host's address; unspecified is every one of its family.
    pub address: IpAddr,
    /// The host's port; 0 is none: the container's own is open at its own address.
    pub host: u16,
}

impl Published {
    /// Whether it is reached at the container's own address, and at none of this host's.
    pub fn is_direct(&self) -> bool {
        self.host == 0
    }
}

/// How the ports of a network are published in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At this host's addresses.
    Translated,
    /// At the container's.
    Direct,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = SocketAddr::new(self.address, self.host);
        write!(f, "{at}->{}/{}", self.port, self.protocol.name())
    }
}

/// A published port, with the bound socket that keeps it. Closing gives it back.
#[derive(Debug)]
pub struct Reserved {
    /// What it is.
    pub published: Published,
    _socket: Option<OwnedFd>,
}

/// Reserves what is asked for, in the families that the network has: of IPv4, of IPv6. Where no address is named, on every address
/// of each. COMPAT(docker 28): where containers are reached directly, address and port of the host are not looked at.
///
/// # Errors
/// A port is taken, with its holder's name where it can be told; nothing is reserved then.
pub fn reserve(wish: &Wish, publish_on: Option<IpAddr>, ways: [Option<Way>; 2]) -> Result<Vec<Reserved>, Error> {
    let way = |address: &IpAddr| ways[usize::from(address.is_ipv6())];
    let (mut host, mut reserved) = (wish.host, Vec::new());
    for address in places(wish.address.or(publish_on.filter(|address| way(address).is_some())), ways) {
        let one = match way(&address) {
            Some(Way::Direct) => direct(wish, address),
            _ => reserve_one(wish, address, host)?,
        };
        if !one.published.is_direct() {
            host = (one.published.host, one.published.host);
        }
        reserved.push(one);
    }
    Ok(reserved)
}

/// The addresses that a port is published on: the named one, else every one of each family.
pub fn places(named: Option<IpAddr>, [v4, v6]: [Option<Way>; 2]) -> Vec<IpAddr> {
    let every = [v4.map(|_| Ipv4Addr::UNSPECIFIED.into()), v6.map(|_| Ipv6Addr::UNSPECIFIED.into())];
    named.map_or_else(|| every.into_iter().flatten().collect(), |address| vec![address])
}

fn direct(wish: &Wish, address: IpAddr) -> Reserved {
    let address = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Reserved { published: Published { protocol: wish.protocol, port: wish.port, address, host: 0 }, _socket: None }
}

/// Takes up again what an earlier engine gave.
///
/// # Errors
/// Somebody has it now.
pub fn reserve_again(published: Published) -> Result<Reserved, Error> {
    let Published { protocol, port, address, host } = published;
    let wish = Wish { protocol, port, address: Some(address), host: (host, host) };
    if published.is_direct() {
        return Ok(direct(&wish, address));
    }
    reserve_one(&wish, address, wish.host)
}

fn reserve_one(wish: &Wish, address: IpAddr, (low, high): (u16, u16)) -> Result<Reserved, Error> {
    let mut refused = None;
    for port in low..=high {
        match bind(wish.protocol, SocketAddr::new(address, port)) {
            Ok((host, socket)) => {
                let published = Published { protocol: wish.protocol, port: wish.port, address, host };
                return Ok(Reserved { published, _socket: socket });
            }
            Err(Errno::ADDRINUSE) => refused = refused.or(Some((port, Errno::ADDRINUSE))),
            Err(errno) => {
                refused = Some((port, errno));
                break;
            }
        }
    }
    let (port, errno) = refused.unwrap_or((low, Errno::INVAL));
    let protocol = wish.protocol.name();
    Err(if errno == Errno::ADDRINUSE {
        Error::PortInUse { address, port, protocol, holder: holder::of(wish.protocol, port) }
    } else {
        Error::Port { address, port, protocol, why: hull_sys::errno_text(errno).to_owned() }
    })
}

/// Binds, and tells which port it became. A kernel without the protocol has nobody to keep it from.
fn bind(protocol: Protocol, at: SocketAddr) -> rustix::io::Result<(u16, Option<OwnedFd>)> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number): (_, Option<Number>) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, None),
        Protocol::Udp => (SocketType::DGRAM, None),
        Protocol::Sctp => (SocketType::STREAM, Some(ipproto::SCTP)),
    };
    let socket = match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, number) {
        Err(Errno::PROTONOSUPPORT) if protocol == Protocol::Sctp && at.port() != 0 => return Ok((at.port(), None)),
        other => other?,
    };
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &at)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((bound.port(), Some(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(host: (u16, u16)) -> Wish {
        Wish { protocol: Protocol::Tcp, port: 80, address: Some(Ipv4Addr::LOCALHOST.into()), host }
    }

    #[test]
    fn a_reserved_port_is_kept_from_others_until_it_is_given_back() {
        let reserved = reserve(&wish((0, 0)), None, [Some(Way::Translated), None]).unwrap();
        let port = reserved[0].published.host;
        assert_ne!(port, 0);
        let taken = reserve(&wish((port, port)), None, [Some(Way::Translated), None]).unwrap_err();
        let Error::PortInUse { port: named, holder, .. } = &taken else { panic!("{taken:?}") };
        assert_eq!(*named, port);
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        drop((reserved, holder));
        assert_eq!(reserve(&wish((port, port)), None, [Some(Way::Translated), None]).unwrap()[0].published.host, port);
    }

    #[test]
    fn a_listener_is_named_and_a_range_goes_round_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Err(Error::PortInUse { holder, .. }) = reserve(&wish((port, port)), None, [Some(Way::Translated), None])
        else {
            panic!()
        };
        let own = std::process::id().to_string();
        assert!(holder.as_ref().is_some_and(|holder| holder.contains(&own)), "{holder:?}");
        if port < u16::MAX - 50 {
            let next = reserve(&wish((port, port + 50)), None, [Some(Way::Translated), None]).unwrap();
            assert!(next[0].published.host > port);
        }
    }

    #[test]
    fn an_address_that_the_host_does_not_have() {
        let foreign = Wish { address: Some("198.51.100.1".parse().unwrap()), ..wish((8080, 8080)) };
        let error = reserve(&foreign, None, [Some(Way::Translated), None]).unwrap_err();
        assert!(error.to_string().starts_with("cannot reserve 198.51.100.1:8080/tcp: "), "{error}");
    }
}
