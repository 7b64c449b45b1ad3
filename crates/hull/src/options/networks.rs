//! `--network` and the flags that ask something of it: the mode, and what each network is asked for.

use hull_types::Fault;
use hull_wire::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};

use super::flags::NetworkFlags;
use super::malformed;

/// The network mode of the container.
pub(super) fn mode(flags: &NetworkFlags) -> Result<String, Fault> {
    match flags.network.first() {
        None => Ok("default".to_owned()),
        Some(first) => Ok(network(first)?.0),
    }
}

/// What each `--network` asks; `--ip`, `--network-alias` and their kin are of the first.
pub(super) fn config(flags: &NetworkFlags) -> Result<NetworkingConfig, Fault> {
    let mut config = NetworkingConfig::default();
    for (at, text) in flags.network.iter().enumerate() {
        let (name, mut asked) = network(text)?;
        if at == 0 {
            of_flags(flags, &mut asked)?;
        }
        let plain = asked == EndpointSettings::default();
        // One network that is asked for nothing is said by the mode.
        let settings = (!plain || flags.network.len() > 1).then_some(Some(asked));
        if let Some(settings) = settings
            && config.endpoints_config.insert(name.clone(), settings).is_some()
        {
            return Err(malformed("network", text, "the network is named twice"));
        }
    }
    if flags.network.is_empty() {
        let mut asked = EndpointSettings::default();
        of_flags(flags, &mut asked)?;
        if asked != EndpointSettings::default() {
            config.endpoints_config.insert("default".to_owned(), Some(asked));
        }
    }
    Ok(config)
}

fn of_flags(flags: &NetworkFlags, asked: &mut EndpointSettings) -> Result<(), Fault> {
    let twice = |flag: &str, text: &str| malformed(flag, text, "`--network` says it already");
    if !flags.network_alias.is_empty() {
        if !asked.aliases.is_empty() {
            return Err(twice("network-alias", &flags.network_alias[0]));
        }
        asked.aliases.clone_from(&flags.network_alias);
    }
    let mut ipam = asked.ipam_config.take().unwrap_or_default();
    for (flag, given, place) in [("ip", &flags.ip, &mut ipam.ipv4_address), ("ip6", &flags.ip6, &mut ipam.ipv6_address)]
    {
        let Some(given) = given else { continue };
        if !place.is_empty() {
            return Err(twice(flag, given));
        }
        place.clone_from(given);
    }
    ipam.link_local_ips.extend(flags.link_local_ip.iter().cloned());
    asked.ipam_config = Some(ipam).filter(|ipam| *ipam != EndpointIpamConfig::default());
    Ok(())
}

/// A name, or docker's `name=lan,alias=web,ip=10.0.0.2,…`.
fn network(text: &str) -> Result<(String, EndpointSettings), Fault> {
    let mut asked = EndpointSettings::default();
    if !text.contains('=') {
        return Ok((text.to_owned(), asked));
    }
    let mut name = String::new();
    let mut ipam = EndpointIpamConfig::default();
    for part in text.split(',') {
        let bad = |why: &str| malformed("network", text, why);
        let (key, value) = part.split_once('=').ok_or_else(|| bad("each part is written as key=value"))?;
        let value = value.trim().to_owned();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => name = value,
            "alias" => asked.aliases.push(value),
            "ip" => ipam.ipv4_address = value,
            "ip6" => ipam.ipv6_address = value,
            "mac-address" => asked.mac_address = value,
            "link-local-ip" => ipam.link_local_ips.push(value),
            "gw-priority" => asked.gw_priority = value.parse().map_err(|_| bad("gw-priority is a number"))?,
            "driver-opt" => {
                let (key, value) = value.split_once('=').ok_or_else(|| bad("driver-opt is key=value"))?;
                asked.driver_opts.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                let keys = "the keys are name, alias, ip, ip6, mac-address, link-local-ip, gw-priority and driver-opt";
                return Err(bad(keys));
            }
        }
    }
    if name.is_empty() {
        return Err(malformed("network", text, "it has no name=…"));
    }
    asked.ipam_config = Some(ipam).filter(|ipam| *ipam != EndpointIpamConfig::default());
    Ok((name, asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(networks: &[&str]) -> NetworkFlags {
        NetworkFlags { network: networks.iter().map(|text| (*text).to_owned()).collect(), ..NetworkFlags::default() }
    }

    #[test]
    fn the_first_network_is_the_mode_and_has_the_flags() {
        assert_eq!(mode(&flags(&[])).unwrap(), "default");
        assert!(config(&flags(&["lan"])).unwrap().endpoints_config.is_empty());
        let mut two = flags(&["name=lan,alias=a,gw-priority=-1,mac-address=02:00:00:00:00:01", "far"]);
        two.ip = Some("10.0.0.2".into());
        assert_eq!(mode(&two).unwrap(), "lan");
        let asked = config(&two).unwrap().endpoints_config;
        assert_eq!(asked.keys().collect::<Vec<_>>(), ["far", "lan"]);
        let lan = asked["lan"].as_ref().unwrap();
        assert_eq!((lan.aliases.as_slice(), lan.gw_priority), (&["a".to_owned()][..], -1));
        assert_eq!(lan.ipam_config.as_ref().unwrap().ipv4_address, "10.0.0.2");
        let mut none = flags(&[]);
        none.network_alias = vec!["web".into()];
        assert_eq!(config(&none).unwrap().endpoints_config["default"].as_ref().unwrap().aliases, ["web"]);
    }

    #[test]
    fn what_is_said_twice_or_badly_is_refused() {
        for bad in
            ["name=lan,color=red", "alias=web", "name=lan,ip", "name=lan,gw-priority=high", "name=a,driver-opt=x"]
        {
            assert!(config(&flags(&[bad])).is_err(), "{bad}");
        }
        assert!(config(&flags(&["lan", "lan"])).is_err());
        let mut twice = flags(&["name=lan,alias=a"]);
        twice.network_alias = vec!["b".into()];
        assert!(config(&twice).is_err());
    }
}
