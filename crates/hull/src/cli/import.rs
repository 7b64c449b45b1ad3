//! `hull import`: an image of a root file system's tar.

use hull_client::ImportOptions;
use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::load::{input, messages_to_end};
use super::parse::Spoken;
use crate::output::progress::Counted;

/// Flags of `import`.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "string")]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(value_name = "file|-", hide = true)]
    source: String,
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    reference: Option<String>,
}

impl Spoken for Import {
    const NAME: &'static str = "import";
    const ABOUT: &'static str = "Import the contents from a tarball to create a filesystem image";
    const USAGE: &'static str = "[OPTIONS] file|- [REPOSITORY[:TAG]]";

    fn run(self, context: &Context) -> Outcome {
        if self.source.starts_with("http://") || self.source.starts_with("https://") {
            let fault = Fault::unsupported("importing from a URL is not supported");
            return Err(Failure::usage(fault.hint("download it and pipe it: curl URL | hull import -")));
        }
        let path = if self.source == "-" { None } else { Some(self.source.as_str()) };
        let (archive, size) = input(path)?;
        let options = ImportOptions {
            reference: self.reference,
            message: self.message,
            changes: self.change,
            platform: self.platform,
        };
        let client = context.client()?;
        let mut archive = Counted::new(archive, size, "importing", false);
        let messages = client.image_import(&options, &mut archive).map_err(|e| Failure::from(Fault::from(e)));
        let outcome = messages.and_then(|messages| messages_to_end(messages.map(|m| m.map_err(Fault::from))));
        archive.finish();
        outcome
    }
}
