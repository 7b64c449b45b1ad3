//! Where the engine is, and how to reach it: global flags, environment, a connection.

use std::path::PathBuf;

use hull_client::Client;
use hull_types::Fault;

use super::failure::Failure;
use super::spawn;

/// Which engine this command talks to.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Durable state.
    pub root: PathBuf,
    /// State of this boot.
    pub run: PathBuf,
    /// `unix:///…`.
    pub host: String,
    /// The host was named by `DOCKER_HOST`: another's engine, never started here.
    pub foreign: bool,
}

/// What the global flags said.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    pub root: Option<String>,
    pub run: Option<String>,
    pub host: Option<String>,
}

impl Context {
    /// Flags, then the environment, then the defaults.
    pub(crate) fn resolve(globals: Globals) -> Result<Self, Fault> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let root = absolute("--root", globals.root.or_else(|| variable("HULL_ROOT")), "/var/lib/hull")?;
        let run = absolute("--run", globals.run.or_else(|| variable("HULL_RUN")), "/run/hull")?;
        let own = globals.host.or_else(|| variable("HULL_HOST"));
        let docker = variable("DOCKER_HOST").filter(|_| own.is_none());
        let foreign = docker.is_some();
        let host = own.or(docker).unwrap_or_else(|| format!("unix://{}/engine.sock", run.display()));
        let host = if host.starts_with('/') { format!("unix://{host}") } else { host };
        if !host.starts_with("unix:///") {
            let shown = super::parse::shortened(&host);
            return Err(Fault::unsupported(format!("cannot use host `{shown}`: only unix:///path is supported")));
        }
        Ok(Self { root, run, host, foreign })
    }

    /// A client; starts the engine if none answers.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        match Client::connect(&self.host) {
            Err(error) if error.is_absent() && !self.foreign => Ok(spawn::start(self)?),
            Err(error) => Err(Fault::from(error).into()),
            Ok(client) => Ok(client),
        }
    }

    /// A client if an engine answers.
    pub(crate) fn running(&self) -> Result<Option<Client>, Fault> {
        match Client::connect(&self.host) {
            Ok(client) => Ok(Some(client)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn absolute(flag: &str, value: Option<String>, default: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(value.unwrap_or_else(|| default.to_owned()));
    std::path::absolute(&path).map_err(|e| Fault::invalid(format!("`{flag}` is no usable path")).cause(e))
}
