//! What a container answers to `::1` of this host.
//!
//! A published port is called at `::1`; what comes back is sent to an address of this host's bridge and turned to `::1` again by the
//! ruleset. The kernel takes no packet to `::1` from any link but `lo`, and looks at that when a packet reaches it: one that is turned
//! after that check has passed it, and a route for each bridge says that this host is there.
//!
//! Where bridged frames pass the ruleset an answer is turned while it is still on the bridge, and then not taken. There it is sent
//! to an address that stands for `::1`, and led past the bridge: where it comes in by its wire, its frame is given a hardware
//! address that no bridge forwards, so that the wire itself receives it. The table `netdev hull` does that, with one chain for each
//! wire whose container publishes ports of IPv6. Nothing else ever goes to that address.

use std::net::{IpAddr, Ipv6Addr};

use hull_netlink::Tolerate;
use hull_netlink::nft::{Batch, Expr, Family, Field, Register, Rule, Table};
use hull_netlink::route::octets;
use rustix::io::Errno;

use super::{State, Switch, find, kernel, settings};
use crate::definition::Endpoint;
use crate::error::Error;
use crate::rules::{Loopback6, STANDS_FOR_LOOPBACK6};

/// `ETH_P_IPV6`.
const IPV6: [u8; 2] = [0x86, 0xdd];
/// "Nearest bridge" of IEEE 802.1Q: whoever receives it keeps it.
const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
const R0: Register = Register(0);

impl Switch {
    /// Whether this host hears an answer to its `::1`.
    pub fn hears_loopback6(&self) -> bool {
        self.lock().loopback6 != Some(Loopback6::Not)
    }
}

impl State {
    /// Notes whose answers to `::1` there may be; what the kernel needs for it follows with [`State::lead_answers`].
    pub(super) fn note_answers(&mut self, endpoint: &Endpoint, ports_of_v6: bool) {
        if ports_of_v6 {
            self.answering.insert(endpoint.id.clone(), endpoint.clone());
        }
    }

    /// Makes the table anew where there has to be one, and says how answers come back.
    pub(super) fn install_answers(&mut self, rules: &Table) -> Result<Loopback6, Error> {
        let bridged = settings::bridged_frames_of_v6_pass_the_ruleset();
        // Of an engine before this one there may be a table.
        if !bridged && self.loopback6 == Some(Loopback6::Bridged) {
            return Ok(Loopback6::Bridged);
        }
        let table = table(rules);
        let mut batch = Batch::new();
        batch.add_table(&table).delete_table(&table);
        let (_, nft) = self.sockets()?;
        // KERNEL(CONFIG_NF_TABLES_NETDEV): without it, calls to ::1 are refused where bridged frames pass the ruleset.
        let lacking = [Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
        let known = nft.commit(batch).tolerate(&lacking).map_err(kernel("write the ruleset of wires"))?.is_some();
        let way = match (bridged, known) {
            (false, _) => Loopback6::Bridged,
            (true, true) => Loopback6::PastTheBridge,
            (true, false) => Loopback6::Not,
        };
        self.loopback6 = Some(way);
        for endpoint in self.answering.values().cloned().collect::<Vec<_>>() {
            self.lead_answers(rules, &endpoint)?;
        }
        Ok(way)
    }

    /// Leads a container's answers past the bridge, if that is how they come back.
    pub(super) fn lead_answers(&mut self, rules: &Table, endpoint: &Endpoint) -> Result<(), Error> {
        let address = endpoint.address(false).filter(|_| self.answering.contains_key(&endpoint.id));
        let Some(address) = address.filter(|_| self.loopback6 == Some(Loopback6::PastTheBridge)) else { return Ok(()) };
        let (route, nft) = self.sockets()?;
        // With a wire that is gone there is nothing to answer.
        let Some(wire) = find(route, &endpoint.link)? else { return Ok(()) };
        settings::write(&format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", endpoint.link), "0")?;
        let attempt = || kernel("hear what a container answers to ::1");
        route.hear_loopback6(wire.index).tolerate(&[Errno::EXIST]).map_err(attempt())?;
        let table = table(rules);
        let mut batch = Batch::new();
        batch.add_table(&table).add_ingress(&table, &endpoint.link, &endpoint.link).flush_chain(&table, &endpoint.link);
        let exprs = past_the_bridge(endpoint, address);
        batch.add_rule(
            &table,
            &Rule { chain: &endpoint.link, comment: "an answer to ::1, past the bridge", exprs: &exprs },
        );
        nft.commit(batch).tolerate(&[Errno::NOENT]).map(drop).map_err(attempt())
    }

    /// A container publishes nothing any more.
    pub(super) fn forget_answers(&mut self, rules: &Table, endpoint: &str) -> Result<(), Error> {
        let Some(endpoint) = self.answering.remove(endpoint) else { return Ok(()) };
        if self.loopback6 != Some(Loopback6::PastTheBridge) {
            return Ok(());
        }
        let (table, mut batch) = (table(rules), Batch::new());
        if self.answering.is_empty() {
            batch.delete_table(&table);
        } else {
            batch.delete_chain(&table, &endpoint.link);
        }
        let (_, nft) = self.sockets()?;
        // KERNEL: before 6.16 a chain goes with its link.
        nft.commit(batch).tolerate(&[Errno::NOENT]).map(drop).map_err(kernel("forget a wire"))
    }

    /// Whether answers come back in the way that the host needs now, and what that takes is there.
    pub(super) fn answers_are_led(&mut self, rules: &Table) -> Result<bool, Error> {
        let bridged = settings::bridged_frames_of_v6_pass_the_ruleset();
        let past = match self.loopback6 {
            None => return Ok(false),
            Some(Loopback6::Not) => return Ok(bridged),
            Some(Loopback6::Bridged) => return Ok(!bridged),
            Some(Loopback6::PastTheBridge) => self.answering.values().map(|end| end.link.clone()).collect::<Vec<_>>(),
        };
        if !bridged || past.is_empty() {
            return Ok(bridged);
        }
        let (route, nft) = self.sockets()?;
        let found = nft.rules(&table(rules)).tolerate(&[Errno::NOENT]).map_err(kernel("read the ruleset"))?;
        let found = found.unwrap_or_default();
        for link in past {
            if !found.iter().any(|(chain, rules)| *chain == link && *rules == 1) && find(route, &link)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The table beside that of the rules.
fn table(rules: &Table) -> Table {
    Table { family: Family::Netdev, name: rules.name.clone() }
}

/// From the container itself, to the address that stands for `::1`.
fn past_the_bridge(endpoint: &Endpoint, address: IpAddr) -> Vec<Expr> {
    let is = |field, value: Vec<u8>| [Expr::Load(field, R0), Expr::Cmp(R0, true, value)];
    let of_it = [
        is(Field::EtherSaddr, endpoint.mac.0.to_vec()),
        is(Field::Protocol, IPV6.to_vec()),
        is(Field::Saddr6, octets(address)),
        is(Field::Daddr6, octets(IpAddr::from(Ipv6Addr::from(STANDS_FOR_LOOPBACK6)))),
    ];
    let keep = [
        Expr::Immediate(R0, NEAREST_BRIDGE.to_vec()),
        Expr::Set(Field::EtherDaddr, R0),
        Expr::Immediate(R0, vec![0]),
        Expr::Set(Field::PacketType, R0),
    ];
    [of_it.concat(), keep.to_vec()].concat()
}
