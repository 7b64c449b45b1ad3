//! [`Sockets`]: the two of one container, opened inside its network namespace.
//!
//! They have ports of the kernel's choice, so that a container can have a name server of its own on port 53; a
//! rule inside its namespace leads there what is sent to 127.0.0.11:53.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_netlink::nft::{Batch, Chain, Direction, Expr, Family, Field, Hook, Nft, Register, Rule, Table};

use crate::error::Error;

/// Where containers find their name service.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Numbers of the protocols.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The sockets of one container's name service. Whoever has them can serve it; what is asked meanwhile waits
/// in them.
#[derive(Debug)]
pub struct Sockets {
    /// Datagrams.
    pub udp: OwnedFd,
    /// Connections.
    pub tcp: OwnedFd,
}

impl Sockets {
    /// Opens them in a namespace whose `lo` is up, and leads questions there. What was there before of an earlier
    /// pair is replaced.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open(netns: BorrowedFd<'_>) -> Result<Self, Error> {
        crate::netns::within(netns, || {
            let udp = UdpSocket::bind((SERVER, 0)).map_err(|error| Error::Names { why: error.to_string() })?;
            let tcp = TcpListener::bind((SERVER, 0)).map_err(|error| Error::Names { why: error.to_string() })?;
            lead(port(udp.local_addr())?, port(tcp.local_addr())?)?;
            Ok(Self { udp: udp.into(), tcp: tcp.into() })
        })
    }

    /// Duplicates of both.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let copy = |fd: &OwnedFd| fd.as_fd().try_clone_to_owned();
        Ok(Self { udp: copy(&self.udp)?, tcp: copy(&self.tcp)? })
    }
}

fn port(address: std::io::Result<SocketAddr>) -> Result<u16, Error> {
    address.map(|address| address.port()).map_err(|error| Error::Names { why: error.to_string() })
}

/// One table of the container's own namespace, for what it sends itself.
fn lead(udp: u16, tcp: u16) -> Result<(), Error> {
    let table = Table { family: Family::Ip, name: "hull-names".to_owned() };
    let mut batch = Batch::new();
    batch.add_table(&table).delete_table(&table).add_table(&table);
    batch.add_chain(&table, &Chain { name: "out", base: Some((Hook::Output, -100, "nat")) });
    let (address, port) = (Register(0), Register(1));
    for (protocol, to) in [(UDP, udp), (TCP, tcp)] {
        let exprs = [
            Expr::Load(Field::Daddr4, address),
            Expr::Cmp(address, true, SERVER.octets().to_vec()),
            Expr::Load(Field::L4Proto, address),
            Expr::Cmp(address, true, vec![protocol]),
            Expr::Load(Field::Dport, address),
            Expr::Cmp(address, true, 53_u16.to_be_bytes().to_vec()),
            Expr::Immediate(address, SERVER.octets().to_vec()),
            Expr::Immediate(port, to.to_be_bytes().to_vec()),
            Expr::Nat(Direction::Destination, 2, address, Some(port)),
        ];
        batch.add_rule(&table, &Rule { chain: "out", comment: "the name service", exprs: &exprs });
    }
    let attempt = || "lead questions to the name service".to_owned();
    let mut nft = Nft::open().map_err(|source| Error::Kernel { attempt: format!("cannot {}", attempt()), source })?;
    nft.commit(batch).map_err(|source| Error::Kernel { attempt: format!("cannot {}", attempt()), source })
}
