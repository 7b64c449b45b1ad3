//! The ruleset: one nftables table, made whole from the networks, and maps keyed by port whose elements
//! come and go with containers. Pure: what is returned is a batch.
//!
//! ```text
//! raw      prerouting -300   from a bridge to or from 127.0.0.0/8: drop (route_localnet is on for them)
//! pre      prerouting -100   for this host: ports; but 127.0.0.0/8 only from this host
//! asked    input      300   instead of that, where the host's input rules are obeyed: what they let through is
//!                            handed to hull, which sends it again from this host
//! out      output     -100   for this host: ports; ::1 only where an answer to it can be heard
//! ports                      address . protocol . port, then protocol . port: to the container
//! post     postrouting 100   per network: out under the host's address; a container to itself; 127.0.0.1 and ::1
//! forward  forward       0   to a bridge: into; from an internal one elsewhere: drop
//! into                       answers; neighbours; published ports; those of [`gateways`]; the rest: drop
//! ```

mod gateways;

use std::net::IpAddr;

use hull_netlink::nft::{
    Batch, Chain, Data, Direction, Element, Expr, Field, Hook, Register, Rule, Set, Table, Type, Verdict,
};
use hull_netlink::route::{Net, octets};

use crate::definition::{Definition, Subnet};
use crate::ports::Published;

/// Bits of `ct state` and `ct status`.
const ESTABLISHED: u32 = 2;
const RELATED: u32 = 4;
const TRANSLATED: u32 = 1 << 5;

/// `RTN_LOCAL`.
const LOCAL: u32 = 2;

/// Numbers of the families in a rule.
const V4: u8 = 2;
const V6: u8 = 10;

const R0: Register = Register(0);

/// A published port with the container's address behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRule {
    /// Where it is published.
    pub published: Published,
    /// Where it leads.
    pub to: IpAddr,
}

/// What the rules depend on besides networks and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The log group of what the host's input rules let through, if they are asked.
    pub obeys: Option<u16>,
    /// How an answer to ::1 comes back.
    pub loopback6: Loopback6,
}

/// How what a container answers to `::1` of this host comes back: [`crate::Switch`] sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loopback6 {
    /// By its bridge.
    Bridged,
    /// By its wire, past the bridge.
    PastTheBridge,
    /// Not at all.
    Not,
}

/// As whom this host calls a container from `::1`, where the answer is led past the bridge. Of the addresses that nobody has
/// (RFC 9780).
pub(crate) const STANDS_FOR_LOOPBACK6: [u16; 8] = [0x100, 0, 0, 1, 0, 0, 0, 1];

/// The whole table. What was in a table of that name is gone with the same batch.
pub fn all(table: &Table, networks: &[&Definition], ports: &[PortRule], host: Host) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(table).delete_table(table).add_table(table);
    sets(&mut batch, table);
    gateways::sets(&mut batch, table);
    for chain in CHAINS {
        batch.add_chain(table, chain);
    }
    links(&mut batch, table, networks);
    gateways::links(&mut batch, table, networks);
    translation(&mut batch, table, host);
    leaving(&mut batch, table, networks, host.loopback6);
    forwarding(&mut batch, table, networks);
    add_ports(&mut batch, table, ports, host.obeys.is_some());
    batch
}

/// How many rules each chain of the table has, as [`all`] makes them: to see what others took away.
pub fn counts(networks: &[&Definition], host: Host) -> Vec<(&'static str, usize)> {
    let post = networks.iter().map(|network| out_rules(network).len()).sum::<usize>() + 2;
    let out = if host.loopback6 == Loopback6::Not { 2 } else { 1 };
    let pre = if host.obeys.is_some() { ("asked", 4) } else { ("pre", 2) };
    vec![
        ("raw", 2),
        pre,
        ("out", out),
        ("ports", 4),
        ("post", post),
        ("forward", 2),
        ("into", 5 + gateways::rules(networks).len()),
    ]
}

const CHAINS: &[Chain<'static>] = &[
    Chain { name: "ports", base: None },
    Chain { name: "into", base: None },
    Chain { name: "raw", base: Some((Hook::Prerouting, -300, "filter")) },
    Chain { name: "pre", base: Some((Hook::Prerouting, -100, "nat")) },
    Chain { name: "asked", base: Some((Hook::Input, 300, "filter")) },
    Chain { name: "out", base: Some((Hook::Output, -100, "nat")) },
    Chain { name: "post", base: Some((Hook::Postrouting, 100, "nat")) },
    Chain { name: "forward", base: Some((Hook::Forward, 0, "filter")) },
];

fn sets(batch: &mut Batch, table: &Table) {
    use Type::{IfName, Ipv4, Ipv6, Proto, Service};
    for set in [
        Set { name: "bridges", key: &[IfName], data: None },
        Set { name: "internal", key: &[IfName], data: None },
        Set { name: "neighbours", key: &[IfName, IfName], data: None },
        Set { name: "at4", key: &[Ipv4, Proto, Service], data: Some(&[Ipv4, Service]) },
        Set { name: "any4", key: &[Proto, Service], data: Some(&[Ipv4, Service]) },
        Set { name: "at6", key: &[Ipv6, Proto, Service], data: Some(&[Ipv6, Service]) },
        Set { name: "any6", key: &[Proto, Service], data: Some(&[Ipv6, Service]) },
        Set { name: "open4", key: &[Ipv4, Proto, Service], data: None },
        Set { name: "open6", key: &[Ipv6, Proto, Service], data: None },
        Set { name: "asked_at4", key: &[Ipv4, Proto, Service], data: None },
        Set { name: "asked_any4", key: &[Proto, Service], data: None },
        Set { name: "asked_at6", key: &[Ipv6, Proto, Service], data: None },
        Set { name: "asked_any6", key: &[Proto, Service], data: None },
    ] {
        batch.add_set(table, &set);
    }
}

fn links(batch: &mut Batch, table: &Table, networks: &[&Definition]) {
    let keys = |keep: fn(&Definition) -> bool, times: usize| -> Vec<Element> {
        let kept = networks.iter().filter(|network| keep(network));
        kept.map(|network| Element { key: Expr::ifname(&network.link).repeat(times), data: None }).collect()
    };
    batch.add_elements(table, "bridges", &keys(|_| true, 1));
    batch.add_elements(table, "internal", &keys(|network| network.internal, 1));
    batch.add_elements(table, "neighbours", &keys(|network| network.icc, 2));
}

/// To this host, and to a port that is published: on to the container.
fn translation(batch: &mut Batch, table: &Table, Host { obeys, loopback6 }: Host) {
    let mut rule = |chain: &str, comment: &str, exprs: &[Expr]| {
        batch.add_rule(table, &Rule { chain, comment, exprs });
    };
    let local = [
        Expr::Load(Field::FibDaddrType, R0),
        Expr::Cmp(R0, true, LOCAL.to_ne_bytes().to_vec()),
        Expr::Verdict(Verdict::Jump("ports".into())),
    ];
    // A neighbour may send to 127.0.0.1 whatever it likes: what is published there is for this host alone.
    let foreign = [Expr::Load(Field::IifName, R0), Expr::Cmp(R0, false, Expr::ifname("lo"))];
    let exprs = [&foreign[..], &to_loopback(), &[Expr::Verdict(Verdict::Return)]].concat();
    if obeys.is_none() {
        rule("pre", "to the loopback address, from elsewhere", &exprs);
        rule("pre", "to this host", &local);
    }
    // Left alone, the call is refused at once, and the client goes on to 127.0.0.1.
    if loopback6 == Loopback6::Not {
        let six = [Expr::Load(Field::Nfproto, R0), Expr::Cmp(R0, true, vec![V6]), Expr::Load(Field::Daddr6, R0)];
        let own = Expr::Cmp(R0, true, octets(std::net::Ipv6Addr::LOCALHOST.into()));
        let exprs = [&six[..], &[own, Expr::Verdict(Verdict::Return)]].concat();
        rule("out", "to ::1, which cannot be answered", &exprs);
    }
    rule("out", "from this host to itself", &local);
    for (family, daddr, words, at, any) in
        [(V4, Field::Daddr4, 1, "at4", "any4"), (V6, Field::Daddr6, 4, "at6", "any6")]
    {
        let family_is = [Expr::Load(Field::Nfproto, R0), Expr::Cmp(R0, true, vec![family])];
        let nat = Expr::Nat(Direction::Destination, family, R0, Some(Register(words)));
        let to_address = [
            Expr::Load(daddr, R0),
            Expr::Load(Field::L4Proto, Register(words)),
            Expr::Load(Field::Dport, Register(words + 1)),
        ];
        let to_port = [Expr::Load(Field::L4Proto, R0), Expr::Load(Field::Dport, Register(1))];
        for (where_to, key, map) in [("one address", &to_address[..], at), ("all addresses", &to_port, any)] {
            let published = [&family_is[..], key, &[Expr::Map(R0, map.into(), R0), nat.clone()]].concat();
            rule("ports", &format!("published on {where_to}"), &published);
            if let Some(group) = obeys {
                let asked = Expr::Lookup(R0, format!("asked_{map}"), true);
                let hand_over = [asked, Expr::Log(group), Expr::Verdict(Verdict::Drop)];
                let exprs = [&foreign[..], &family_is, key, &hand_over].concat();
                rule("asked", &format!("let through, and published on {where_to}"), &exprs);
            }
        }
    }
}

/// Out of a network.
fn leaving(batch: &mut Batch, table: &Table, networks: &[&Definition], loopback6: Loopback6) {
    for network in networks {
        for (comment, exprs) in out_rules(network) {
            batch.add_rule(table, &Rule { chain: "post", comment: &comment, exprs: &exprs });
        }
    }
    let to_bridge = [Expr::Load(Field::OifName, R0), Expr::Lookup(R0, "bridges".into(), true)];
    let four = Net { address: [127, 0, 0, 0].into(), prefix: 8 };
    let six = Net { address: std::net::Ipv6Addr::LOCALHOST.into(), prefix: 128 };
    let past = [
        Expr::Immediate(R0, octets(std::net::Ipv6Addr::from(STANDS_FOR_LOOPBACK6).into())),
        Expr::Nat(Direction::Source, V6, R0, None),
    ];
    let of_six = if loopback6 == Loopback6::PastTheBridge { past.to_vec() } else { vec![Expr::Masquerade] };
    for (loopback, translated) in [(four, vec![Expr::Masquerade]), (six, of_six)] {
        let exprs = [&from(loopback)[..], &to_bridge, &translated].concat();
        batch.add_rule(table, &Rule { chain: "post", comment: "this host by its loopback address", exprs: &exprs });
    }
}

fn out_rules(network: &Definition) -> Vec<(String, Vec<Expr>)> {
    let mut rules = Vec::new();
    let translated = |subnet: &&Subnet| network.gateways.mode(subnet.net.address.is_ipv4()).translates();
    for subnet in network.subnets.iter().filter(translated) {
        let leaves = |stays: bool| [Expr::Load(Field::OifName, R0), Expr::Cmp(R0, stays, Expr::ifname(&network.link))];
        if network.masquerade && !network.internal {
            let exprs = [&from(subnet.net)[..], &leaves(false), &[Expr::Masquerade]].concat();
            rules.push((format!("{} to elsewhere", network.name), exprs));
        }
        let translated = [
            Expr::Load(Field::CtStatus, R0),
            Expr::And(R0, TRANSLATED.to_ne_bytes().to_vec()),
            Expr::Cmp(R0, false, vec![0; 4]),
        ];
        let exprs = [&from(subnet.net)[..], &leaves(true), &translated, &[Expr::Masquerade]].concat();
        rules.push((format!("{} to its own published port", network.name), exprs));
    }
    rules
}

/// Goes on only for packets from this network.
fn from(net: Net) -> Vec<Expr> {
    let (family, field, length) = if net.address.is_ipv4() { (V4, Field::Saddr4, 4) } else { (V6, Field::Saddr6, 16) };
    let mask = (0..length).map(|byte| (0xff00_u16 >> net.prefix.saturating_sub(byte * 8).min(8)) as u8);
    vec![
        Expr::Load(Field::Nfproto, R0),
        Expr::Cmp(R0, true, vec![family]),
        Expr::Load(field, R0),
        Expr::And(R0, mask.collect()),
        Expr::Cmp(R0, true, octets(net.network().address)),
    ]
}

/// Goes on only for packets to 127.0.0.0/8.
fn to_loopback() -> [Expr; 5] {
    [
        Expr::Load(Field::Nfproto, R0),
        Expr::Cmp(R0, true, vec![V4]),
        Expr::Load(Field::Daddr4, R0),
        Expr::And(R0, vec![255, 0, 0, 0]),
        Expr::Cmp(R0, true, vec![127, 0, 0, 0]),
    ]
}

/// What may cross this host to and from the bridges.
fn forwarding(batch: &mut Batch, table: &Table, networks: &[&Definition]) {
    let mut rule = |chain, comment, exprs: &[Expr]| {
        batch.add_rule(table, &Rule { chain, comment, exprs });
    };
    let from_bridge = [Expr::Load(Field::IifName, R0), Expr::Lookup(R0, "bridges".into(), true)];
    let exprs = [&from_bridge[..], &to_loopback(), &[Expr::Verdict(Verdict::Drop)]].concat();
    rule("raw", "a container to this host's loopback", &exprs);
    // The kernel would pass it on, and under this host's address.
    let of_loopback = from(Net { address: [127, 0, 0, 0].into(), prefix: 8 });
    let exprs = [&from_bridge[..], &of_loopback, &[Expr::Verdict(Verdict::Drop)]].concat();
    rule("raw", "a container as this host's loopback", &exprs);
    let into = Expr::Verdict(Verdict::Jump("into".into()));
    rule(
        "forward",
        "to a container",
        &[Expr::Load(Field::OifName, R0), Expr::Lookup(R0, "bridges".into(), true), into],
    );
    let internal = [Expr::Load(Field::IifName, R0), Expr::Lookup(R0, "internal".into(), true)];
    rule("forward", "out of an internal network", &[&internal[..], &[Expr::Verdict(Verdict::Drop)]].concat());

    let accept = || Expr::Verdict(Verdict::Accept);
    let answers = Expr::ct_state(ESTABLISHED | RELATED, R0);
    rule("into", "answers", &[&answers[..], &[accept()]].concat());
    let pair = [
        Expr::Load(Field::IifName, R0),
        Expr::Load(Field::OifName, Register(4)),
        Expr::Lookup(R0, "neighbours".into(), true),
    ];
    rule("into", "neighbours", &[&pair[..], &[accept()]].concat());
    let translated = [
        Expr::Load(Field::CtStatus, R0),
        Expr::And(R0, TRANSLATED.to_ne_bytes().to_vec()),
        Expr::Cmp(R0, false, vec![0; 4]),
    ];
    for (family, daddr, words, open) in [(V4, Field::Daddr4, 1, "open4"), (V6, Field::Daddr6, 4, "open6")] {
        let published = [
            Expr::Load(Field::Nfproto, R0),
            Expr::Cmp(R0, true, vec![family]),
            Expr::Load(daddr, R0),
            Expr::Load(Field::L4Proto, Register(words)),
            Expr::Load(Field::Dport, Register(words + 1)),
            Expr::Lookup(R0, open.into(), true),
        ];
        rule("into", "published ports", &[&translated[..], &published, &[accept()]].concat());
    }
    gateways::rules(networks).iter().for_each(|(comment, exprs)| rule("into", comment, exprs));
    rule("into", "the rest", &[Expr::Verdict(Verdict::Drop)]);
}

/// Opens ports.
pub fn add_ports(batch: &mut Batch, table: &Table, ports: &[PortRule], obey: bool) {
    for (set, elements) in elements(ports, obey) {
        batch.add_elements(table, set, &elements);
    }
}

/// Closes them.
pub fn delete_ports(batch: &mut Batch, table: &Table, ports: &[PortRule], obey: bool) {
    for (set, elements) in elements(ports, obey) {
        batch.delete_elements(table, set, &elements);
    }
}

/// How many elements each set of ports has.
pub fn set_sizes(ports: &[PortRule], obey: bool) -> Vec<(&'static str, usize)> {
    elements(ports, obey).into_iter().map(|(set, list)| (set, list.len())).collect()
}

/// The map that a published port is in, its key there, and its key in the set of open ports.
pub(crate) fn keys_of(published: &Published, to: IpAddr) -> (&'static str, Vec<u8>, Vec<u8>) {
    let found = elements(&[PortRule { published: *published, to }], false);
    // One that is not led anywhere is in a set alone.
    let [(map, first), .., (_, open)] = &[&found[..], &found].concat()[..] else { unreachable!("a port is in a set") };
    (map, first[0].key.clone(), open[0].key.clone())
}

/// The sets that ports are in.
const SETS: [&str; 12] = [
    "at4",
    "any4",
    "at6",
    "any6",
    "open4",
    "open6",
    "direct4",
    "direct6",
    "asked_at4",
    "asked_any4",
    "asked_at6",
    "asked_any6",
];

/// The elements of ports, by set. `obey`: also of those that the host's input rules are asked about.
fn elements(ports: &[PortRule], obey: bool) -> Vec<(&'static str, Vec<Element>)> {
    let mut all: Vec<(&'static str, Vec<Element>)> = SETS.map(|set| (set, Vec::new())).into();
    let mut put = |set: &str, element: Element| {
        let (_, list) = all.iter_mut().find(|(name, _)| *name == set).expect("a set of the table");
        // Two published ports may lead to one of the container.
        if !list.contains(&element) {
            list.push(element);
        }
    };
    for PortRule { published, to } in ports {
        let service = |port: u16| [&port.to_be_bytes()[..], &[0, 0]].concat();
        let protocol = vec![published.protocol.number(), 0, 0, 0];
        let key = [protocol.clone(), service(published.host)].concat();
        let data = Some(Data::Value([octets(*to), service(published.port)].concat()));
        let inside = [octets(*to), protocol.clone(), service(published.port)].concat();
        if published.is_direct() {
            put(if to.is_ipv4() { "direct4" } else { "direct6" }, Element { key: inside, data: None });
            continue;
        }
        let (at, any, open) = if to.is_ipv4() { ("at4", "any4", "open4") } else { ("at6", "any6", "open6") };
        let (set, key) = match published.address.is_unspecified() {
            true => (any, key),
            false => (at, [octets(published.address), key].concat()),
        };
        if obey {
            put(&format!("asked_{set}"), Element { key: key.clone(), data: None });
        }
        put(set, Element { key, data });
        put(open, Element { key: inside, data: None });
    }
    all.retain(|(_, list)| !list.is_empty());
    all
}
