//! `hull volume create`: makes a volume.

use hull_types::Fault;
use hull_wire::VolumeCreateRequest;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::io;
use crate::cli::parse::Spoken;
use crate::options::pairs;

/// Flags of `volume create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// Specify volume driver name
    #[arg(short, long, value_name = "string", default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "list")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "map")]
    opt: Vec<String>,
    #[arg(value_name = "VOLUME", hide = true)]
    name: Option<String>,
}

impl Spoken for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Create a volume";
    const USAGE: &'static str = "[OPTIONS] [VOLUME]";

    fn run(self, context: &Context) -> Outcome {
        let map = |flag, values: &[String], bare| pairs::map(flag, values, bare).map_err(Failure::usage);
        let request = VolumeCreateRequest {
            name: self.name.unwrap_or_default(),
            driver: self.driver,
            driver_opts: map("opt", &self.opt, false)?,
            labels: map("label", &self.label, true)?,
            ..VolumeCreateRequest::default()
        };
        let made = context.client()?.volume_create(&request).map_err(Fault::from)?;
        io::say(made.name).map(|()| 0)
    }
}
