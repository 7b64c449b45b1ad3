//! What follows from what was seen: pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hull_network::look::{SeenLink, SeenRule};
use hull_network::ports::Published;
use hull_network::{Driver, GatewayMode};
use hull_wire as wire;

use super::{Place, Port, Waiting};

/// The hops of one port, and who reaches it.
pub(super) fn port(port: Port, places: &[Place], published: &[Published], waiting: &[Waiting]) -> wire::PortTrace {
    let main = &places[0];
    let rules: Vec<(&Published, &SeenRule)> =
        published.iter().zip(&main.seen.rules).filter(|(one, _)| (one.port, one.protocol) == port).collect();
    let waiting: Vec<&Waiting> =
        waiting.iter().filter(|one| (one.listener.at.port(), one.listener.protocol) == port).collect();
    let look = Look { port: port.0, main, rules, waiting };
    let mut hops = look.rules();
    hops.extend(look.host());
    hops.extend(look.links());
    hops.extend(look.sockets());
    let mut from = vec![look.others(), look.this_host()];
    from.extend(places.iter().map(|place| look.neighbours(place)));
    wire::PortTrace { port: format!("{}/{}", port.0, port.1.name()), hops, from }
}

struct Look<'a> {
    port: u16,
    main: &'a Place,
    rules: Vec<(&'a Published, &'a SeenRule)>,
    waiting: Vec<&'a Waiting>,
}

fn hop(kind: &str, at: impl Into<String>, passes: bool, says: impl Into<String>) -> wire::TraceHop {
    wire::TraceHop { kind: kind.into(), at: at.into(), says: says.into(), passes }
}

/// `Ok` is where it is reached, `Err` why not.
fn from(who: impl Into<String>, verdict: Result<Vec<String>, String>) -> wire::TraceFrom {
    let (reaches, at, why) = match verdict {
        Ok(at) => (true, at, String::new()),
        Err(why) => (false, Vec::new(), why),
    };
    wire::TraceFrom { who: who.into(), reaches, at, why }
}

impl Look<'_> {
    /// From the host's addresses to the container's.
    fn rules(&self) -> Vec<wire::TraceHop> {
        let (driver, table) = (self.main.network.driver, &self.main.seen.table);
        if driver != Driver::Bridge {
            return Vec::new();
        }
        if self.rules.is_empty() {
            let unprotected = self.unprotected().next().is_some();
            let says = match unprotected {
                true => "not published: the network lets other machines through all the same (nat-unprotected)",
                false => "not published: dropped on the way from other machines and networks",
            };
            return vec![hop("rule", format!("{table} into"), unprotected, says)];
        }
        let mut hops = Vec::new();
        if self.main.seen.obeys {
            let says = "this host's own input rules are asked first; they are not looked at here";
            hops.push(hop("host", "input", true, says));
        }
        for (published, rule) in &self.rules {
            if published.is_direct() {
                let says = match rule.open {
                    true => "open at the container's own address, to whom a route leads here",
                    false => "does not let it through: dropped",
                };
                hops.push(hop("rule", format!("{table} {}", rule.map), rule.open, says));
                continue;
            }
            let at = SocketAddr::new(published.address, published.host);
            hops.push(hop("address", at.to_string(), true, whose(published.address)));
            let leads = self.leads(published, rule);
            let says = match (rule.to, leads) {
                (Some(to), true) => format!("leads to {to}"),
                (Some(to), false) => format!("leads to {to}, which is not the container"),
                (None, _) => "the port is not in it: nobody is led to the container".to_owned(),
            };
            hops.push(hop("rule", format!("{table} {}", rule.map), leads, says));
            let says = if rule.open { "lets it through" } else { "does not let it through: dropped" };
            hops.push(hop("rule", format!("{table} into"), rule.open, says));
        }
        if !self.main.seen.whole {
            hops.push(hop(
                "rule",
                table.clone(),
                false,
                "somebody has changed the rules; they are made again in a moment",
            ));
        }
        hops
    }

    fn leads(&self, published: &Published, rule: &SeenRule) -> bool {
        let to = self.main.endpoint.address(published.address.is_ipv4());
        rule.to.is_some() && rule.to == to.map(|to| SocketAddr::new(to, self.port))
    }

    /// What of this host is in the way.
    fn host(&self) -> Vec<wire::TraceHop> {
        let seen = &self.main.seen;
        if self.main.network.driver != Driver::Bridge {
            return Vec::new();
        }
        let mut hops = Vec::new();
        if !seen.forwards {
            hops.push(hop("host", "net.ipv4.ip_forward", false, "is 0: nothing from other machines is passed on"));
        }
        let says = "of somebody else: drops what no rule of its own lets through, from other machines";
        hops.extend(seen.dropping.iter().map(|chain| hop("host", chain, false, says)));
        hops
    }

    fn links(&self) -> Vec<wire::TraceHop> {
        let (network, endpoint, seen) = (&self.main.network, &self.main.endpoint, &self.main.seen);
        let bridge = network.driver == Driver::Bridge;
        let kind = if bridge { "bridge" } else { "parent" };
        let mut hops = vec![link(kind, &network.link, seen.network.as_ref(), &format!("network {}", network.name))];
        if network.internal {
            hops.push(hop(kind, network.link.clone(), false, "internal: nothing outside is reached, nor reaches it"));
        }
        if bridge {
            let mut wire = link("wire", &endpoint.link, seen.wire.as_ref(), &format!("a port of {}", network.link));
            let port = seen.wire.as_ref();
            if wire.passes && port.is_some_and(|wire| wire.master.as_ref() != Some(&network.link)) {
                wire = hop("wire", wire.at, false, format!("is no port of {}", network.link));
            }
            hops.push(wire);
            if port.is_some_and(|wire| wire.isolated) || !seen.neighbours {
                let says = "isolated: neighbours are kept apart (enable_icc=false)";
                hops.push(hop("wire", endpoint.link.clone(), false, says));
            }
        }
        let mut interface = link("interface", &endpoint.name, seen.inside.as_ref(), "in the container");
        let own = seen.inside.as_ref().map(|link| &link.addresses);
        if let (true, Some(own)) = (interface.passes, own)
            && let Some(lost) = endpoint.addresses.iter().find(|net| !own.contains(net))
        {
            interface = hop("interface", interface.at, false, format!("its address {lost} was taken away"));
        }
        hops.push(interface);
        let says = "rules of the container's own, which are not looked at";
        hops.extend(seen.rules_inside.iter().map(|table| hop("interface", table, true, says)));
        hops
    }

    fn sockets(&self) -> Vec<wire::TraceHop> {
        if self.waiting.is_empty() {
            return vec![hop("socket", format!("*:{}", self.port), false, "nobody listens")];
        }
        let socket = |one: &&Waiting| {
            let who = one.process.as_deref().unwrap_or("a process that is not the container's");
            let loopback = one.listener.at.ip().is_loopback();
            let says = if loopback { format!("{who}, for the container alone") } else { who.to_owned() };
            hop("socket", one.listener.at.to_string(), !loopback, says)
        };
        self.waiting.iter().map(socket).collect()
    }

    /// Whether what arrives at this address of the container is taken.
    fn taken(&self, place: &Place, at: IpAddr) -> Result<(), String> {
        let (network, seen) = (&place.network, &place.seen);
        let up = |link: &Option<SeenLink>| link.as_ref().is_some_and(|link| link.up);
        if !up(&seen.network) {
            return Err(format!("{} is not there or down", network.link));
        }
        let wired = seen.wire.as_ref().is_some_and(|wire| wire.up && wire.master.as_ref() == Some(&network.link));
        if network.driver == Driver::Bridge && !wired {
            return Err(format!("{} is not there, down, or no port of {}", place.endpoint.link, network.link));
        }
        if !seen.inside.as_ref().is_some_and(|link| link.up && link.addresses.iter().any(|net| net.address == at)) {
            return Err(format!("{} is not there, down, or without {at}", place.endpoint.name));
        }
        if self.waiting.iter().any(|one| one.listener.takes(at)) {
            return Ok(());
        }
        match self.waiting.first() {
            None => Err("nobody listens".into()),
            Some(one) => Err(format!("it listens at {} alone", one.listener.at)),
        }
    }

    /// Where a published port is open to somebody, by which of the host's addresses.
    fn led(&self, who: impl Fn(IpAddr) -> bool, why_not: &str) -> Result<Vec<String>, String> {
        let mut why = "not published".to_owned();
        let mut at = Vec::new();
        for (published, rule) in &self.rules {
            let to = self.main.endpoint.address(published.address.is_ipv4()).unwrap_or(published.address);
            let place = match published.is_direct() {
                true => SocketAddr::new(to, self.port).to_string(),
                false => SocketAddr::new(published.address, published.host).to_string(),
            };
            if !who(published.address) {
                why = format!("published on {}: {why_not}", published.address);
            } else if !self.leads(published, rule) || !rule.open {
                why = "the rules do not lead there".to_owned();
            } else {
                match self.taken(self.main, to) {
                    Ok(()) => at.push(place),
                    Err(cause) => why = cause,
                }
            }
        }
        if at.is_empty() { Err(why) } else { Ok(at) }
    }

    fn others(&self) -> wire::TraceFrom {
        let (network, seen) = (&self.main.network, &self.main.seen);
        if network.driver != Driver::Bridge {
            return from(format!("other machines on {}", network.link), self.on_parent());
        }
        let verdict = match (network.internal, seen.forwards, seen.dropping.first()) {
            (true, ..) => Err(format!("the network {} is internal", network.name)),
            (_, false, _) => Err("net.ipv4.ip_forward is 0".to_owned()),
            _ => self.outside(),
        };
        let verdict = match (verdict, seen.dropping.first()) {
            (Ok(_), Some(chain)) => Err(format!("unless a rule of {chain} lets it through")),
            (verdict, _) => verdict,
        };
        from("other machines", verdict)
    }

    fn outside(&self) -> Result<Vec<String>, String> {
        let led = self.led(|address| !address.is_loopback(), "for this host alone");
        match self.at_own(self.main, self.unprotected()) {
            Ok(own) => Ok(led.unwrap_or_default().into_iter().chain(own).collect()),
            Err(_) => led,
        }
    }

    /// The container's own addresses at which other machines reach every port.
    fn unprotected(&self) -> impl Iterator<Item = IpAddr> {
        let mode = |address: &IpAddr| self.main.network.gateways.mode(address.is_ipv4());
        let own = self.main.endpoint.addresses.iter().map(|net| net.address);
        own.filter(move |address| mode(address) == GatewayMode::NatUnprotected)
    }

    fn on_parent(&self) -> Result<Vec<String>, String> {
        let (network, endpoint) = (&self.main.network, &self.main.endpoint);
        if network.internal {
            return Err(format!("the network {} is internal", network.name));
        }
        self.at_own(self.main, endpoint.addresses.iter().map(|net| net.address))
    }

    /// At the container's own addresses.
    fn at_own(&self, place: &Place, addresses: impl Iterator<Item = IpAddr>) -> Result<Vec<String>, String> {
        let mut why = "it has no address there".to_owned();
        let mut at = Vec::new();
        for address in addresses {
            match self.taken(place, address) {
                Ok(()) => at.push(SocketAddr::new(address, self.port).to_string()),
                Err(cause) => why = cause,
            }
        }
        if at.is_empty() { Err(why) } else { Ok(at) }
    }

    fn this_host(&self) -> wire::TraceFrom {
        let (network, endpoint) = (&self.main.network, &self.main.endpoint);
        if network.driver != Driver::Bridge {
            return from("this host", Err(format!("{} does not lead to what stands on it", network.link)));
        }
        let own = self.at_own(self.main, endpoint.addresses.iter().map(|net| net.address));
        let led = self.led(|_| true, "").unwrap_or_default();
        let here = |text: String| text.replace("0.0.0.0:", &format!("{}:", Ipv4Addr::LOCALHOST));
        let led = |own: &[String]| led.into_iter().filter(|at| !own.contains(at)).map(here).collect::<Vec<_>>();
        from("this host", own.map(|own| [led(&own), own].concat()))
    }

    fn neighbours(&self, place: &Place) -> wire::TraceFrom {
        let (network, seen) = (&place.network, &place.seen);
        let apart = network.driver == Driver::Bridge
            && (!seen.neighbours || seen.wire.as_ref().is_some_and(|wire| wire.isolated));
        let verdict = if apart {
            Err("neighbours are kept apart (enable_icc=false)".to_owned())
        } else if network.driver == Driver::Macvlan(hull_network::MacvlanMode::Private) {
            Err("neighbours are kept apart (macvlan_mode=private)".to_owned())
        } else {
            self.at_own(place, place.endpoint.addresses.iter().map(|net| net.address))
        };
        from(format!("containers on {}", network.name), verdict)
    }
}

/// Who is meant by an address of the host.
fn whose(address: IpAddr) -> &'static str {
    if address.is_unspecified() {
        "every address of this host"
    } else if address.is_loopback() {
        "for this host alone"
    } else {
        "an address of this host"
    }
}

fn link(kind: &str, name: &str, seen: Option<&SeenLink>, says: &str) -> wire::TraceHop {
    let Some(link) = seen else { return hop(kind, name, false, "is not there") };
    let mut at = name.to_owned();
    link.addresses.iter().for_each(|net| at.push_str(&format!(" {net}")));
    if link.up { hop(kind, at, true, says) } else { hop(kind, at, false, "is down") }
}
