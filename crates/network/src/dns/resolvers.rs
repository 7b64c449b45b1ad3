//! [`Resolvers`]: the host's own, followed as its `/etc/resolv.conf` changes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// How many of a file's servers are asked, as resolv.conf(5) has it.
const MOST: usize = 3;

/// The servers that a file names. Read again whenever another file, or another content, is there: a VPN that
/// comes or goes is noticed with the next question.
#[derive(Debug)]
pub struct Resolvers {
    path: PathBuf,
    known: Mutex<(Stamp, Vec<SocketAddr>)>,
}

/// What tells one content of the file from another: device, inode, size, and the moment of change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Resolvers {
    /// Those of a file; it is read with the first question.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), known: Mutex::default() }
    }

    /// The servers as the file names them now. Loopback ones among them: they are asked from the host.
    pub fn current(&self) -> Vec<SocketAddr> {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .map(|found| (found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != stamp || stamp.is_none() {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            *known = (stamp, servers(&text));
        }
        known.1.clone()
    }
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    words.filter_map(|rest| at(rest.split_whitespace().next()?)).take(MOST).collect()
}

/// An address, perhaps with the link that it is reached by (`fe80::1%eth0`).
fn at(text: &str) -> Option<SocketAddr> {
    if let Some((address, link)) = text.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(SocketAddrV6::new(address, 53, 0, link_index(link)?).into());
    }
    Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53))
}

fn link_index(name: &str) -> Option<u32> {
    if let Ok(index) = name.parse() {
        return Some(index);
    }
    let socket = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_the_resolver_reads_them() {
        let text = "# nameserver 9.9.9.9\n nameserver 10.0.0.1 # ours\nsearch a b\nnameserver nonsense\n\
            nameserver fe80::1%1\nnameserver 127.0.0.53\nnameserver 10.0.0.2\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[fe80::1%1]:53", "127.0.0.53:53"]);
        assert_eq!(servers(""), []);
    }

    #[test]
    fn a_file_that_changes_or_is_replaced_is_read_again() {
        let path = std::env::temp_dir().join(format!("hull-resolvers-{}", std::process::id()));
        let first = |resolvers: &Resolvers| resolvers.current().first().map(ToString::to_string);
        let resolvers = Resolvers::of(&path);
        assert_eq!(first(&resolvers), None, "no file, nobody to ask");
        std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        assert_eq!(first(&resolvers).as_deref(), Some("10.0.0.1:53"));
        let other = path.with_extension("new");
        std::fs::write(&other, "nameserver 10.0.0.2\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(first(&resolvers).as_deref(), Some("10.0.0.2:53"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(first(&resolvers), None);
    }
}
