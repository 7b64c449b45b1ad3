//! `hull images`: the images, one row per name.

use hull_types::{ByteSize, Fault};
use hull_wire::ImageSummary;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::filters::filters;
use super::io;
use super::parse::Spoken;
use crate::output::format::{self, Listing};
use crate::output::human;

const LISTING: Listing = Listing {
    default: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    headings: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
};

const WITH_DIGESTS: Listing =
    Listing { default: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}", ..LISTING };

/// Flags of `images`.
#[derive(clap::Args, Debug)]
pub(crate) struct Images {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// List multi-platform images as a tree
    #[arg(long, hide = true)]
    tree: bool,
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    reference: Option<String>,
}

impl Spoken for Images {
    const NAME: &'static str = "images";
    const ABOUT: &'static str = "List images";
    const USAGE: &'static str = "[OPTIONS] [REPOSITORY[:TAG]]";

    fn run(self, context: &Context) -> Outcome {
        if self.tree {
            return Err(Failure::usage(Fault::unsupported("`--tree` is not supported")));
        }
        let mut wanted = filters(&self.filter)?;
        if let Some(reference) = &self.reference {
            wanted.add("reference", reference);
        }
        let client = context.client()?;
        let mut list = client.images(self.all, &wanted).map_err(Fault::from)?;
        list.sort_by_key(|image| std::cmp::Reverse(image.created));
        let format = self.format.as_deref().unwrap_or_default();
        let rows: Vec<Value> = list.iter().flat_map(|image| self.rows(image)).collect();
        if self.quiet && format.is_empty() {
            let lines = rows.iter().filter_map(|row| row["ID"].as_str()).map(|id| format!("{id}\n"));
            return io::print(&lines.collect::<String>()).map(|()| 0);
        }
        let listing = if self.digests { &WITH_DIGESTS } else { &LISTING };
        let text = listing.render(format, &rows).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

impl Images {
    /// One row per tag; a digest without a tag and an image without a name have one, too.
    fn rows(&self, image: &ImageSummary) -> Vec<Value> {
        let named = image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>");
        let mut names: Vec<(&str, &str)> = named.filter_map(|tag| tag.rsplit_once(':')).collect();
        if names.is_empty() {
            let digests = image.repo_digests.iter().filter_map(|digest| digest.split_once('@'));
            names = digests.filter(|(name, _)| *name != "<none>").map(|(name, _)| (name, "<none>")).collect();
        }
        if names.is_empty() {
            names.push(("<none>", "<none>"));
        }
        names.into_iter().map(|(name, tag)| self.row(image, name, tag)).collect()
    }

    fn row(&self, image: &ImageSummary, repository: &str, tag: &str) -> Value {
        let of_repository = |digest: &&String| digest.split_once('@').is_some_and(|(name, _)| name == repository);
        let digest = image.repo_digests.iter().find(of_repository).and_then(|digest| digest.split_once('@'));
        let count = |number: i64| if number < 0 { "N/A".to_owned() } else { number.to_string() };
        let shared = |size: i64| if size < 0 { "N/A".to_owned() } else { ByteSize(size).human() };
        json!({
            "Containers": count(image.containers),
            "CreatedAt": human::local(image.created),
            "CreatedSince": if image.created > 0 { human::ago(image.created) } else { "N/A".to_owned() },
            "Digest": digest.map_or("<none>", |(_, digest)| digest),
            "ID": if self.no_trunc { &image.id } else { human::short_id(&image.id) },
            "Repository": repository,
            "SharedSize": shared(image.shared_size),
            "Size": ByteSize(image.size).human(),
            "Tag": tag,
            "UniqueSize": shared(if image.shared_size < 0 { -1 } else { image.size - image.shared_size }),
            "VirtualSize": ByteSize(image.size).human(),
        })
    }
}
