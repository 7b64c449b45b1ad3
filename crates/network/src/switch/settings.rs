//! The few settings beneath `/proc/sys/net` that a bridge needs. Each is written only where it is not so
//! already, and what concerns the whole host is told in the log.

use std::fs;

use crate::definition::Definition;
use crate::error::Error;

/// What a network's bridge needs of the host.
pub(super) fn of_bridge(network: &Definition) -> Result<(), Error> {
    // 127.0.0.1:PORT of this host leads to a container; the ruleset keeps containers from using it.
    write(&format!("/proc/sys/net/ipv4/conf/{}/route_localnet", network.link), "1")?;
    if network.bridge_has_v6() {
        write(&format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", network.link), "0")?;
    } else {
        no_ipv6(&network.link);
    }
    if network.internal {
        return Ok(());
    }
    if write("/proc/sys/net/ipv4/ip_forward", "1")? {
        tracing::info!("net.ipv4.ip_forward is now 1: containers reach other hosts through this one");
    }
    if network.subnet(false).is_some() {
        forward_v6()?;
    }
    Ok(())
}

/// Whether frames from port to port of a bridge pass nftables too (br_netfilter; sysctl
/// `net.bridge.bridge-nf-call-iptables`). hull does not need it and leaves it as it is.
pub(super) fn bridged_frames_pass_the_ruleset() -> bool {
    let on = |family: &str| fs::read_to_string(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"));
    ["iptables", "ip6tables"].iter().any(|family| on(family).is_ok_and(|value| value.trim() == "1"))
}

/// The same of frames with IPv6.
pub(super) fn bridged_frames_of_v6_pass_the_ruleset() -> bool {
    fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-ip6tables").is_ok_and(|value| value.trim() == "1")
}

/// Of a link that shall have no IPv6 address, not even its own. Best effort: a kernel without IPv6 has no such file.
pub(super) fn no_ipv6(link: &str) {
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"), "1");
}

/// A host that forwards IPv6 no longer listens to routers, unless it is told to go on.
fn forward_v6() -> Result<(), Error> {
    let links = fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    for link in links {
        let path = link.path().join("accept_ra");
        if fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
            write(&path.to_string_lossy(), "2")?;
        }
    }
    if write("/proc/sys/net/ipv6/conf/all/forwarding", "1")? {
        tracing::info!("net.ipv6.conf.all.forwarding is now 1: containers reach other hosts through this one");
    }
    Ok(())
}

/// True if it was something else before.
pub(super) fn write(path: &str, value: &str) -> Result<bool, Error> {
    let failed = |error: std::io::Error| Error::Setting {
        path: path.to_owned(),
        value: value.to_owned(),
        why: error.to_string(),
    };
    if fs::read_to_string(path).map_err(failed)?.trim() == value {
        return Ok(false);
    }
    fs::write(path, value).map_err(failed)?;
    Ok(true)
}
