//! `hull network ls`: the networks.

use hull_types::Fault;
use hull_wire::NetworkResource;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::filters::filters;
use crate::cli::parse::Spoken;
use crate::output::format::Listing;

const LISTING: Listing = Listing {
    default: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv6", "IPV6"),
        ("IPv4", "IPV4"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
};

/// Flags of `network ls`.
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

impl Spoken for Ls {
    const NAME: &'static str = "ls";
    const ABOUT: &'static str = "List networks";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let list = context.client()?.networks(&wanted).map_err(Fault::from)?;
        let rows: Vec<Value> = list.iter().map(|network| self.row(network)).collect();
        LISTING.print(self.format.as_deref(), self.quiet.then_some("ID"), &rows)
    }
}

impl Ls {
    fn id<'a>(&self, network: &'a NetworkResource) -> &'a str {
        if self.no_trunc { &network.id } else { network.id.get(..12).unwrap_or(&network.id) }
    }

    fn row(&self, network: &NetworkResource) -> Value {
        let labels = network.labels.iter().map(|(name, value)| format!("{name}={value}"));
        json!({
            "ID": self.id(network),
            "Name": network.name,
            "Driver": network.driver,
            "Scope": network.scope,
            "IPv4": network.enable_ipv4.to_string(),
            "IPv6": network.enable_ipv6.to_string(),
            "Internal": network.internal.to_string(),
            "Labels": labels.collect::<Vec<_>>().join(","),
            "CreatedAt": network.created.to_string(),
        })
    }
}
