//! [`Settings`]: what a host's owner wants of networks, in one file.
//!
//! ```json
//! /etc/hull/networks.json
//! { "publish-on": "127.0.0.1", "obey-input-rules": true,
//!   "default-address-pools": [{ "base": "10.128.0.0/12", "size": 24 }],
//!   "bip": "10.5.0.1/16", "fixed-cidr": "10.5.1.0/24", "mtu": 1450, "icc": false }
//! ```
//!
//! What docker's daemon.json has of networks has the same name here.

mod default;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use hull_network::Net;
use hull_types::Fault;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) use default::{Wish, definition};

/// The file's name.
const FILE: &str = "networks.json";

/// How many networks of all pools are looked at: one of 2^16 in a pool is never reached.
const POOLS: usize = 4096;

/// Read once, when the engine starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    /// Where a port is published that names no address, on networks that do not say so themselves.
    pub publish_on: Option<IpAddr>,
    /// Published ports obey the host's input rules.
    pub obeys: bool,
    /// Where networks without a subnet of their own are taken from; of a family of which there are none, docker's or a unique
    /// local one.
    pub pools: Vec<Net>,
    /// The default network.
    pub default: Wish,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    publish_on: Option<IpAddr>,
    obey_input_rules: bool,
    default_address_pools: Vec<Pool>,
    bip: Option<Net>,
    bip6: Option<Net>,
    fixed_cidr: Option<Net>,
    fixed_cidr_v6: Option<Net>,
    ipv6: Option<bool>,
    mtu: Option<u32>,
    icc: Option<bool>,
    ip_masq: Option<bool>,
    ip: Option<IpAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    base: Net,
    size: u8,
}

impl Settings {
    /// Reads `networks.json` in this directory, which may be absent; what `over` says goes before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(etc: &Path, over: &Map<String, Value>) -> Result<Self, Fault> {
        let path = etc.join(FILE);
        let wrong = |why: &dyn std::fmt::Display| {
            let also = if over.is_empty() { "" } else { ", together with daemon.json and flags," };
            Fault::invalid(format!("{}{also} cannot be used: {why}", path.display()))
                .hint("mend it, then `hull engine restart`; until then nothing is published")
        };
        let mut file: Map<String, Value> = match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(wrong(&error)),
        };
        file.extend(over.clone());
        let file: File = serde_json::from_value(Value::Object(file)).map_err(|error| wrong(&error))?;
        if file.publish_on.is_some_and(|address| !address.is_ipv4()) {
            return Err(wrong(&"`publish-on` is no address of IPv4"));
        }
        let mut pools = Vec::new();
        for Pool { base, size } in &file.default_address_pools {
            let most = if base.address.is_ipv4() { 30 } else { 126 };
            if *size < base.prefix || *size > most || base.network() != *base {
                return Err(wrong(&format!("the pool {base} has no networks of {size} bits")));
            }
            pools.extend(parts(*base, *size).take(POOLS));
        }
        let default = Wish::read(&file).map_err(|why| wrong(&why))?;
        Ok(Self { publish_on: file.publish_on, obeys: file.obey_input_rules, pools, default })
    }
}

/// The networks of `size` bits in one.
fn parts(base: Net, size: u8) -> impl Iterator<Item = Net> {
    let count = 1u128.checked_shl(u32::from(size - base.prefix)).unwrap_or(u128::MAX);
    (0..count).filter_map(move |part| {
        let address = match base.address {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() + ((part as u32) << (32 - size))).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() + (part << (128 - size))).into(),
        };
        Net::new(address, size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Fault> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Settings::read(dir.path(), &Map::new())
    }

    #[test]
    fn the_file_is_read_or_refused() {
        assert_eq!(Settings::read(Path::new("/does/not/exist"), &Map::new()), Ok(Settings::default()));
        assert_eq!(read(" "), Ok(Settings::default()));
        let all = r#"{ "publish-on": "127.0.0.1", "obey-input-rules": true,
            "default-address-pools": [{ "base": "10.1.0.0/16", "size": 17 }, { "base": "10.9.9.0/24", "size": 24 }] }"#;
        let settings = read(all).unwrap();
        assert_eq!((settings.publish_on, settings.obeys), (Some([127, 0, 0, 1].into()), true));
        let pools: Vec<String> = settings.pools.iter().map(ToString::to_string).collect();
        assert_eq!(pools, ["10.1.0.0/17", "10.1.128.0/17", "10.9.9.0/24"]);
        for bad in [
            r#"{ "obey-input-rule": true }"#,
            r#"{ "bip": "10.5.0.0/16" }"#,
            r#"{ "bip": "10.5.255.255/16" }"#,
            r#"{ "bip": "10.5.0.1/31" }"#,
            r#"{ "bip": "fd00::1/64" }"#,
            r#"{ "bip6": "10.5.0.1/16" }"#,
            r#"{ "bip": "10.5.0.1/16", "fixed-cidr": "10.6.0.0/24" }"#,
            r#"{ "bip": "10.5.0.1/16", "fixed-cidr": "10.0.0.0/8" }"#,
            r#"{ "fixed-cidr": "10.5.0.1/24" }"#,
            r#"{ "fixed-cidr-v6": "10.5.0.0/24" }"#,
            r#"{ "mtu": 20 }"#,
            r#"{ "icc": "no" }"#,
            r#"{ "ip": "::1" }"#,
            r#"{ "publish-on": "here" }"#,
            r#"{ "publish-on": "::1" }"#,
            r#"{ "default-address-pools": [{ "base": "10.1.0.0/16", "size": 8 }] }"#,
            r#"{ "default-address-pools": [{ "base": "10.1.0.0/16", "size": 31 }] }"#,
            r#"{ "default-address-pools": [{ "base": "10.1.0.1/16", "size": 24 }] }"#,
            r#"{ "default-address-pools": [{ "base": "fd00::/48", "size": 47 }] }"#,
            r#"{ "default-address-pools": [{ "base": "fd00::/48", "size": 127 }] }"#,
            r#"{ "default-address-pools": [{ "base": "fd00::1/48", "size": 64 }] }"#,
            "{",
        ] {
            let refused = read(bad).unwrap_err().to_string();
            assert!(refused.contains("networks.json cannot be used: "), "{bad}: {refused}");
        }
        let many = read(r#"{ "default-address-pools": [{ "base": "0.0.0.0/0", "size": 30 }] }"#).unwrap();
        assert_eq!(many.pools.len(), POOLS);
        let six =
            r#"{ "default-address-pools": [{ "base": "fd00:5::/62", "size": 64 }, { "base": "::/0", "size": 126 }] }"#;
        let six: Vec<String> = read(six).unwrap().pools.iter().map(ToString::to_string).collect();
        assert_eq!(
            six[..6],
            ["fd00:5::/64", "fd00:5:0:1::/64", "fd00:5:0:2::/64", "fd00:5:0:3::/64", "::/126", "::4/126"]
        );
    }
}
