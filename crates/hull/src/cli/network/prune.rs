//! `hull network prune`: removes the networks that no container names.

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::filters::filters;
use crate::cli::parse::Spoken;
use crate::cli::prune::{confirm, networks};

/// Flags of `network prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Provide filter values (e.g. "until=timestamp")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Spoken for Prune {
    const NAME: &'static str = "prune";
    const ABOUT: &'static str = "Remove all unused networks";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        confirm(self.force, "WARNING! This will remove all custom networks not used by at least one container.\n")?;
        networks(&context.client()?, &wanted)?;
        Ok(0)
    }
}
