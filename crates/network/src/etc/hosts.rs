//! `/etc/hosts`.

use std::fmt::Write;
use std::net::IpAddr;

use super::Network;
use crate::error::Error;

/// A line of `--add-host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    /// The host name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

impl std::str::FromStr for ExtraHost {
    type Err = Error;

    /// `name:address` or `name=address`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, Error> {
        let shown = || text.chars().take(200).collect::<String>();
        let split = text.split_once('=').or_else(|| text.split_once(':'));
        let (name, address) = split.ok_or_else(|| Error::ExtraHost(shown()))?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        if name.is_empty() || name.contains(odd) || name.len() > 255 {
            return Err(Error::ExtraHost(shown()));
        }
        if address == "host-gateway" {
            return Err(Error::HostGateway);
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let bad = || Error::ExtraHostAddress(address.chars().take(200).collect());
        Ok(Self { name: name.to_owned(), address: bare.parse().map_err(|_| bad())? })
    }
}

/// What docker puts in front of everything else.
const DEFAULT: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// `/etc/hosts`. In the host's network without `--add-host` it is the host's own file.
///
/// COMPAT(docker 28): with `--add-host` the host's entries are not taken over, even there.
pub fn hosts(network: Network, host_file: &str, extra: &[ExtraHost]) -> String {
    if network == Network::Host && extra.is_empty() {
        return host_file.to_owned();
    }
    let mut text = DEFAULT.to_owned();
    for ExtraHost { name, address } in extra {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_host_is_parsed_as_docker_does() {
        for (text, name, address) in [
            ("db:10.0.0.1", "db", "10.0.0.1"),
            ("db=10.0.0.1", "db", "10.0.0.1"),
            ("six:::1", "six", "::1"),
            ("six=[fd00::2]", "six", "fd00::2"),
        ] {
            let parsed: ExtraHost = text.parse().unwrap();
            assert_eq!(parsed.name, name);
            assert_eq!(parsed.address, address.parse::<IpAddr>().unwrap());
        }
        for bad in ["", "db", "db:", ":1.2.3.4", "db:1.2.3", "a b:1.2.3.4", "a\nb:1.2.3.4"] {
            assert!(bad.parse::<ExtraHost>().is_err(), "{bad:?}");
        }
        assert_eq!("x:host-gateway".parse::<ExtraHost>(), Err(Error::HostGateway));
    }

    #[test]
    fn the_file_starts_with_localhost_and_ends_with_what_was_added() {
        let extra = ["db:10.0.0.1".parse().unwrap()];
        let text = hosts(Network::Own, "10.9.9.9 secret\n", &extra);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost "));
        assert!(text.ends_with("ff02::2\tip6-allrouters\n10.0.0.1\tdb\n"));
        assert!(!text.contains("secret"));
        assert_eq!(hosts(Network::Host, "as it is", &[]), "as it is");
        assert!(!hosts(Network::Host, "as it is", &extra).contains("as it is"));
    }
}
