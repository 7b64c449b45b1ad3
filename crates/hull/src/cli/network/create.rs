//! `hull network create`: makes a network.

use std::collections::BTreeMap;

use hull_types::Fault;
use hull_wire::{ConfigReference, Ipam, IpamConfig, NetworkCreateRequest};

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::io;
use crate::cli::parse::{Spoken, shortened};

/// Flags of `network create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// Enable manual container attachment
    #[arg(long)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses used by the network driver
    #[arg(long, value_name = "map")]
    aux_address: Vec<String>,
    /// The network from which to copy the configuration
    #[arg(long, value_name = "string", hide = true)]
    config_from: Option<String>,
    /// Create a configuration only network
    #[arg(long, hide = true)]
    config_only: bool,
    /// Driver to manage the network
    #[arg(short, long, value_name = "string", default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 gateway for the subnet
    #[arg(long, value_name = "strings")]
    gateway: Vec<String>,
    /// Create swarm routing-mesh network
    #[arg(long, hide = true)]
    ingress: bool,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container addresses from a sub-range
    #[arg(long, value_name = "strings")]
    ip_range: Vec<String>,
    /// IP address management driver
    #[arg(long, value_name = "string", hide = true)]
    ipam_driver: Option<String>,
    /// Options of the IP address management driver
    #[arg(long, value_name = "map", hide = true)]
    ipam_opt: Vec<String>,
    /// Enable or disable IPv4 address assignment
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    ipv4: Option<bool>,
    /// Enable or disable IPv6 address assignment
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ipv6: Option<bool>,
    /// Set metadata on a network
    #[arg(long, value_name = "list")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "map")]
    opt: Vec<String>,
    /// Control the network's scope
    #[arg(long, value_name = "string", hide = true)]
    scope: Option<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "strings")]
    subnet: Vec<String>,
    #[arg(value_name = "NETWORK", hide = true)]
    name: String,
}

impl Spoken for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Create a network";
    const USAGE: &'static str = "[OPTIONS] NETWORK";

    fn run(self, context: &Context) -> Outcome {
        let request = self.request()?;
        let made = context.client()?.network_create(&request).map_err(Fault::from)?;
        if !made.warning.is_empty() {
            eprintln!("WARNING: {}", made.warning);
        }
        io::say(made.id).map(|()| 0)
    }
}

impl Create {
    fn request(self) -> Result<NetworkCreateRequest, Failure> {
        let config = self.subnets()?;
        Ok(NetworkCreateRequest {
            name: self.name,
            driver: self.driver,
            scope: self.scope.unwrap_or_default(),
            enable_ipv4: self.ipv4,
            enable_ipv6: self.ipv6,
            ipam: Some(Ipam {
                driver: self.ipam_driver.unwrap_or_else(|| "default".to_owned()),
                options: pairs(&self.ipam_opt, "ipam-opt")?,
                config,
            }),
            internal: self.internal,
            attachable: self.attachable,
            ingress: self.ingress,
            config_only: self.config_only,
            config_from: self.config_from.map(|network| ConfigReference { network }),
            options: pairs(&self.opt, "opt")?,
            labels: self.label.iter().map(|text| split(text)).collect(),
        })
    }

    /// COMPAT(docker 28): gateways, ranges and addresses belong to the subnet that contains them.
    fn subnets(&self) -> Result<Vec<IpamConfig>, Failure> {
        let alone = self.gateway.len() + self.ip_range.len() + self.aux_address.len();
        if self.subnet.is_empty() && alone > 0 {
            let fault = Fault::invalid("every --gateway, --ip-range and --aux-address needs a --subnet");
            return Err(Failure::usage(fault));
        }
        let mut configs: Vec<IpamConfig> =
            self.subnet.iter().map(|subnet| IpamConfig { subnet: subnet.clone(), ..IpamConfig::default() }).collect();
        for gateway in &self.gateway {
            place(&mut configs, gateway)?.gateway.clone_from(gateway);
        }
        for range in &self.ip_range {
            place(&mut configs, range)?.ip_range.clone_from(range);
        }
        for text in &self.aux_address {
            let (name, address) = split(text);
            place(&mut configs, &address)?.auxiliary_addresses.insert(name, address);
        }
        Ok(configs)
    }
}

/// The subnet of the same family; there is at most one of each.
fn place<'a>(configs: &'a mut [IpamConfig], address: &str) -> Result<&'a mut IpamConfig, Failure> {
    let six = address.contains(':');
    let found = configs.iter_mut().find(|config| config.subnet.contains(':') == six);
    found.ok_or_else(|| Failure::usage(Fault::invalid(format!("no subnet has the address {}", shortened(address)))))
}

fn split(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

pub(super) fn pairs(flags: &[String], flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => {
            let fault =
                Fault::invalid(format!("invalid value `{}` for --{flag}: write it as name=value", shortened(text)));
            Err(Failure::usage(fault))
        }
    };
    flags.iter().map(pair).collect()
}
