//! [`Config`]: mirrors, insecure registries, certificates. One file of hull's own, and what docker's says.
//!
//! ```json
//! /etc/hull/registries.json
//! { "default": "registry.example", "mirrors": { "docker.io": ["https://mirror.example"] },
//!   "insecure": ["registry.lan:5000", "10.1.0.0/16"], "auth-realms": { "r.example": ["login.example"] },
//!   "patience": 30 }
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::place::{host_of, is_loopback};
use crate::{Error, Result};

/// hull's own directory of configuration.
pub const HULL_ETC: &str = "/etc/hull";
/// docker's.
pub const DOCKER_ETC: &str = "/etc/docker";

const PATIENCE: Duration = Duration::from_secs(30);
/// As docker's.
const ATTEMPTS: u32 = 5;

/// What is configured about registries.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registry of names that bear none; `docker.io` if `None`.
    pub default: Option<String>,
    pub(crate) mirrors: BTreeMap<String, Vec<String>>,
    pub(crate) insecure: Vec<String>,
    pub(crate) realms: BTreeMap<String, Vec<String>>,
    /// How long a registry may be silent.
    pub(crate) patience: Duration,
    /// How often in a row a download may fail without a byte in between.
    pub attempts: u32,
    /// Directories that hold `<host[:port]>/*.crt`, `*.cert` with `*.key`.
    pub(crate) certificates: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Own {
    default: Option<String>,
    mirrors: BTreeMap<String, Vec<String>>,
    insecure: Vec<String>,
    auth_realms: BTreeMap<String, Vec<String>>,
    patience: Option<u64>,
}

/// docker's daemon.json has much that is of no concern here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Daemon {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
}

impl Config {
    /// Reads `registries.json` of `hull` and `daemon.json` of `docker`, each of which may be absent.
    ///
    /// # Errors
    /// [`Error::Config`] names the file and what is wrong with it.
    pub fn read(hull: &Path, docker: &Path) -> Result<Self> {
        let daemon: Daemon = read(&docker.join("daemon.json"))?;
        Self::read_with(hull, docker, &daemon.registry_mirrors, &daemon.insecure_registries)
    }

    /// As [`Config::read`], with these mirrors of docker.io and insecure registries in place of daemon.json's.
    ///
    /// # Errors
    /// [`Error::Config`] names the file and what is wrong with it.
    pub fn read_with(hull: &Path, docker: &Path, docker_mirrors: &[String], insecure: &[String]) -> Result<Self> {
        let own: Own = read(&hull.join("registries.json"))?;
        let mut mirrors = own.mirrors;
        mirrors.entry("docker.io".to_owned()).or_default().extend(docker_mirrors.iter().cloned());
        let wrong = |why: String| Error::Config { path: hull.join("registries.json").display().to_string(), why };
        for mirror in mirrors.values().flatten() {
            let rest = mirror.strip_prefix("https://").or_else(|| mirror.strip_prefix("http://"));
            if !rest.is_some_and(|rest| !host_of(rest).is_empty() && !rest.contains(['?', '#', '@'])) {
                return Err(wrong(format!("mirror `{mirror}` is no https:// or http:// address")));
            }
        }
        if let Some(default) = &own.default
            && !format!("{default}/x").parse::<hull_types::ImageRef>().is_ok_and(|name| name.domain() == default)
        {
            return Err(wrong(format!("default `{default}` is no registry's host")));
        }
        Ok(Self {
            default: own.default,
            mirrors,
            insecure: [own.insecure, insecure.to_vec()].concat(),
            realms: own.auth_realms,
            patience: own.patience.map_or(PATIENCE, |seconds| Duration::from_secs(seconds.max(1))),
            attempts: ATTEMPTS,
            certificates: vec![hull.join("certs.d"), docker.join("certs.d")],
        })
    }

    /// Mirrors of docker.io, as they are asked.
    pub fn docker_mirrors(&self) -> &[String] {
        self.mirrors.get("docker.io").map_or(&[], Vec::as_slice)
    }

    /// Hosts and networks that are spoken to without TLS, besides those of this machine.
    pub fn insecure(&self) -> &[String] {
        &self.insecure
    }

    /// Whether `host[:port]` may be spoken to without TLS or with a certificate that nobody vouches for.
    pub(crate) fn is_insecure(&self, authority: &str) -> bool {
        let host = host_of(authority);
        is_loopback(host)
            || self.insecure.iter().any(|entry| match entry.split_once('/') {
                Some((net, bits)) => in_net(host, net, bits),
                None => entry == authority || entry == host,
            })
    }
}

fn read<T: Default + for<'d> Deserialize<'d>>(path: &Path) -> Result<T> {
    let wrong = |why: String| Error::Config { path: path.display().to_string(), why };
    match std::fs::read(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(T::default()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn in_net(host: &str, net: &str, bits: &str) -> bool {
    let (Ok(host), Ok(net), Ok(bits)) = (host.parse::<IpAddr>(), net.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (host, net) {
        (IpAddr::V4(host), IpAddr::V4(net)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            host.to_bits() & mask == net.to_bits() & mask
        }
        (IpAddr::V6(host), IpAddr::V6(net)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            host.to_bits() & mask == net.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(own: &str, daemon: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let (hull, docker) = (dir.path().join("hull"), dir.path().join("docker"));
        for (dir, file, text) in [(&hull, "registries.json", own), (&docker, "daemon.json", daemon)] {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join(file), text).unwrap();
        }
        Config::read(&hull, &docker)
    }

    #[test]
    fn both_files_are_read_and_either_may_be_absent() {
        let found = config(
            r#"{"mirrors":{"docker.io":["https://a"],"gcr.io":["http://b:1/p"]},"insecure":["r:5000","10.0.0.0/8"],"patience":0}"#,
            r#"{"registry-mirrors":["https://c/"],"insecure-registries":["fd00::/8"],"debug":true}"#,
        )
        .unwrap();
        assert_eq!(found.mirrors["docker.io"], ["https://a", "https://c/"]);
        assert_eq!(found.patience, Duration::from_secs(1));
        for (authority, expected) in [
            ("r:5000", true),
            ("r:5001", false),
            ("r", false),
            ("10.2.3.4:80", true),
            ("11.2.3.4", false),
            ("127.3.0.1:5000", true),
            ("localhost", true),
            ("localhost.example", false),
            ("[::1]:5000", true),
            ("[fd12::1]:5000", true),
            ("docker.io", false),
        ] {
            assert_eq!(found.is_insecure(authority), expected, "{authority}");
        }
        let none = Config::read(Path::new("/nonexistent"), Path::new("/nonexistent")).unwrap();
        assert_eq!((none.default, none.patience), (None, PATIENCE));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (own, daemon, part) in [
            ("{", "", "registries.json"),
            (r#"{"mirror":{}}"#, "", "mirror"),
            (r#"{"mirrors":{"docker.io":["ftp://x"]}}"#, "", "ftp://x"),
            (r#"{"mirrors":{"docker.io":["https://u:p@x"]}}"#, "", "u:p@x"),
            (r#"{"default":"not a host"}"#, "", "not a host"),
            ("", r#"{"registry-mirrors":5}"#, "daemon.json"),
        ] {
            let error = config(own, daemon).expect_err(own).to_string();
            assert!(error.contains(part), "{own}: {error}");
        }
    }
}
