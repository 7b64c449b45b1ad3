//! `hull image check`: whether what is on the disk is what it should be.

use hull_types::Fault;
use hull_wire::ImagesCheckReport;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;

/// Flags of `image check`.
#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    /// Put right what can be, set the rest aside
    #[arg(long)]
    repair: bool,
}

impl Spoken for Check {
    const NAME: &'static str = "check";
    const ABOUT: &'static str = "Verify every blob against its digest and every layer against its archive";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let report = client.image_check(self.repair).map_err(Fault::from)?;
        io::print(&page(&report))?;
        let left = report.broken.iter().any(|item| !item.repaired);
        if left { Err(Failure::silent(1)) } else { Ok(0) }
    }
}

fn page(report: &ImagesCheckReport) -> String {
    let mut out = String::new();
    for item in &report.broken {
        let done = if item.repaired { "repaired" } else { "broken" };
        out.push_str(&format!("{done}: {} {}: {}\n", item.kind, item.digest, item.why));
        for image in &item.images {
            out.push_str(&format!("  needed by {image}\n"));
        }
    }
    for image in &report.restored {
        out.push_str(&format!("restored: {image}\n"));
    }
    for image in &report.set_aside {
        out.push_str(&format!("set aside: {image}; load or pull it again\n"));
    }
    out.push_str(&format!(
        "{} blobs and {} layers checked, {} broken\n",
        report.blobs,
        report.layers,
        report.broken.len()
    ));
    out
}
