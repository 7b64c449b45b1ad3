//! How full a network is: addresses in use and addresses left, by subnet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hull_network::{Definition, Endpoint, Subnet};
use hull_types::ContainerId;
use hull_wire as wire;

/// `Status` of a network with these ends.
pub(super) fn of(network: &Definition, users: &[(ContainerId, Endpoint)]) -> wire::NetworkStatus {
    let used = users.iter().flat_map(|(_, end)| end.addresses.iter().map(|net| net.address));
    let used: BTreeSet<IpAddr> = used.collect();
    let subnets = network.subnets.iter().map(|subnet| (subnet.net.to_string(), one(subnet, &used)));
    wire::NetworkStatus { ipam: wire::IpamStatus { subnets: subnets.collect() } }
}

/// COMPAT(docker 29): a subnet's own address, its gateway, and of IPv4 the one for all are in use.
fn one(subnet: &Subnet, used: &BTreeSet<IpAddr>) -> wire::SubnetStatus {
    let mut taken: BTreeSet<IpAddr> = used.iter().copied().filter(|address| subnet.net.contains(*address)).collect();
    taken.extend(subnet.reserved.values());
    taken.extend([subnet.gateway, subnet.net.network().address]);
    if subnet.net.address.is_ipv4() {
        taken.insert(subnet.net.last());
    }
    let range = subnet.range.unwrap_or(subnet.net);
    let within = taken.iter().filter(|address| range.contains(**address)).count();
    let bits = if range.address.is_ipv4() { 32 } else { 128 };
    let size = 1_u128.checked_shl(u32::from(bits - range.prefix)).unwrap_or(u128::MAX);
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    wire::SubnetStatus {
        ips_in_use: number(taken.len()),
        dynamic_ips_available: u64::try_from(size.saturating_sub(within as u128)).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use hull_network::Net;

    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_counted_in_the_subnet_and_in_its_range() {
        let plain = |net: Net, gateway: &str| Subnet {
            net,
            gateway: gateway.parse().unwrap(),
            range: None,
            reserved: Default::default(),
        };
        let used = BTreeSet::from(["10.0.0.5".parse().unwrap(), "10.9.0.1".parse().unwrap()]);
        let four = plain(net("10.0.0.0/24"), "10.0.0.1");
        let counted = |subnet: &Subnet| {
            let status = one(subnet, &used);
            (status.ips_in_use, status.dynamic_ips_available)
        };
        assert_eq!(counted(&four), (4, 252));
        let ranged = Subnet { range: Some(net("10.0.0.4/30")), ..four };
        assert_eq!(counted(&ranged), (4, 3));
        assert_eq!(counted(&plain(net("fd00::/64"), "fd00::1")), (2, u64::MAX - 1));
        assert_eq!(counted(&plain(net("fd00::/48"), "fd00::1")), (2, u64::MAX));
    }
}
