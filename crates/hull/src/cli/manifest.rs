//! `hull manifest inspect`: the manifest or index that a name means at its registry.

use hull_types::Fault;
use serde::Serialize as _;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::{io, pull};
use crate::credentials::Credentials;

/// Flags of `manifest inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct InspectManifest {
    /// Allow communication with an insecure registry
    #[arg(long, hide = true)]
    insecure: bool,
    /// Output additional info including layers and platform
    #[arg(short, long, hide = true)]
    verbose: bool,
    #[arg(value_name = "MANIFEST", hide = true)]
    name: String,
}

impl Spoken for InspectManifest {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display an image manifest, or manifest list";
    const USAGE: &'static str = "MANIFEST";

    fn run(self, context: &Context) -> Outcome {
        if self.verbose {
            return Err(Failure::usage(Fault::unsupported("`--verbose` is not supported")));
        }
        if self.insecure {
            let fault = Fault::unsupported("`--insecure` is not supported");
            return Err(Failure::usage(fault.hint("name the registry under `insecure` in /etc/hull/registries.json")));
        }
        let name = pull::reference(&self.name)?.with_default_tag();
        let auth = Credentials::read()?.header(&name)?;
        let document = context.client()?.manifest(&name.full(), &auth).map_err(Fault::from)?;
        // COMPAT(docker 28): indented by tabs.
        let mut text = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let written = document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, style));
        written.map_err(|error| Fault::internal("cannot show the manifest").cause(error))?;
        io::say(String::from_utf8_lossy(&text)).map(|()| 0)
    }
}
