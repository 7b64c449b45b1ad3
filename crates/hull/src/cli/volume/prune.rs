//! `hull volume prune`: removes volumes that no container uses.

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::filters::filters;
use crate::cli::parse::Spoken;
use crate::cli::prune::{confirm, reclaimed, volumes};

/// Flags of `volume prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "label=name")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Spoken for Prune {
    const NAME: &'static str = "prune";
    const ABOUT: &'static str = "Remove unused local volumes";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let mut wanted = filters(&self.filter)?;
        let which = if self.all { "all" } else { "anonymous" };
        let warning = format!("WARNING! This will remove {which} local volumes not used by at least one container.\n");
        confirm(self.force, &warning)?;
        if self.all {
            wanted.add("all", "true");
        }
        reclaimed(volumes(&context.client()?, &wanted)?)
    }
}
