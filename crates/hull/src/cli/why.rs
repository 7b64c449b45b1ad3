//! `hull why`: why a container ended, in one paragraph, and the evidence.

use hull_client::Client;
use hull_types::{Fault, Kind};
use hull_wire::Postmortem;

use super::context::Context;
use super::explain::paint::Paint;
use super::explain::{clean, colour, document};
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::output::table::layout_with;

/// Flags of `why`.
#[derive(clap::Args, Debug)]
pub(crate) struct Why {
    /// Print the findings as a JSON document
    #[arg(long)]
    json: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Why {
    const NAME: &'static str = "why";
    const ABOUT: &'static str = "Say why a container ended, also after it was removed";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let found = context.client()?.container_postmortem(&self.container).map_err(Fault::from)?;
        if self.json {
            return document(&found);
        }
        io::print(&page(&found, Paint::new(colour(&std::io::stdout())))).map(|()| 0)
    }
}

/// The exit code of a container in the foreground; if SIGKILL or SIGSYS ended it, whoever waited for it is told why. The number says
/// neither who sent the signal nor whether memory was short.
pub(super) fn tell_if_killed(client: &Client, id: &str, code: u8) -> Outcome {
    const KILLED: [u8; 2] = [128 + 9, 128 + 31];
    if !KILLED.contains(&code) {
        return Ok(code);
    }
    // What cannot be found out is not worth another complaint.
    let Ok(found) = client.container_postmortem(id) else { return Ok(code) };
    let fault = Fault::new(Kind::Internal, clean(&found.why));
    let fault = if found.hint.is_empty() { fault } else { fault.hint(clean(&found.hint)) };
    Err(Failure { code, fault: Some(fault) })
}

fn page(found: &Postmortem, brush: Paint) -> String {
    let mut text = format!("{}\n", clean(&found.why));
    if !found.hint.is_empty() {
        text.push_str(&format!("  {}\n", brush.hint(&format!("hint: {}", clean(&found.hint)))));
    }
    let row = |fact: &hull_wire::ExplainedFact| {
        let by = if fact.by.is_empty() { String::new() } else { format!("\t({})", clean(&fact.by)) };
        format!("  {}\t{}{by}\n", clean(&fact.name), clean(&fact.now))
    };
    let rows: String = found.evidence.iter().map(row).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", layout_with(&rows, 4)));
    }
    if !found.last_lines.is_empty() {
        text.push_str(&format!("\n{}\n", brush.heading("its last output:")));
        found.last_lines.iter().for_each(|line| text.push_str(&format!("  {}\n", clean(line))));
    }
    text
}
