//! `hull network connect`: has a container join a network.

use hull_types::Fault;
use hull_wire::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest};

use super::create::pairs;
use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::parse::Spoken;

/// Flags of `network connect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Connect {
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "strings")]
    alias: Vec<String>,
    /// driver options for the network
    #[arg(long, value_name = "strings")]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway. Accepts positive and negative values
    #[arg(long, value_name = "int", default_value_t = 0, allow_negative_numbers = true)]
    gw_priority: i64,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "string")]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "string")]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long, value_name = "list")]
    link: Vec<String>,
    /// Add a link-local address for the container
    #[arg(long, value_name = "strings")]
    link_local_ip: Vec<String>,
    #[arg(value_name = "NETWORK", hide = true)]
    network: String,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Connect {
    const NAME: &'static str = "connect";
    const ABOUT: &'static str = "Connect a container to a network";
    const USAGE: &'static str = "[OPTIONS] NETWORK CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let ipam = EndpointIpamConfig {
            ipv4_address: self.ip.unwrap_or_default(),
            ipv6_address: self.ip6.unwrap_or_default(),
            link_local_ips: self.link_local_ip,
        };
        let endpoint = EndpointSettings {
            ipam_config: Some(ipam),
            links: self.link,
            aliases: self.alias,
            driver_opts: pairs(&self.driver_opt, "driver-opt")?,
            gw_priority: self.gw_priority,
            ..EndpointSettings::default()
        };
        let request = NetworkConnectRequest { container: self.container, endpoint_config: Some(endpoint) };
        context.client()?.network_connect(&self.network, &request).map_err(Fault::from)?;
        Ok(0)
    }
}
