//! Network namespaces of a test's own.
#![allow(dead_code, reason = "each test target uses a part")]

pub mod asking;
pub mod world;

use std::os::fd::{AsFd, OwnedFd};

/// Runs `work` in a network namespace, on a thread of its own.
pub fn within<T: Send>(netns: impl AsFd + Sync, work: impl FnOnce() -> T + Send) -> T {
    hull_sys::namespace::on_own_thread(|| {
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(netns.as_fd(), kind).unwrap();
        Ok(work())
    })
    .unwrap()
}

/// An empty one whose loopback is up.
pub fn new_netns() -> OwnedFd {
    assert!(rustix::process::geteuid().is_root(), "needs root");
    let netns = hull_sys::namespace::new_network().unwrap();
    within(&netns, || hull_sys::net::loopback_up().unwrap());
    netns
}
