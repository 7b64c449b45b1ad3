//! Places: which addresses a registry's name leads to, and which addresses are never gone to.

use std::net::IpAddr;

use reqwest::Url;

use crate::Config;

/// Where docker.io's registry lives.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// An address that serves a repository.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `host[:port]`.
    pub authority: String,
    /// The path before `/v2`'s repository: of a mirror with a prefix.
    pub prefix: String,
    /// The scheme, where the configuration gives one.
    pub scheme: Option<&'static str>,
    /// The registry that is mirrored.
    pub mirrored: Option<String>,
}

impl Place {
    /// The registry itself.
    pub fn origin(domain: &str) -> Self {
        let authority = if domain == "docker.io" { DOCKER_HUB } else { domain };
        Self { authority: authority.to_owned(), prefix: String::new(), scheme: None, mirrored: None }
    }

    /// The mirrors of a registry in their order, then the registry.
    pub fn all(config: &Config, domain: &str) -> Vec<Self> {
        let mirrors = config.mirrors.get(domain).into_iter().flatten().map(|address| {
            let (scheme, rest) = match address.split_once("://") {
                Some(("http", rest)) => ("http", rest),
                Some((_, rest)) => ("https", rest),
                None => ("https", address.as_str()),
            };
            let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            Self {
                authority: authority.to_owned(),
                prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
                scheme: Some(scheme),
                mirrored: Some(domain.to_owned()),
            }
        });
        mirrors.chain([Self::origin(domain)]).collect()
    }
}

/// The host of `host[:port][/path]`, without brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| unmapped(address).is_loopback())
}

/// `host[:port]` of a URL, the port left out where it is the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether two URLs are of one scheme, host and port: what may share credentials.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// Why an address that a registry names is not gone to; `None` if it is.
pub(crate) fn forbidden(config: &Config, from: &Url, to: &Url) -> Option<&'static str> {
    if !to.username().is_empty() || to.password().is_some() {
        return Some("the address bears credentials");
    }
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "https" => return Some("that is a step down from https to http"),
        "http" if config.is_insecure(&authority(to)) => {}
        "http" => return Some("that is not encrypted, and the host is not named as insecure"),
        _ => return Some("that is neither https nor http"),
    }
    // A registry elsewhere must not make us ask services of this machine or of its link.
    if is_inner(host_of(&authority(to))) && !is_inner(host_of(&authority(from))) {
        return Some("that is an address of this machine or its link, and the registry is not");
    }
    None
}

/// Whether credentials for the registry at `from` may be shown to `realm`: the registry's own host, or one
/// beneath the same parent domain, or one that the configuration names.
pub(crate) fn is_own_realm(config: &Config, from: &Url, realm: &Url) -> bool {
    let (own, other) = (from.host_str().unwrap_or_default(), realm.host_str().unwrap_or_default());
    let named = config
        .realms
        .get(&authority(from))
        .is_some_and(|hosts| hosts.iter().any(|host| *host == other || *host == authority(realm)));
    let is_address = own.starts_with('[') || own.parse::<IpAddr>().is_ok();
    let parent = own.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.') && !is_address);
    let kin =
        parent.is_some_and(|parent| other == parent || other.strip_suffix(parent).is_some_and(|h| h.ends_with('.')));
    own == other || named || kin
}

fn is_inner(host: &str) -> bool {
    let link_local = |address| match unmapped(address) {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    is_loopback(host) || host.parse::<IpAddr>().is_ok_and(link_local)
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let none = Path::new("/nonexistent");
        let mut config = Config::read(none, none).unwrap();
        config.insecure.push("plain.example".to_owned());
        config.realms.insert("r.example".to_owned(), vec!["login.other".to_owned()]);
        config.mirrors.insert("gcr.io".to_owned(), vec!["http://m:1/a/b/".to_owned(), "https://n".to_owned()]);
        config
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        let places = Place::all(&config(), "gcr.io");
        let shown: Vec<(&str, &str, Option<&str>)> =
            places.iter().map(|place| (place.authority.as_str(), place.prefix.as_str(), place.scheme)).collect();
        assert_eq!(shown, [("m:1", "a/b/", Some("http")), ("n", "", Some("https")), ("gcr.io", "", None)]);
        assert_eq!(Place::origin("docker.io").authority, DOCKER_HUB);
    }

    #[test]
    fn where_a_registry_may_send_us() {
        let config = config();
        for (from, to, allowed) in [
            ("https://r.example/", "https://cdn.example/x", true),
            ("https://r.example/", "http://r.example/x", false),
            ("https://r.example/", "https://127.0.0.1/x", false),
            ("https://r.example/", "https://169.254.169.254/latest", false),
            ("https://r.example/", "https://[::ffff:127.0.0.1]/", false),
            ("https://r.example/", "https://u:p@cdn.example/", false),
            ("https://r.example/", "file:///etc/passwd", false),
            ("http://127.0.0.1:5000/", "http://127.0.0.2:6000/x", true),
            ("http://127.0.0.1:5000/", "http://cdn.example/x", false),
            ("http://plain.example/", "http://plain.example/x", true),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(forbidden(&config, &from, &to).is_none(), allowed, "{from} {to}");
        }
    }

    #[test]
    fn who_may_see_credentials() {
        let config = config();
        for (from, realm, allowed) in [
            ("https://registry-1.docker.io/", "https://auth.docker.io/token", true),
            ("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth", true),
            ("https://r.example/", "https://r.example/token", true),
            ("https://r.example/", "https://other.example/token", false),
            ("https://r.example/", "https://login.other/token", true),
            ("https://a.r.example/", "https://evilr.example/token", false),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", true),
            ("http://127.0.0.1:5000/", "http://127.0.0.2:5001/token", false),
            ("http://127.0.0.1:5000/", "http://0.0.1/token", false),
        ] {
            let (from, realm) = (Url::parse(from).unwrap(), Url::parse(realm).unwrap());
            assert_eq!(is_own_realm(&config, &from, &realm), allowed, "{from} {realm}");
        }
    }
}
