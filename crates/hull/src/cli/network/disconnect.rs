//! `hull network disconnect`: has a container leave a network.

use hull_types::Fault;
use hull_wire::NetworkDisconnectRequest;

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::parse::Spoken;

/// Flags of `network disconnect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Disconnect {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    #[arg(value_name = "NETWORK", hide = true)]
    network: String,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Disconnect {
    const NAME: &'static str = "disconnect";
    const ABOUT: &'static str = "Disconnect a container from a network";
    const USAGE: &'static str = "[OPTIONS] NETWORK CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let request = NetworkDisconnectRequest { container: self.container, force: self.force };
        context.client()?.network_disconnect(&self.network, &request).map_err(Fault::from)?;
        Ok(0)
    }
}
