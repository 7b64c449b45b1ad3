//! Networks as a container sees them.

use std::collections::BTreeMap;

use crate::macros::wire;

/// Container port (`80/tcp`) → where it is published; a port that is only exposed has `None`.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

wire! {
    /// One address and port of the host.
    struct PortBinding {
        host_ip: String,
        host_port: String,
    }

    /// The networks that a new container joins, by name.
    struct NetworkingConfig {
        endpoints_config: BTreeMap<String, Option<EndpointSettings>>,
    }

    /// A container's end in one network.
    struct EndpointSettings {
        #[serde(rename = "IPAMConfig")] ipam_config: Option<EndpointIpamConfig>,
        null links: Vec<String>,
        null aliases: Vec<String>,
        mac_address: String,
        null driver_opts: BTreeMap<String, String>,
        gw_priority: i64,
        #[serde(rename = "NetworkID")] network_id: String,
        #[serde(rename = "EndpointID")] endpoint_id: String,
        gateway: String,
        #[serde(rename = "IPAddress")] ip_address: String,
        #[serde(rename = "IPPrefixLen")] ip_prefix_len: i64,
        #[serde(rename = "IPv6Gateway")] ipv6_gateway: String,
        #[serde(rename = "GlobalIPv6Address")] global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")] global_ipv6_prefix_len: i64,
        #[serde(rename = "DNSNames")] null dns_names: Vec<String>,
    }

    /// The addresses that an endpoint asks for.
    struct EndpointIpamConfig {
        #[serde(rename = "IPv4Address")] omit ipv4_address: String,
        #[serde(rename = "IPv6Address")] omit ipv6_address: String,
        #[serde(rename = "LinkLocalIPs")] omit link_local_ips: Vec<String>,
    }

    /// The networks of an existing container.
    struct NetworkSettings {
        bridge: String,
        #[serde(rename = "SandboxID")] sandbox_id: String,
        sandbox_key: String,
        ports: PortMap,
        hairpin_mode: bool,
        #[serde(rename = "LinkLocalIPv6Address")] link_local_ipv6_address: String,
        #[serde(rename = "LinkLocalIPv6PrefixLen")] link_local_ipv6_prefix_len: i64,
        #[serde(rename = "SecondaryIPAddresses")] null secondary_ip_addresses: Vec<Address>,
        #[serde(rename = "SecondaryIPv6Addresses")] null secondary_ipv6_addresses: Vec<Address>,
        #[serde(rename = "EndpointID")] endpoint_id: String,
        gateway: String,
        #[serde(rename = "GlobalIPv6Address")] global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")] global_ipv6_prefix_len: i64,
        #[serde(rename = "IPAddress")] ip_address: String,
        #[serde(rename = "IPPrefixLen")] ip_prefix_len: i64,
        #[serde(rename = "IPv6Gateway")] ipv6_gateway: String,
        mac_address: String,
        networks: BTreeMap<String, EndpointSettings>,
    }

    /// An address with its prefix.
    struct Address {
        addr: String,
        prefix_len: i64,
    }

    /// A port of a container in a list.
    struct PortSummary {
        #[serde(rename = "IP")] omit ip: String,
        private_port: u16,
        omit public_port: u16,
        #[serde(rename = "Type")] kind: String,
    }
}
