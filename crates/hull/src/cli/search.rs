//! `hull search`: repositories of a registry that has docker's search.

use hull_types::{Fault, ImageRef};
use serde_json::json;

use super::context::Context;
use super::failure::Outcome;
use super::filters::filters;
use super::io;
use super::parse::Spoken;
use crate::credentials::Credentials;
use crate::output::format::{self, Listing};

const LISTING: Listing = Listing {
    default: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    headings: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
        ("IsAutomated", "AUTOMATED"),
    ],
};
const WIDTH: usize = 45;

/// Flags of `search`.
#[derive(clap::Args, Debug)]
pub(crate) struct Search {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Pretty-print search using a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "int")]
    limit: Option<u64>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "TERM", hide = true)]
    term: String,
}

impl Spoken for Search {
    const NAME: &'static str = "search";
    const ABOUT: &'static str = "Search a registry for images";
    const USAGE: &'static str = "[OPTIONS] TERM";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let auth = match format!("{}/x", self.term.split('/').next().unwrap_or_default()).parse::<ImageRef>() {
            Ok(name) => Credentials::read()?.header(&name)?,
            Err(_) => String::new(),
        };
        let client = context.client()?;
        let found = client.image_search(&self.term, self.limit, &wanted, &auth).map_err(Fault::from)?;
        let rows: Vec<_> = found
            .iter()
            .map(|item| {
                json!({
                    "Name": item.name,
                    "Description": self.shortened(&item.description),
                    "StarCount": item.star_count.to_string(),
                    "IsOfficial": if item.is_official { "[OK]" } else { "" },
                    "IsAutomated": if item.is_automated { "[OK]" } else { "" },
                })
            })
            .collect();
        let text = LISTING.render(self.format.as_deref().unwrap_or_default(), &rows).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

impl Search {
    fn shortened(&self, text: &str) -> String {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if self.no_trunc || text.chars().count() <= WIDTH {
            return text;
        }
        text.chars().take(WIDTH - 1).chain(['…']).collect()
    }
}
