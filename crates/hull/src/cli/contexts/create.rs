//! `hull context create` and `update`.

use hull_types::Fault;

use super::asked::{Asked, copy};
use super::{DEFAULT, Named, Store};
use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::io;
use crate::cli::parse::Spoken;

/// Flags of `context create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// Description of the context
    #[arg(long, value_name = "string")]
    description: Option<String>,
    /// Set the engine's endpoint: host=…,ca=…,cert=…,key=…
    #[arg(long, value_name = "stringToString")]
    docker: Option<String>,
    /// Create context from a named context
    #[arg(long, value_name = "string")]
    from: Option<String>,
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    name: String,
}

impl Spoken for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Create a context";
    const USAGE: &'static str = "[OPTIONS] CONTEXT";
    const MORE: &'static str = "Contexts are docker's own, in its files: either client's are the other one's, too.";

    fn run(self, context: &Context) -> Outcome {
        let store = Store::open();
        if self.name == DEFAULT {
            return Err(Fault::invalid("\"default\" is a reserved context name").into());
        }
        super::check(&self.name)?;
        if store.get(&self.name).is_ok() {
            return Err(Fault::conflict(format!("context \"{}\" already exists", self.name)).into());
        }
        let named = Named {
            name: self.name.clone(),
            description: self.description.clone().unwrap_or_default(),
            ..Named::default()
        };
        match (&self.docker, &self.from) {
            (Some(docker), _) => Asked::parse(docker)?.write(&store, named)?,
            (None, from) => {
                // COMPAT(docker 28): of the one that is current.
                let from = from.as_deref().unwrap_or(&context.named);
                let mut files = Vec::new();
                let other = if from == DEFAULT {
                    Named { host: context.host.clone(), ..Named::default() }
                } else {
                    copy(&store, from, &mut files)?;
                    store.get(from)?
                };
                let description = self.description.unwrap_or(other.description);
                let named = Named { description, host: other.host, skip_verify: other.skip_verify, ..named };
                store.put(&named, &files)?;
            }
        }
        io::say(&self.name)?;
        eprintln!("Successfully created context \"{}\"", self.name);
        Ok(0)
    }
}

/// Flags of `context update`.
#[derive(clap::Args, Debug)]
pub(crate) struct Update {
    /// Description of the context
    #[arg(long, value_name = "string")]
    description: Option<String>,
    /// Set the engine's endpoint: host=…,ca=…,cert=…,key=…
    #[arg(long, value_name = "stringToString")]
    docker: Option<String>,
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    name: String,
}

impl Spoken for Update {
    const NAME: &'static str = "update";
    const ABOUT: &'static str = "Update a context";
    const USAGE: &'static str = "[OPTIONS] CONTEXT";

    fn run(self, _context: &Context) -> Outcome {
        let store = Store::open();
        let mut named = store.get(&self.name)?;
        named.description = self.description.unwrap_or(named.description);
        Asked::parse(&self.docker.unwrap_or_default())?.write(&store, named)?;
        io::say(&self.name)?;
        eprintln!("Successfully updated context \"{}\"", self.name);
        Ok(0)
    }
}
