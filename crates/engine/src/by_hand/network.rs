//! The network of a script: a bridge, a wire and a table of its own beside the engine's, in a subnet that nobody has; or a link
//! of its own on that of the host on which the network stands, with an address that nobody has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hull_network::ports::Published;
use hull_network::{Definition, Driver, Endpoint, GatewayMode, IpvlanFlag, IpvlanMode, Mac, MacvlanMode, Net, ipam};

use super::shell::{Lines, clean, quote};

/// One network.
pub(super) struct Place {
    pub network: Arc<Definition>,
    pub endpoint: Endpoint,
    /// Of a bridge: the subnet that stands in for each of its own.
    pub stands_in: Vec<Net>,
    /// Of a link of the host: the addresses that stand in for the container's.
    pub own: Vec<Net>,
}

impl Place {
    /// It is a bridge.
    pub fn bridged(&self) -> bool {
        self.network.driver.upper().is_none()
    }

    /// Its hardware address: on a link of the host no two can have the same.
    fn mac(&self) -> Option<Mac> {
        let first = self.own.iter().find_map(|net| match net.address {
            IpAddr::V4(address) => Some(ipam::mac(address)),
            IpAddr::V6(_) => None,
        });
        match self.bridged() {
            true => Some(self.endpoint.mac),
            false => first.filter(|_| self.network.driver.own_mac()),
        }
    }

    /// The address in the subnet that stands in, as far from its beginning as the other.
    pub fn moved(&self, address: IpAddr) -> Net {
        let same = |net: &&Net| net.address.is_ipv4() == address.is_ipv4();
        let is_its = || self.endpoint.addresses.iter().any(|net| net.address == address);
        if let Some(own) = self.own.iter().find(same).filter(|_| is_its()) {
            return *own;
        }
        let pair = self.network.subnets.iter().zip(&self.stands_in).find(|(subnet, _)| subnet.net.contains(address));
        match pair {
            Some((subnet, new)) => Net { address: moved(address, subnet.net, *new), prefix: new.prefix },
            None => Net { address, prefix: if address.is_ipv4() { 32 } else { 128 } },
        }
    }
}

fn moved(address: IpAddr, from: Net, to: Net) -> IpAddr {
    match (address, from.network().address, to.network().address, to.last()) {
        (IpAddr::V4(address), IpAddr::V4(from), IpAddr::V4(to), IpAddr::V4(last)) => {
            let room = last.to_bits() - to.to_bits();
            Ipv4Addr::from_bits(to.to_bits() | ((address.to_bits() - from.to_bits()) & room)).into()
        }
        (IpAddr::V6(address), IpAddr::V6(from), IpAddr::V6(to), _) => {
            Ipv6Addr::from_bits(to.to_bits() | (address.to_bits() - from.to_bits())).into()
        }
        (address, ..) => address,
    }
}

/// What stands in for a subnet: of IPv4 a pool that is free, of IPv6 its neighbour.
pub(super) fn stand_in(of: Net, free: Option<Net>) -> Net {
    match (of.network().address, free) {
        (IpAddr::V4(_), Some(free)) => Net { address: free.address, prefix: free.prefix.max(of.prefix) },
        (IpAddr::V6(address), _) => {
            let address = Ipv6Addr::from_bits(address.to_bits() ^ (1 << 112)).into();
            Net { address, prefix: of.prefix }
        }
        (_, None) => of,
    }
}

/// The host's port that stands in for one that the running container has.
pub(super) fn other_port(port: u16) -> u16 {
    port.checked_add(10_000).unwrap_or_else(|| port - 10_000)
}

/// All of them. `tag`: what names of links and of the table begin with.
pub(super) fn lines(tag: &str, places: &[Place], ports: &[Published]) -> String {
    let mut out = Lines::default();
    for (number, place) in places.iter().enumerate() {
        match place.network.driver {
            Driver::Bridge => wire(&mut out, &format!("{tag}-{number}"), place),
            driver => upper(&mut out, driver, place),
        }
        inside(&mut out, place);
    }
    if places.iter().any(Place::bridged) {
        rules(&mut out, tag, places, ports);
    }
    out.0
}

/// A link on that of the host: macvlan or ipvlan.
fn upper(out: &mut Lines, driver: Driver, place: &Place) {
    let Place { network, endpoint, .. } = place;
    let kind = match driver {
        Driver::Macvlan(mode) => {
            let mode = match mode {
                MacvlanMode::Private => "private",
                MacvlanMode::Vepa => "vepa",
                MacvlanMode::Bridge => "bridge",
                MacvlanMode::Passthru => "passthru",
            };
            format!("macvlan mode {mode}")
        }
        Driver::Ipvlan(mode, flag) => {
            let mode = match mode {
                IpvlanMode::L2 => "l2",
                IpvlanMode::L3 => "l3",
                IpvlanMode::L3s => "l3s",
            };
            let flag = match flag {
                IpvlanFlag::Bridge => "bridge",
                IpvlanFlag::Private => "private",
                IpvlanFlag::Vepa => "vepa",
            };
            format!("ipvlan mode {mode} {flag}")
        }
        Driver::Bridge => return,
    };
    out.say(&format!(
        "The network {}: a link of its own on one of this machine, as if it were plugged in beside it. There is no bridge, and \
         this machine's rules for ports do not meet its packets.",
        clean(&network.name)
    ));
    let mtu = network.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    let mac = place.mac().map(|mac| format!(" address {mac}")).unwrap_or_default();
    let (parent, link) = (quote(&network.link), quote(&endpoint.name));
    out.run(format!("ip link add link {parent} name {link}{mac}{mtu} netns \"$holder\" type {kind}"));
}

/// A bridge, and a wire to it.
fn wire(out: &mut Lines, bridge: &str, place: &Place) {
    let Place { network, endpoint, .. } = place;
    let link = quote(&endpoint.name);
    out.say(&format!(
        "The network {}: a bridge, which is a switch inside this machine, and the machine's own address on it.",
        clean(&network.name)
    ));
    out.run(format!("ip link add {bridge} type bridge"));
    for own in network.host_addresses().map(|own| place.moved(own.address)) {
        let more = if own.address.is_ipv4() { "" } else { " nodad" };
        out.run(format!("ip addr add {own} dev {bridge}{more}"));
    }
    out.run(format!("ip link set {bridge} up"));
    if !network.internal {
        out.run("echo 1 > /proc/sys/net/ipv4/ip_forward    # this machine passes packets on; it stays so");
        if network.subnets.iter().any(|subnet| subnet.gateway.is_ipv6()) {
            out.run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        }
    }
    out.run(format!("echo 1 > /proc/sys/net/ipv4/conf/{bridge}/route_localnet    # 127.0.0.1:PORT may lead there"));
    out.say(
        "The wire: a pair of links. One end is a port of the switch, the other is put into the container's network.",
    );
    let mtu = network.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    out.run(format!(
        "ip link add {bridge}p{mtu} type veth peer name {link} address {}{mtu} netns \"$holder\"",
        endpoint.mac
    ));
    out.run(format!("ip link set {bridge}p master {bridge} up"));
}

/// The end inside: its addresses, its settings, its routes.
fn inside(out: &mut Lines, place: &Place) {
    let Place { network, endpoint, .. } = place;
    let link = quote(&endpoint.name);
    let v6 = endpoint.address(false).is_some();
    let (setting, value) = if v6 { ("accept_ra", 0) } else { ("disable_ipv6", 1) };
    out.run(format!("within sh -c 'echo {value} > /proc/sys/net/ipv6/conf/\"$1\"/{setting}' sh {link} || true"));
    for address in &endpoint.addresses {
        let more = if address.address.is_ipv4() { "" } else { " nodad" };
        out.run(format!("within ip addr add {} dev {link}{more}", place.moved(address.address)));
    }
    for net in &endpoint.link_local {
        let more = if net.address.is_ipv4() { "" } else { " nodad" };
        out.run(format!("within ip addr add {net} dev {link}{more}"));
    }
    for (path, value) in &endpoint.sysctls {
        out.run(format!(
            "within sh -c 'echo \"$1\" > \"$2\"' sh {} {}",
            quote(value),
            quote(&format!("/proc/sys/{path}"))
        ));
    }
    out.run(format!("within ip link set {link} up"));
    let leads = endpoint.gateway && !network.internal;
    let routed = matches!(network.driver, Driver::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _));
    for subnet in network.subnets.iter().filter(|_| leads) {
        let gateway = place.moved(subnet.gateway).address;
        if endpoint.address(gateway.is_ipv4()).is_some() {
            let family = if gateway.is_ipv4() { "" } else { "-6 " };
            let via = if routed { String::new() } else { format!(" via {gateway}") };
            out.run(format!("within ip {family}route add default{via} dev {link}"));
        }
    }
}

/// The table: who may send what to whom, and which ports lead to the container.
fn rules(out: &mut Lines, tag: &str, places: &[Place], ports: &[Published]) {
    out.say(
        "The rules, in a table of their own. `pre` and `out` turn the address of a published port into the container's; `post` \
         lets the container leave under this machine's address; `forward` lets in answers, neighbours and published ports, \
         and nothing else.",
    );
    let mut table = Lines::default();
    table.run(format!("table inet {tag} {{"));
    let chain = |table: &mut Lines, head: &str, rules: &[String]| {
        table.run(format!("    chain {head}"));
        rules.iter().for_each(|rule| table.run(format!("        {rule}")));
        table.run("    }");
    };
    let bridges = bridges(tag, places);
    let raw = bridges.iter().map(|(_, bridge)| format!("iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop"));
    chain(&mut table, "raw { type filter hook prerouting priority -300;", &raw.collect::<Vec<_>>());
    let main = places.iter().find(|place| place.endpoint.gateway).or(places.first()).filter(|place| place.bridged());
    let leads: Vec<String> = ports.iter().filter_map(|port| main.and_then(|main| lead(main, port))).collect();
    let foreign = "iifname != \"lo\" ip daddr 127.0.0.0/8 return".to_owned();
    chain(&mut table, "pre { type nat hook prerouting priority -100;", &[&[foreign], &leads[..]].concat());
    chain(&mut table, "out { type nat hook output priority -100;", &leads);
    let (mut post, mut forward) = (Vec::new(), Vec::new());
    for (place, bridge) in &bridges {
        for net in &place.stands_in {
            let family = if net.address.is_ipv4() { "ip" } else { "ip6" };
            if !place.network.gateways.mode(net.address.is_ipv4()).translates() {
                continue;
            }
            if place.network.masquerade && !place.network.internal {
                post.push(format!("{family} saddr {net} oifname != \"{bridge}\" masquerade"));
            }
            post.push(format!("{family} saddr {net} oifname \"{bridge}\" ct status dnat masquerade"));
        }
        post.push(format!("ip saddr 127.0.0.0/8 oifname \"{bridge}\" masquerade"));
        forward.push(format!("oifname \"{bridge}\" ct state established,related accept"));
        if place.network.icc {
            forward.push(format!("iifname \"{bridge}\" oifname \"{bridge}\" accept"));
        }
        if main.is_some_and(|main| main.endpoint.id == place.endpoint.id) {
            forward.extend(ports.iter().flat_map(|port| open(place, bridge, port)));
        }
        forward.extend(direct(place, bridge, &bridges));
        forward.push(format!("oifname \"{bridge}\" drop"));
        if place.network.internal {
            forward.push(format!("iifname \"{bridge}\" drop"));
        }
    }
    chain(&mut table, "post { type nat hook postrouting priority 100;", &post);
    chain(&mut table, "forward { type filter hook forward priority 0;", &forward);
    table.run("}");
    out.run("nft -f - <<'RULES'");
    out.run(table.0.trim_end());
    out.run("RULES");
}

/// Those networks that are bridges, and what each is called.
pub(super) fn bridges<'a>(tag: &str, places: &'a [Place]) -> Vec<(&'a Place, String)> {
    let named = places.iter().enumerate().map(|(number, place)| (place, format!("{tag}-{number}")));
    named.filter(|(place, _)| place.bridged()).collect()
}

/// `ip` or `ip6`, and the container's address behind a port.
fn target(main: &Place, port: &Published) -> Option<(&'static str, IpAddr)> {
    let to = main.moved(main.endpoint.address(port.address.is_ipv4())?).address;
    Some((if to.is_ipv4() { "ip" } else { "ip6" }, to))
}

fn lead(main: &Place, port: &Published) -> Option<String> {
    if port.is_direct() {
        return None;
    }
    let (family, to) = target(main, port)?;
    let at = if port.address.is_unspecified() {
        let version = if to.is_ipv4() { "ipv4" } else { "ipv6" };
        format!("meta nfproto {version} fib daddr type local")
    } else {
        format!("{family} daddr {}", port.address)
    };
    let socket = std::net::SocketAddr::new(to, port.port);
    Some(format!("{at} {} dport {} dnat {family} to {socket}", port.protocol.name(), other_port(port.host)))
}

fn open(place: &Place, bridge: &str, port: &Published) -> Vec<String> {
    let Some((family, to)) = target(place, port) else { return Vec::new() };
    let to = format!("oifname \"{bridge}\" {family} daddr {to} {} dport {}", port.protocol.name(), port.port);
    if port.is_direct() {
        return vec![format!("{to} accept")];
    }
    let trusted = place.network.gateways.trusted.iter().map(|link| format!("iifname \"{link}\" {to} accept"));
    trusted.chain([format!("ct status dnat {to} accept")]).collect()
}

/// What else reaches the container at its own addresses.
fn direct(place: &Place, bridge: &str, bridges: &[(&Place, String)]) -> Vec<String> {
    let has = |v4: &bool| !place.network.internal && place.network.subnet(*v4).is_some();
    let rule = |v4: bool| {
        let (family, icmp) = if v4 { ("ipv4", "icmp") } else { ("ipv6", "ipv6-icmp") };
        match place.network.gateways.mode(v4) {
            GatewayMode::Routed => {
                Some(format!("oifname \"{bridge}\" meta nfproto {family} meta l4proto {icmp} accept"))
            }
            GatewayMode::NatUnprotected => {
                let own: Vec<String> = bridges.iter().map(|(_, bridge)| format!("\"{bridge}\"")).collect();
                let outside = format!("iifname != {{ {} }}", own.join(", "));
                Some(format!("{outside} oifname \"{bridge}\" meta nfproto {family} accept"))
            }
            GatewayMode::Nat | GatewayMode::Isolated => None,
        }
    };
    [true, false].into_iter().filter(has).filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        let (address, prefix) = text.split_once('/').unwrap();
        Net { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn an_address_keeps_its_place_in_another_subnet() {
        for (address, from, free, to) in [
            ("172.17.0.2", "172.17.0.0/16", "172.18.0.0/16", "172.18.0.2"),
            ("10.77.0.9", "10.77.0.0/24", "172.18.0.0/16", "172.18.0.9"),
            ("10.1.2.3", "10.0.0.0/8", "172.18.0.0/16", "172.18.2.3"),
            ("fd00:1::2", "fd00:1::/64", "172.18.0.0/16", "fd01:1::2"),
        ] {
            let (from, address) = (net(from), address.parse().unwrap());
            let to: IpAddr = to.parse().unwrap();
            assert_eq!(moved(address, from, stand_in(from, Some(net(free)))), to);
        }
    }

    #[test]
    fn another_port_is_a_port() {
        assert_eq!([80, 55_535, 55_536, 65_535].map(other_port), [10_080, 65_535, 45_536, 55_535]);
    }
}
