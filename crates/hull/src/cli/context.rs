//! Where the engine is, and how to reach it: global flags, environment, a connection.

use std::path::PathBuf;

use hull_client::Client;
use hull_types::Fault;

use super::contexts::{self, Store};
use super::failure::Failure;
use super::reach::{Reach, Tls};
use super::spawn;

/// Which engine this command talks to.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Durable state.
    pub root: PathBuf,
    /// State of this boot.
    pub run: PathBuf,
    /// `unix:///…`, or another's `tcp://…` or `ssh://…`.
    pub host: String,
    /// What flags and environment alone lead to.
    pub default_host: String,
    /// The context that it is of.
    pub named: String,
    /// How it is reached, or why it cannot be.
    reach: Result<Reach, Fault>,
    /// Another's engine, never started here: of `DOCKER_HOST`, of a context, or not on this machine.
    pub foreign: bool,
}

/// What the global flags said.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    pub root: Option<String>,
    pub run: Option<String>,
    pub host: Option<String>,
    pub context: Option<String>,
    pub tls: Tls,
}

impl Context {
    /// Flags, then the environment, then the defaults.
    pub(crate) fn resolve(globals: Globals) -> Result<Self, Fault> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let root = absolute("--root", globals.root.or_else(|| variable("HULL_ROOT")), "/var/lib/hull")?;
        let run = absolute("--run", globals.run.or_else(|| variable("HULL_RUN")), "/run/hull")?;
        if globals.host.is_some() && globals.context.is_some() {
            // COMPAT(docker 28): its words.
            return Err(Fault::invalid("conflicting options: cannot specify both --host and --context"));
        }
        let own = globals.host.or_else(|| variable("HULL_HOST"));
        let docker = variable("DOCKER_HOST").filter(|_| own.is_none());
        let (told, foreign) = (own.is_some() || docker.is_some(), docker.is_some());
        let host = own.or(docker).unwrap_or_else(|| format!("unix://{}/engine.sock", run.display()));
        let host = if host.starts_with('/') { format!("unix://{host}") } else { host };
        let named = match globals.context.or_else(|| variable("DOCKER_CONTEXT").filter(|_| !told)) {
            Some(name) => Ok(name),
            None if told => Ok(String::new()),
            None => Store::open().chosen(),
        };
        let tls = globals.tls.or_of_environment();
        let here = |reach| Self {
            root: root.clone(),
            run: run.clone(),
            foreign: foreign || !host.starts_with("unix:///"),
            default_host: host.clone(),
            host: host.clone(),
            named: contexts::DEFAULT.to_owned(),
            reach,
        };
        match named.as_deref() {
            Ok("" | contexts::DEFAULT) => Ok(here(Reach::of(&host, &tls))),
            // A file of docker's that cannot be read keeps nobody from hull's own engine.
            Err(_) => Ok(here(Reach::of(&host, &tls))),
            Ok(name) => Ok(match Store::open().get(name) {
                Ok(found) => Self {
                    reach: Reach::of(&found.host, &Store::open().tls(&found)),
                    host: found.host,
                    foreign: true,
                    named: found.name,
                    ..here(Ok(Reach::Socket))
                },
                Err(fault) => Self { named: name.to_owned(), ..here(Err(fault)) },
            }),
        }
    }

    /// Connects, and starts nothing.
    pub(crate) fn connect(&self) -> Result<Result<Client, hull_client::Error>, Fault> {
        Ok(self.reach.as_ref().map_err(Clone::clone)?.connect(&self.host))
    }

    /// A client; starts the engine if none answers.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        match self.connect()? {
            Err(error) if error.is_absent() && !self.foreign => Ok(spawn::start(self)?),
            Err(error) => Err(Fault::from(error).into()),
            Ok(client) => Ok(client),
        }
    }

    /// A client if an engine answers.
    pub(crate) fn running(&self) -> Result<Option<Client>, Fault> {
        match self.connect()? {
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
