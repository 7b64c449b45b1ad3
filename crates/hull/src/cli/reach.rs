//! Engines that are not behind a socket of this machine: over TCP, with TLS or without, and through ssh.
//!
//! Each connection is one end of a pair of sockets, so that the client knows nothing of it. The other end is carried on by
//! a thread (TCP) or by `ssh` itself.

mod ssh;
mod tcp;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hull_client::{Client, Dial, Error};
use hull_types::Fault;

/// How the engine is reached.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// By the socket at the host's path.
    Socket,
    /// By something else.
    Far(Arc<dyn Dial>),
}

/// What the command line, the environment or a context says of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// `--tls` and `--tlsverify`, which mean the same here, `DOCKER_TLS_VERIFY`, or material in the context.
    pub on: bool,
    /// Nobody vouches for the engine.
    pub blind: bool,
    /// Who vouches for the engine, and what it is shown.
    pub authority: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl Reach {
    /// Of a host as it is written.
    pub(crate) fn of(host: &str, tls: &Tls) -> Result<Self, Fault> {
        if host.starts_with("unix:///") {
            return Ok(Self::Socket);
        }
        if let Some(rest) = host.strip_prefix("ssh://") {
            return Ok(Self::Far(Arc::new(ssh::Ssh::parse(rest)?)));
        }
        if let Some(address) = host.strip_prefix("tcp://") {
            return Ok(Self::Far(Arc::new(tcp::Tcp::parse(address, tls)?)));
        }
        let shown = super::parse::shortened(host);
        Err(Fault::unsupported(format!("cannot use host `{shown}`"))
            .hint("write unix:///path, tcp://address:2376 or ssh://user@address"))
    }

    /// Connects to it.
    pub(crate) fn connect(&self, host: &str) -> Result<Client, Error> {
        match self {
            Self::Socket => Client::connect(host),
            Self::Far(dial) => Client::over(host, Arc::clone(dial)),
        }
    }
}

impl Tls {
    /// What flags did not say: `DOCKER_TLS_VERIFY` and the directory of certificates.
    pub(crate) fn or_of_environment(self) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let on = self.on || variable("DOCKER_TLS_VERIFY").is_some();
        let directory = variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG")).map(PathBuf::from);
        let home = || PathBuf::from(variable("HOME").unwrap_or_default()).join(".docker");
        let whole = if on { self.with_directory(&directory.unwrap_or_else(home)) } else { self };
        Self { on, ..whole }
    }

    /// As docker's client: a directory has all three, single flags go before it.
    pub(crate) fn with_directory(mut self, directory: &Path) -> Self {
        let fill = |slot: &mut Option<PathBuf>, name: &str| {
            let path = directory.join(name);
            if slot.is_none() && path.exists() {
                *slot = Some(path);
            }
        };
        fill(&mut self.authority, "ca.pem");
        fill(&mut self.certificate, "cert.pem");
        fill(&mut self.key, "key.pem");
        self
    }
}
