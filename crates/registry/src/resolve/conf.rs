//! The two files: hosts(5) and resolv.conf(5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

// resolv.conf(5) gives these bounds and defaults.
const MAX_SERVERS: usize = 3;
const MAX_NDOTS: usize = 15;
const MAX_TIMEOUT: u64 = 30;
const MAX_ATTEMPTS: u32 = 5;

/// What resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conf {
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// Names with as many dots are tried as they are before they are completed.
    pub ndots: usize,
    /// How long one server may think.
    pub patience: Duration,
    /// How often each server is asked.
    pub attempts: u32,
}

impl Conf {
    /// Lines that are not understood are passed over, as the C library does.
    pub fn parse(text: &str) -> Self {
        let (servers, search) = (Vec::new(), Vec::new());
        let mut conf = Self { servers, search, ndots: 1, patience: Duration::from_secs(5), attempts: 2 };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => {
                    conf.search = words.map(|word| word.trim_matches('.').to_owned()).collect()
                }
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf.search.retain(|domain| !domain.is_empty());
        if conf.servers.is_empty() {
            conf.servers.push((Ipv4Addr::LOCALHOST, 0).into());
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((key, value)) = word.split_once(':') else { return };
        match (key, value.parse::<u32>()) {
            ("ndots", Ok(value)) => self.ndots = (value as usize).min(MAX_NDOTS),
            ("timeout", Ok(value)) => self.patience = Duration::from_secs(u64::from(value).clamp(1, MAX_TIMEOUT)),
            ("attempts", Ok(value)) => self.attempts = value.clamp(1, MAX_ATTEMPTS),
            _ => {}
        }
    }

    /// The names that `name` may stand for, in the order to ask.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let completed = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let own = [name.to_owned()].into_iter();
        match name.matches('.').count() >= self.ndots {
            true => own.chain(completed).collect(),
            false => completed.chain(own).collect(),
        }
    }
}

/// An address; one of a link says on which interface: `fe80::1%eth0`.
fn server(text: &str) -> Option<SocketAddr> {
    let (address, interface) = text.split_once('%').unwrap_or((text, ""));
    match address.parse().ok()? {
        IpAddr::V6(v6) if !interface.is_empty() => {
            let index = std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex"));
            Some(SocketAddrV6::new(v6, 0, 0, index.ok()?.trim().parse().ok()?).into())
        }
        address => Some(SocketAddr::new(address, 0)),
    }
}

/// All addresses that /etc/hosts gives a name.
pub(super) fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    let (v4, v6): (Vec<_>, Vec<_>) = lines.partition(IpAddr::is_ipv4);
    [v4, v6].concat()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let conf = Conf::parse(
            "# x\n;y\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver fd00::1 # z\nsearch a.example. b\n\
             options ndots:2 timeout:99 attempts:0 rotate edns0\nsortlist 1\nnameserver 10.0.0.2\nnameserver 10.0.0.3",
        );
        let servers: Vec<IpAddr> = ["10.0.0.1", "fd00::1", "10.0.0.2"].map(|text| text.parse().unwrap()).into();
        assert_eq!(conf.servers.iter().map(SocketAddr::ip).collect::<Vec<_>>(), servers);
        assert_eq!((conf.ndots, conf.patience, conf.attempts), (2, Duration::from_secs(30), 1));
        assert_eq!(conf.candidates("r"), ["r.a.example", "r.b", "r"]);
        assert_eq!(conf.candidates("r.x.y"), ["r.x.y", "r.x.y.a.example", "r.x.y.b"]);
        assert_eq!(conf.candidates("r."), ["r"]);
        let link = Conf::parse("nameserver fe80::1%lo").servers;
        assert_eq!(link, [SocketAddrV6::new("fe80::1".parse::<Ipv6Addr>().unwrap(), 0, 0, 1).into()]);
        let empty = Conf::parse("");
        assert_eq!(empty.servers, [(Ipv4Addr::LOCALHOST, 0).into()], "resolv.conf(5): the machine itself");
        assert_eq!(empty.candidates("a.b"), ["a.b"]);
    }

    #[test]
    fn hosts_are_found_by_each_of_their_names() {
        let text = "::1 here\n127.0.0.1\there Alias # other\n#10.0.0.1 here\nx here\n10.0.0.2 other\n10.0.0.3 here";
        let shown = |name| in_hosts(text, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown("here"), ["127.0.0.1", "10.0.0.3", "::1"]);
        assert_eq!(shown("ALIAS."), ["127.0.0.1"]);
        assert_eq!(shown("other"), ["10.0.0.2"]);
        assert!(shown("10.0.0.2").is_empty() && shown("").is_empty());
    }
}
