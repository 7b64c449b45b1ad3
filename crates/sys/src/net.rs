//! The one thing about links that every network namespace needs.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Named, Result, check};

/// Sets `lo` up in the network namespace of the calling thread.
pub fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .or_else(|_| {
            // A kernel without IPv4 still has unix sockets, which take the same ioctl.
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        })
        .named(|| "socket()".to_owned())?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    check(i64::from(result)).map(drop).named(|| "ioctl(SIOCSIFFLAGS, lo, IFF_UP)".to_owned())
}

/// The families of netlink that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Netlink {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_NETFILTER`: nftables.
    Netfilter,
}

/// A netlink socket in the network namespace of the calling thread, with the kernel's own words in
/// refusals (`NETLINK_EXT_ACK`), requests not echoed in them (`NETLINK_CAP_ACK`), and buffers for
/// large batches as far as the kernel gives them.
pub fn netlink(family: Netlink) -> Result<OwnedFd> {
    netlink_group(family, 0)
}

/// As [`netlink`], also hearing what is sent to multicast groups (a bit each).
pub fn netlink_group(family: Netlink, groups: u32) -> Result<OwnedFd> {
    let protocol = match family {
        // NETLINK_ROUTE is protocol 0, which is the family's default.
        Netlink::Route => None,
        Netlink::Netfilter => Some(rustix::net::netlink::NETFILTER),
    };
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
        .named(|| format!("socket(AF_NETLINK, {family:?})"))?;
    for (level, option, value) in [
        (libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1),
        (libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1),
        (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, NETLINK_BUFFER),
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, NETLINK_BUFFER),
    ] {
        let value: libc::c_int = value;
        // SAFETY: the option reads an int. A refusal only means smaller buffers or fewer words.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
    rustix::net::bind(&socket, &rustix::net::netlink::SocketAddrNetlink::new(0, groups))
        .named(|| format!("bind(AF_NETLINK, {family:?})"))?;
    Ok(socket)
}

/// Bytes of a netlink socket's buffers.
const NETLINK_BUFFER: libc::c_int = 4 << 20;

/// Whether the other end of a unix stream has read everything that was sent (`SIOCOUTQ`), or is gone.
pub fn is_read_by_peer(stream: impl AsFd) -> Result<bool> {
    let mut unread: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ, writes one int to the given place.
    let result = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ as _, &raw mut unread) };
    check(i64::from(result)).named(|| "ioctl(SIOCOUTQ)".to_owned())?;
    Ok(unread == 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_the_other_end_has_read_is_known() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(is_read_by_peer(&ours).unwrap());
        ours.write_all(b"head").unwrap();
        assert!(!is_read_by_peer(&ours).unwrap());
        theirs.read_exact(&mut [0; 4]).unwrap();
        assert!(is_read_by_peer(&ours).unwrap());
        ours.write_all(b"more").unwrap();
        drop(theirs);
        assert!(is_read_by_peer(&ours).unwrap());
    }
}
