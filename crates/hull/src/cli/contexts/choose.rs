//! `hull context use` and `rm`.

use hull_types::Fault;

use super::{DEFAULT, Store};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome, report};
use crate::cli::io;
use crate::cli::parse::Spoken;

/// Flags of `context use`.
#[derive(clap::Args, Debug)]
pub(crate) struct Use {
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    name: String,
}

impl Spoken for Use {
    const NAME: &'static str = "use";
    const ABOUT: &'static str = "Set the current context";
    const USAGE: &'static str = "CONTEXT";

    fn run(self, _context: &Context) -> Outcome {
        Store::open().choose(&self.name)?;
        io::say(&self.name)?;
        eprintln!("Current context is now \"{}\"", self.name);
        for variable in ["HULL_HOST", "DOCKER_HOST"] {
            if self.name != DEFAULT && std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
                eprintln!("Warning: {variable} is set and goes before it: unset it, or name the context by --context.");
            }
        }
        Ok(0)
    }
}

/// Flags of `context rm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// Force the removal of a context in use
    #[arg(short, long)]
    force: bool,
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Rm {
    const NAME: &'static str = "rm";
    const ABOUT: &'static str = "Remove one or more contexts";
    const USAGE: &'static str = "[OPTIONS] CONTEXT [CONTEXT...]";

    fn run(self, _context: &Context) -> Outcome {
        let store = Store::open();
        let mut failed = false;
        for name in &self.names {
            match self.remove(&store, name) {
                Ok(()) => io::say(name)?,
                Err(fault) => {
                    report(&fault);
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}

impl Rm {
    fn remove(&self, store: &Store, name: &str) -> Result<(), Fault> {
        if name == DEFAULT {
            return Err(Fault::invalid("context \"default\" cannot be removed"));
        }
        if store.chosen()? == name {
            if !self.force {
                return Err(Fault::conflict(format!("context \"{name}\" is in use, set -f flag to force remove")));
            }
            store.get(name)?;
            store.choose(DEFAULT)?;
        }
        match store.remove(name) {
            Err(fault) if self.force && fault.kind == hull_types::Kind::NotFound => Ok(()),
            other => other,
        }
    }
}
