//! [`Netns`]: an empty network namespace as a descriptor, and [`Pool`], which keeps a few ready.
//!
//! A namespace exists as long as its descriptor or a process in it does; it never has a name. One
//! from here belongs to the user namespace of the caller: a container with a user namespace of its
//! own makes its network in `clone3` instead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// A network namespace with nothing in it but `lo`, which is up.
#[derive(Debug)]
pub struct Netns(OwnedFd);

impl Netns {
    /// Makes one on a thread of its own; the caller's namespace does not change. Blocks for the
    /// better part of a millisecond.
    pub fn new() -> Result<Self, Error> {
        let made = hull_sys::namespace::on_own_thread(|| {
            hull_sys::process::unshare(rustix::thread::UnshareFlags::NEWNET.bits())?;
            hull_sys::net::loopback_up()?;
            hull_sys::namespace::own("net")
        });
        match made {
            Ok(fd) => Ok(Self(fd)),
            Err(source) => Err(Error::NewNamespace { source }),
        }
    }

    /// The descriptor, for `setns`.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Namespaces made ahead of need. Each is handed out once and never comes back.
#[derive(Debug, Default)]
pub struct Pool {
    ready: Mutex<Vec<Netns>>,
}

impl Pool {
    /// An empty pool: [`Pool::take`] then makes what it gives.
    pub fn new() -> Self {
        Self::default()
    }

    /// One from the pool, or a new one.
    pub fn take(&self) -> Result<Netns, Error> {
        let ready = self.lock().pop();
        ready.map_or_else(Netns::new, Ok)
    }

    /// Makes namespaces until `count` are ready. Blocks; meant to run behind an answer.
    pub fn refill(&self, count: usize) -> Result<(), Error> {
        while self.ready() < count {
            let made = Netns::new()?;
            self.lock().push(made);
        }
        Ok(())
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.lock().len()
    }

    /// Closes all.
    pub fn drain(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Netns>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` in a network namespace, on a thread of its own.
pub(crate) fn within<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let entered = hull_sys::namespace::on_own_thread(|| {
        use hull_sys::Named as _;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(netns, kind).named(|| "setns(network)".to_owned())?;
        Ok(work())
    });
    entered.map_err(|source| Error::NewNamespace { source })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(fd: impl AsFd) -> u64 {
        rustix::fs::fstat(fd).unwrap().st_ino
    }

    fn root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            eprintln!("skipped: needs root");
        }
        root
    }

    #[test]
    fn a_new_namespace_has_lo_up_and_nothing_else() {
        if !root() {
            return;
        }
        let ours = hull_sys::namespace::own("net").unwrap();
        let netns = Netns::new().unwrap();
        assert_ne!(inode(&netns), inode(&ours));
        let links = std::thread::spawn(move || {
            rustix::thread::move_into_link_name_space(netns.as_fd(), Some(rustix::thread::LinkNameSpaceType::Network))
                .unwrap();
            // Binding works on an address of an interface that is up.
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            std::net::TcpListener::bind("127.0.0.1:80").unwrap();
            std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()
        });
        let links = links.join().unwrap();
        let names: Vec<_> = links
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
            .filter(|name| !["tunl0", "sit0", "ip6tnl0", "gre0", "erspan0", "gretap0"].contains(&&**name))
            .collect();
        assert_eq!(names, ["lo"]);
        let after = hull_sys::namespace::own("net").unwrap();
        assert_eq!(inode(&ours), inode(&after), "the caller stays where it was");
    }

    #[test]
    fn the_pool_hands_each_out_once() {
        if !root() {
            return;
        }
        let pool = Pool::new();
        pool.refill(2).unwrap();
        assert_eq!(pool.ready(), 2);
        let all = [pool.take(), pool.take(), pool.take()].map(Result::unwrap);
        assert_eq!(pool.ready(), 0);
        let mut inodes = all.each_ref().map(inode).to_vec();
        inodes.dedup();
        assert_eq!(inodes.len(), 3);
        pool.refill(1).unwrap();
        pool.drain();
        assert_eq!(pool.ready(), 0);
    }
}
