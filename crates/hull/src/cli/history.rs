//! `hull history`: the steps that made an image.

use hull_types::{ByteSize, Fault};
use hull_wire::HistoryItem;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::output::format::{self, Listing};
use crate::output::human;

const LISTING: Listing = Listing {
    default: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

/// Flags of `history`.
#[derive(clap::Args, Debug)]
pub(crate) struct History {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::SetTrue)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history for the given platform
    #[arg(long, value_name = "string", hide = true)]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "IMAGE", hide = true)]
    image: String,
}

impl Spoken for History {
    const NAME: &'static str = "history";
    const ABOUT: &'static str = "Show the history of an image";
    const USAGE: &'static str = "[OPTIONS] IMAGE";

    fn run(self, context: &Context) -> Outcome {
        if self.platform.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for history")));
        }
        let client = context.client()?;
        let steps = client.image_history(&self.image).map_err(Fault::from)?;
        let rows: Vec<Value> = steps.iter().map(|step| self.row(step)).collect();
        let format = self.format.as_deref().unwrap_or_default();
        if self.quiet && format.is_empty() {
            let lines = rows.iter().filter_map(|row| row["ID"].as_str()).map(|id| format!("{id}\n"));
            return io::print(&lines.collect::<String>()).map(|()| 0);
        }
        let text = LISTING.render(format, &rows).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

impl History {
    fn row(&self, step: &HistoryItem) -> Value {
        let by = step.created_by.replace(['\t', '\n'], " ");
        let created = human::local(step.created);
        json!({
            "Comment": step.comment,
            "CreatedAt": created,
            "CreatedBy": if self.no_trunc { by } else { human::ellipsis(&by, 45) },
            "CreatedSince": if self.human { human::ago(step.created) } else { created.clone() },
            "ID": if self.no_trunc { &step.id } else { human::short_id(&step.id) },
            "Size": if self.human { ByteSize(step.size).human() } else { step.size.to_string() },
        })
    }
}
