//! Which addresses are given: pools for networks, addresses for containers. Pure: what is in use comes
//! in, derived by the caller from records and routes, so no two facts can disagree.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hull_netlink::route::{Mac, Net};

use crate::definition::Subnet;
use crate::error::Error;

/// docker's default pools: sixteen-bit networks of 172.17–31, then twenty-bit ones of 192.168.
pub fn pools() -> impl Iterator<Item = Net> {
    let large = (17..=31u8).map(|second| (Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16u8).map(|part| (Ipv4Addr::new(192, 168, part * 16, 0), 20));
    large.chain(small).filter_map(|(address, prefix)| Net::new(address.into(), prefix))
}

/// The first pool of these, or without any of [`pools`], that overlaps nothing that is taken: by another network, or by a
/// route of the host.
///
/// # Errors
/// None is free.
pub fn free_pool(own: &[Net], taken: &[Net]) -> Result<Net, Error> {
    let mut all = own.iter().copied().chain(pools().filter(|_| own.is_empty()));
    all.find(|pool| !taken.iter().any(|net| net.prefix > 0 && net.overlaps(*pool))).ok_or(Error::NoPool)
}

/// A network of unique local addresses (RFC 4193), from 40 random bits.
pub fn local_v6(random: [u8; 5]) -> Net {
    let [a, b, c, d, e] = random;
    let address = Ipv6Addr::from([0xfd, a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    Net { address: address.into(), prefix: 64 }
}

/// The first address of a network that a host can have.
pub fn first(net: Net) -> IpAddr {
    step(net.network().address, 1)
}

/// A free address of the subnet: the next one after `last` that is neither in use nor reserved, so that
/// an address is given again as late as possible.
///
/// # Errors
/// All are in use.
pub fn free_address(subnet: &Subnet, in_use: &BTreeSet<IpAddr>, last: Option<IpAddr>) -> Result<IpAddr, Error> {
    let range = subnet.range.unwrap_or(subnet.net).network();
    let usable = |address: IpAddr| {
        range.contains(address)
            && address != subnet.net.network().address
            && !(address.is_ipv4() && address == subnet.net.last())
            && address != subnet.gateway
            && !subnet.reserved.values().any(|reserved| *reserved == address)
            && !in_use.contains(&address)
    };
    let start = last.filter(|last| range.contains(*last)).map_or(range.address, |last| step(last, 1));
    // As many tries as could be taken, and the network's own few.
    let tries = in_use.len() + subnet.reserved.len() + 5;
    let from = |start: IpAddr| (0..tries as u128).map(move |offset| step(start, offset));
    from(start).chain(from(range.address)).find(|address| usable(*address)).ok_or(Error::NoAddress(subnet.net))
}

/// Checks an address that a container asks for.
///
/// # Errors
/// It lies outside, is the network's own, or is in use.
pub fn check_address(subnet: &Subnet, in_use: &BTreeSet<IpAddr>, address: IpAddr) -> Result<(), Error> {
    let own = address == subnet.gateway
        || address == subnet.net.network().address
        || (address.is_ipv4() && address == subnet.net.last())
        || subnet.reserved.values().any(|reserved| *reserved == address);
    if !subnet.net.contains(address) {
        return Err(Error::AddressOutside { address, net: subnet.net });
    }
    if own || in_use.contains(&address) {
        return Err(Error::AddressInUse(address));
    }
    Ok(())
}

/// docker's hardware address of an IPv4 address: 02:42 and its four bytes, so that a neighbour's cache
/// stays true when the address moves to the next container.
pub fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    Mac([0x02, 0x42, a, b, c, d])
}

fn step(address: IpAddr, by: u128) -> IpAddr {
    match address {
        IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits().wrapping_add(by as u32))),
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits().wrapping_add(by))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn subnet(text: &str) -> Subnet {
        Subnet { net: net(text), gateway: first(net(text)), range: None, reserved: Default::default() }
    }

    #[test]
    fn a_pool_avoids_what_is_taken() {
        assert_eq!(free_pool(&[], &[]).unwrap(), net("172.17.0.0/16"));
        assert_eq!(free_pool(&[], &[net("0.0.0.0/0")]).unwrap(), net("172.17.0.0/16"), "a default route takes nothing");
        assert_eq!(free_pool(&[], &[net("172.17.3.0/24"), net("172.18.0.0/15")]).unwrap(), net("172.20.0.0/16"));
        assert_eq!(free_pool(&[], &[net("172.16.0.0/12")]).unwrap(), net("192.168.0.0/20"));
        assert_eq!(free_pool(&[], &[net("172.16.0.0/12"), net("192.168.0.0/16")]), Err(Error::NoPool));
    }

    #[test]
    fn addresses_are_given_again_late() {
        let small = subnet("10.0.0.0/29");
        let mut in_use = BTreeSet::new();
        let mut last = None;
        let mut given = Vec::new();
        for _ in 0..5 {
            let address = free_address(&small, &in_use, last).unwrap();
            in_use.insert(address);
            last = Some(address);
            given.push(address);
        }
        assert_eq!(given, (2..=6).map(|n| ip(&format!("10.0.0.{n}"))).collect::<Vec<_>>());
        assert_eq!(free_address(&small, &in_use, last), Err(Error::NoAddress(net("10.0.0.0/29"))));
        in_use.remove(&ip("10.0.0.3"));
        in_use.remove(&ip("10.0.0.5"));
        assert_eq!(free_address(&small, &in_use, Some(ip("10.0.0.3"))).unwrap(), ip("10.0.0.5"));
        assert_eq!(free_address(&small, &in_use, last).unwrap(), ip("10.0.0.3"), "round from the start");
    }

    #[test]
    fn a_range_and_reserved_addresses_are_kept() {
        let mut some = subnet("10.1.0.0/16");
        some.range = Some(net("10.1.5.0/30"));
        some.reserved.insert("router".into(), ip("10.1.5.1"));
        let first = free_address(&some, &BTreeSet::new(), None).unwrap();
        assert_eq!(first, ip("10.1.5.0"), "the range's first address is one like any other");
        let second = free_address(&some, &BTreeSet::from([first]), Some(first)).unwrap();
        assert_eq!(second, ip("10.1.5.2"));
    }

    #[test]
    fn an_address_that_is_asked_for_must_be_there_to_give() {
        let mut some = subnet("10.1.0.0/24");
        some.reserved.insert("router".into(), ip("10.1.0.7"));
        let in_use = BTreeSet::from([ip("10.1.0.9")]);
        assert_eq!(check_address(&some, &in_use, ip("10.1.0.8")), Ok(()));
        for taken in ["10.1.0.9", "10.1.0.7", "10.1.0.1", "10.1.0.0", "10.1.0.255"] {
            assert_eq!(check_address(&some, &in_use, ip(taken)), Err(Error::AddressInUse(ip(taken))));
        }
        assert!(matches!(check_address(&some, &in_use, ip("10.2.0.9")), Err(Error::AddressOutside { .. })));
        assert!(matches!(check_address(&some, &in_use, ip("fd00::9")), Err(Error::AddressOutside { .. })));
    }

    #[test]
    fn v6_has_no_broadcast_address() {
        let six = subnet("fd00::/126");
        let in_use = BTreeSet::from([ip("fd00::2")]);
        assert_eq!(free_address(&six, &in_use, None).unwrap(), ip("fd00::3"));
        assert_eq!(local_v6([1, 2, 3, 4, 5]).to_string(), "fd01:203:405::/64");
    }
}
