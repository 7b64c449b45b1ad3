//! Exposed ports and the name resolution of a container.

use std::net::IpAddr;

use hull_launch::spec::Resolver;
use hull_types::Fault;
use hull_wire as wire;

use super::text::shown;

/// Ports are recorded; they must be readable.
pub(super) fn check(config: &wire::ContainerConfig, _host: &wire::HostConfig) -> Result<(), Fault> {
    for port in config.exposed_ports.keys() {
        if !is_port(port) {
            return Err(Fault::invalid(format!("invalid port specification: {}", shown(port)))
                .hint("write a port such as `80/tcp` or a range `8000-8010/udp`"));
        }
    }
    Ok(())
}

/// `80`, `80/tcp`, `8000-8010/udp`.
fn is_port(text: &str) -> bool {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let port = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .filter(|port| *port > 0)
    };
    matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last)
        && matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp")
}

/// `--dns`, `--dns-search`, `--dns-option`, `--add-host`.
pub(super) fn resolver(host: &wire::HostConfig) -> Result<Resolver, Fault> {
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return Err(Fault::invalid(format!("bad DNS address: {} is not an IP address", shown(server))));
        }
    }
    for (what, list) in [("search domain", &host.dns_search), ("option", &host.dns_options)] {
        if let Some(bad) = list.iter().find(|text| text.is_empty() || text.contains(char::is_whitespace)) {
            return Err(Fault::invalid(format!("bad DNS {what}: {}", shown(bad))));
        }
    }
    Ok(Resolver {
        servers: host.dns.clone(),
        search: host.dns_search.clone(),
        options: host.dns_options.clone(),
        hosts: host.extra_hosts.iter().map(|entry| extra_host(entry)).collect::<Result<_, _>>()?,
    })
}

/// `name:address` or `name=address`; the address may be in brackets.
fn extra_host(entry: &str) -> Result<(String, String), Fault> {
    let bad = |why: &str| Fault::invalid(format!("bad format for add-host: {}: {why}", shown(entry)));
    let (name, address) =
        entry.split_once('=').or_else(|| entry.split_once(':')).ok_or_else(|| bad("it is `name:address`"))?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad("the name is empty or has blanks"));
    }
    if address == "host-gateway" {
        // What it is, is known at the start.
        return Ok((name.to_owned(), address.to_owned()));
    }
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match address.parse::<IpAddr>() {
        Ok(address) => Ok((name.to_owned(), address.to_string())),
        Err(_) => Err(bad("invalid IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for good in ["80", "80/tcp", "53/UDP", "1-65535/sctp"] {
            assert!(is_port(good), "{good}");
        }
        for bad in ["", "0", "65536", "80/icmp", "9-8", "-1", "+80", "a/tcp", "80/"] {
            assert!(!is_port(bad), "{bad}");
        }
    }

    #[test]
    fn extra_hosts() {
        for (text, name, address) in [
            ("db:10.0.0.1", "db", "10.0.0.1"),
            ("db=10.0.0.1", "db", "10.0.0.1"),
            ("six:::1", "six", "::1"),
            ("six=[::1]", "six", "::1"),
            ("host:host-gateway", "host", "host-gateway"),
        ] {
            assert_eq!(extra_host(text), Ok((name.to_owned(), address.to_owned())));
        }
        for bad in ["", "db", "db:", ":10.0.0.1", "a b:1.1.1.1", "db:1.1.1.1 x"] {
            assert!(extra_host(bad).is_err(), "{bad}");
        }
    }
}
