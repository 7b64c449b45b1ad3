//! `hull volume ls`: the volumes.

use hull_types::Fault;
use hull_wire::Volume;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::filters::filters;
use crate::cli::parse::Spoken;
use crate::output::format::Listing;

const LISTING: Listing = Listing {
    default: "{{.Driver}}\t{{.Name}}",
    headings: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
    ],
};

/// Flags of `volume ls`.
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

impl Spoken for Ls {
    const NAME: &'static str = "ls";
    const ABOUT: &'static str = "List volumes";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let list = context.client()?.volumes(&wanted).map_err(Fault::from)?.volumes;
        let rows: Vec<Value> = list.iter().map(row).collect();
        LISTING.print(self.format.as_deref(), self.quiet.then_some("Name"), &rows)
    }
}

fn row(volume: &Volume) -> Value {
    let labels = volume.labels.iter().map(|(name, value)| format!("{name}={value}"));
    json!({
        "Driver": volume.driver,
        "Name": volume.name,
        "Scope": volume.scope,
        "Mountpoint": volume.mountpoint,
        "Labels": labels.collect::<Vec<_>>().join(","),
    })
}
