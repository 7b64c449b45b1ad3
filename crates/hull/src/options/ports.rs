//! `-p` and `--expose`: ports, ranges and protocols.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hull_types::Fault;
use hull_wire::{Empty, PortBinding, PortMap};

use super::malformed;

/// The exposed ports and the bindings of all flags.
pub(crate) fn ports(publish: &[String], expose: &[String]) -> Result<(BTreeMap<String, Empty>, PortMap), Fault> {
    let mut exposed = BTreeMap::new();
    let mut bindings = PortMap::new();
    for text in publish {
        for (port, binding) in published(text).map_err(|why| malformed("publish", text, why))? {
            exposed.insert(port.clone(), Empty {});
            bindings.entry(port).or_default().get_or_insert_default().push(binding);
        }
    }
    for text in expose {
        let (range, protocol) = protocol(text).map_err(|why| malformed("expose", text, why))?;
        let (first, last) = span(range).map_err(|why| malformed("expose", text, why))?;
        for port in first..=last {
            exposed.insert(format!("{port}/{protocol}"), Empty {});
        }
    }
    Ok((exposed, bindings))
}

/// `[ip:][host[-host]:]container[-container][/protocol]`.
fn published(text: &str) -> Result<Vec<(String, PortBinding)>, &'static str> {
    let (rest, protocol) = protocol(text)?;
    let (rest, inside) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (ip.trim_start_matches('[').trim_end_matches(']'), host),
        None if rest.contains(['.', '[']) => (rest, ""),
        None => ("", rest),
    };
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err("the address is no IP address");
    }
    let (first, last) = span(inside)?;
    let host = if host.is_empty() { None } else { Some(span(host)?) };
    if let Some((low, high)) = host
        && high - low != last - first
        && last != first
    {
        return Err("the two ranges differ in length");
    }
    let ports = (first..=last).map(|port| {
        let host_port = match host {
            None => String::new(),
            Some((low, high)) if first == last && high != low => format!("{low}-{high}"),
            Some((low, _)) => (low + (port - first)).to_string(),
        };
        let binding = PortBinding { host_ip: ip.to_owned(), host_port };
        (format!("{port}/{protocol}"), binding)
    });
    Ok(ports.collect())
}

fn protocol(text: &str) -> Result<(&str, &str), &'static str> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol {
        "tcp" | "udp" | "sctp" => Ok((rest, protocol)),
        _ => Err("the protocol is tcp, udp or sctp"),
    }
}

fn span(text: &str) -> Result<(u16, u16), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |part: &str| part.parse::<u16>().map_err(|_| "a port is a number from 0 to 65535");
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err("the range ends before it begins");
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, Fault> {
        let (_, map) = ports(&[text.to_owned()], &[])?;
        let one = |(port, list): (String, Option<Vec<PortBinding>>)| {
            let host = &list.unwrap_or_default()[0];
            format!("{port}={}:{}", host.host_ip, host.host_port)
        };
        Ok(map.into_iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn ports_are_read_as_docker_does() {
        let table = [
            ("80", "80/tcp=:"),
            ("8080:80", "80/tcp=:8080"),
            ("127.0.0.1:8080:80/udp", "80/udp=127.0.0.1:8080"),
            ("127.0.0.1::80", "80/tcp=127.0.0.1:"),
            ("[::1]:8080:80", "80/tcp=::1:8080"),
            ("8000-8001:80-81", "80/tcp=:8000 81/tcp=:8001"),
            ("8000-8010:80", "80/tcp=:8000-8010"),
        ];
        for (text, want) in table {
            assert_eq!(shown(text).unwrap(), want, "{text}");
        }
        for wrong in ["", "x", "80/foo", "70000", "1-2:3-5", "9-8", "a.b:80:80"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
