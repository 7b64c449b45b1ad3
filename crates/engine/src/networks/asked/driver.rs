//! The options of networks that stand on a link of this host: macvlan and ipvlan.

use std::sync::Arc;

use hull_network::{Definition, Driver, IpvlanFlag, IpvlanMode, MacvlanMode, own_parent};
use hull_types::{Fault, Kind};
use hull_wire as wire;

use super::super::shown;
use super::{MTU_WORDS, is_link, mtu};

/// Reads them. Without a parent the network has one of its own, and leads nowhere.
pub(super) fn apply(network: &mut Definition, request: &wire::NetworkCreateRequest) -> Result<(), Fault> {
    let macvlan = request.driver == "macvlan";
    let (mut mode, mut l3, mut flag) = (MacvlanMode::Bridge, IpvlanMode::L2, IpvlanFlag::Bridge);
    network.link = String::new();
    for (key, value) in &request.options {
        let bad = |what: &str| Fault::invalid(format!("network option {key}={} is not {what}", shown(value)));
        match (key.strip_prefix("com.docker.network.").unwrap_or(key), macvlan) {
            ("parent", _) => {
                if !value.is_empty() && !is_link(value) {
                    return Err(bad("the name of a link, at most 15 characters"));
                }
                if value == "lo" {
                    return Err(Fault::invalid("loopback interface is not a valid parent link"));
                }
                value.clone_into(&mut network.link);
            }
            ("driver.mtu", _) => network.mtu = Some(mtu(value).ok_or_else(|| bad(MTU_WORDS))?),
            ("macvlan_mode", true) => {
                mode = macvlan_mode(value).ok_or_else(|| bad("bridge, private, vepa or passthru"))?
            }
            ("ipvlan_mode", false) => l3 = ipvlan_mode(value).ok_or_else(|| bad("l2, l3 or l3s"))?,
            ("ipvlan_flag", false) => flag = ipvlan_flag(value).ok_or_else(|| bad("bridge, private or vepa"))?,
            _ => {
                let own = if macvlan { "macvlan_mode" } else { "ipvlan_mode, ipvlan_flag" };
                return Err(Fault::unsupported(format!(
                    "the option {} of {} networks is not supported",
                    shown(key),
                    request.driver
                ))
                .hint(format!("parent, {own} and com.docker.network.driver.mtu are")));
            }
        }
    }
    network.driver = if macvlan { Driver::Macvlan(mode) } else { Driver::Ipvlan(l3, flag) };
    network.masquerade = false;
    if network.link.is_empty() {
        network.link = own_parent(&network.id);
        network.internal = true;
    }
    Ok(())
}

fn macvlan_mode(text: &str) -> Option<MacvlanMode> {
    Some(match text {
        "" | "bridge" => MacvlanMode::Bridge,
        "private" => MacvlanMode::Private,
        "vepa" => MacvlanMode::Vepa,
        "passthru" => MacvlanMode::Passthru,
        _ => return None,
    })
}

fn ipvlan_mode(text: &str) -> Option<IpvlanMode> {
    Some(match text {
        "" | "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        _ => return None,
    })
}

fn ipvlan_flag(text: &str) -> Option<IpvlanFlag> {
    Some(match text {
        "" | "bridge" => IpvlanFlag::Bridge,
        "private" => IpvlanFlag::Private,
        "vepa" => IpvlanFlag::Vepa,
        _ => return None,
    })
}

/// A parent that is passed through belongs to one network; the two kinds do not share one.
///
/// # Errors
/// Another network stands on it.
pub(in crate::networks) fn check_parent(network: &Definition, others: &[Arc<Definition>]) -> Result<(), Fault> {
    let kind = network.driver.name();
    let passed = |network: &Definition| network.driver == Driver::Macvlan(MacvlanMode::Passthru);
    let mut same = others.iter().filter(|other| other.driver != Driver::Bridge && other.link == network.link);
    let refused = |other: &Definition| passed(network) || passed(other) || other.driver.name() != kind;
    match same.find(|other| network.driver != Driver::Bridge && refused(other)) {
        Some(other) => Err(Fault::new(
            Kind::Conflict,
            format!(
                "the {} network {} is already using parent interface {}",
                other.driver.name(),
                other.name,
                other.link
            ),
        )),
        None => Ok(()),
    }
}
