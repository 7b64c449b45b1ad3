//! Where a dockerd listens: sockets, and TCP with mutual TLS only.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};

use hull_api::Identity;
use hull_types::Fault;

use super::file::Values;
use super::unix;
use super::wanted::Reading;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    sockets: Vec<PathBuf>,
    /// Whose certificates count there, and which one is shown.
    pub tcp: Option<(Vec<SocketAddr>, Identity)>,
}

impl Endpoints {
    /// What `hosts` and `tls…` say; docker's socket if they say nothing.
    pub(crate) fn of(values: &Values) -> Result<Self, Fault> {
        let read = Reading(values);
        let (mut out, mut tcp) = (Self::default(), Vec::new());
        for host in read.list("hosts") {
            if let Some(path) = host.strip_prefix("unix://") {
                let path = if path.is_empty() { "/var/run/docker.sock" } else { path };
                unix(Path::new(path))?;
                out.sockets.push(path.into());
            } else if let Some(address) = host.strip_prefix("tcp://") {
                tcp.extend(resolve(address)?);
            } else if host.starts_with("fd://") {
                return Err(Fault::unsupported(format!(
                    "--host cannot be {host}: sockets of systemd are not taken over"
                ))
                .hint("use -H unix:///var/run/docker.sock, or hull's own hull.socket"));
            } else {
                let shown = crate::cli::parse::shortened(&host);
                return Err(Fault::invalid(format!("--host cannot be `{shown}`"))
                    .hint("write unix:///path or tcp://address:2376"));
            }
        }
        if out.sockets.is_empty() && tcp.is_empty() {
            out.sockets.push("/var/run/docker.sock".into());
        }
        if !tcp.is_empty() {
            out.tcp = Some((tcp, identity(&read)?));
        }
        Ok(out)
    }

    /// The socket that the keeper keeps.
    pub(crate) fn main(&self, run: &Path) -> PathBuf {
        self.sockets.first().cloned().unwrap_or_else(|| run.join("engine.sock"))
    }

    /// The others, as the engine is told of them.
    pub(crate) fn further(&self) -> String {
        let specs: Vec<String> = self.sockets.iter().skip(1).map(|path| format!("path={}", path.display())).collect();
        specs.join(";")
    }

    /// Whether all can be listened on.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.sockets.iter().try_for_each(|path| unix(path)?.check())?;
        let addresses = self.tcp.iter().flat_map(|(addresses, _)| addresses);
        for address in addresses {
            listen(*address)?;
        }
        Ok(())
    }
}

/// Listens there.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Fault> {
    TcpListener::bind(address).map_err(|error| Fault::conflict(format!("cannot listen on {address}")).cause(error))
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, Fault> {
    let wrong = || Fault::invalid(format!("--host cannot be `tcp://{}`", crate::cli::parse::shortened(address)));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        // COMPAT(docker 28): the port of TLS.
        _ => (address, 2376),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|error| wrong().cause(error))?.collect();
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

/// Certificates that each side shows to the other: whoever reaches the engine is root here.
fn identity(read: &Reading<'_>) -> Result<Identity, Fault> {
    if !read.flag("tlsverify") {
        let fault =
            Fault::unsupported("an engine listens on TCP only with mutual TLS: whoever reaches it is root here");
        return Err(fault.hint("add --tlsverify --tlscacert=… --tlscert=… --tlskey=…, or use ssh:// from the client"));
    }
    let home = std::env::var("DOCKER_CERT_PATH").ok().filter(|path| !path.is_empty());
    let home = home.unwrap_or_else(|| "/root/.docker".to_owned());
    let path = |key: &str, name: &str| read.path(key, &format!("{home}/{name}"));
    let identity = Identity {
        authority: path("tlscacert", "ca.pem")?,
        certificate: path("tlscert", "cert.pem")?,
        key: path("tlskey", "key.pem")?,
    };
    identity.check()?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: serde_json::Value) -> Result<Endpoints, Fault> {
        Endpoints::of(value.as_object().unwrap())
    }

    #[test]
    fn hosts_are_sockets_or_tcp_with_mutual_tls() {
        let run = Path::new("/run/x");
        let default = of(json!({})).unwrap();
        assert_eq!((default.main(run), default.further()), ("/var/run/docker.sock".into(), String::new()));
        let two = of(json!({"hosts": ["unix:///a", "unix:///b"]})).unwrap();
        assert_eq!((two.main(run), two.further()), ("/a".into(), "path=/b".to_owned()));
        for (bad, sentence) in [
            (json!({"hosts": ["tcp://127.0.0.1:2375"]}), "only with mutual TLS"),
            (json!({"hosts": ["tcp://127.0.0.1:2376"], "tls": true}), "only with mutual TLS"),
            (json!({"hosts": ["tcp://127.0.0.1:x"]}), "cannot be `tcp://"),
            (json!({"hosts": ["fd://"]}), "sockets of systemd"),
            (json!({"hosts": ["npipe://x"]}), "cannot be `npipe"),
            (json!({"hosts": ["unix://relative"]}), "absolute"),
            (json!({"hosts": ["tcp://:2376"], "tlsverify": true, "tlscacert": "/nonexistent"}), "/nonexistent"),
        ] {
            let refused = of(bad.clone()).unwrap_err().to_string();
            assert!(refused.contains(sentence), "{bad}: {refused}");
        }
        assert_eq!(resolve("[::1]").unwrap(), ["[::1]:2376".parse().unwrap()]);
        assert_eq!(resolve(":5").unwrap(), ["127.0.0.1:5".parse().unwrap()]);
    }
}
