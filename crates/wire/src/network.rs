//! Networks as a container sees them.

use std::collections::BTreeMap;

use hull_types::Timestamp;

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

    /// A network, as lists and inspect show it.
    struct NetworkResource {
        name: String,
        id: String,
        created: Timestamp,
        scope: String,
        driver: String,
        #[serde(rename = "EnableIPv4")] enable_ipv4: bool,
        #[serde(rename = "EnableIPv6")] enable_ipv6: bool,
        #[serde(rename = "IPAM")] ipam: Ipam,
        internal: bool,
        attachable: bool,
        ingress: bool,
        config_from: ConfigReference,
        config_only: bool,
        containers: BTreeMap<String, NetworkContainer>,
        options: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        omit status: Option<NetworkStatus>,
    }

    /// How full a network is, from API 1.52 on.
    struct NetworkStatus {
        #[serde(rename = "IPAM")] ipam: IpamStatus,
    }

    /// The same of its subnets, by their text.
    struct IpamStatus {
        subnets: BTreeMap<String, SubnetStatus>,
    }

    /// Addresses of a subnet. What is above 2⁶⁴ is told as that.
    struct SubnetStatus {
        #[serde(rename = "IPsInUse")] ips_in_use: u64,
        #[serde(rename = "DynamicIPsAvailable")] dynamic_ips_available: u64,
    }

    /// Where addresses of a network come from.
    struct Ipam {
        driver: String,
        options: BTreeMap<String, String>,
        null config: Vec<IpamConfig>,
    }

    /// One subnet.
    struct IpamConfig {
        omit subnet: String,
        #[serde(rename = "IPRange")] omit ip_range: String,
        omit gateway: String,
        omit auxiliary_addresses: BTreeMap<String, String>,
    }

    /// A network whose configuration another one takes; swarm's.
    struct ConfigReference {
        network: String,
    }

    /// A container's end in a network, as the network shows it.
    struct NetworkContainer {
        name: String,
        #[serde(rename = "EndpointID")] endpoint_id: String,
        mac_address: String,
        #[serde(rename = "IPv4Address")] ipv4_address: String,
        #[serde(rename = "IPv6Address")] ipv6_address: String,
    }

    /// `POST /networks/create`.
    struct NetworkCreateRequest {
        name: String,
        driver: String,
        scope: String,
        #[serde(rename = "EnableIPv4")] enable_ipv4: Option<bool>,
        #[serde(rename = "EnableIPv6")] enable_ipv6: Option<bool>,
        #[serde(rename = "IPAM")] ipam: Option<Ipam>,
        internal: bool,
        attachable: bool,
        ingress: bool,
        config_only: bool,
        config_from: Option<ConfigReference>,
        options: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
    }

    /// Its answer.
    struct NetworkCreateResponse {
        id: String,
        warning: String,
    }

    /// `POST /networks/{id}/connect`.
    struct NetworkConnectRequest {
        container: String,
        endpoint_config: Option<EndpointSettings>,
    }

    /// `POST /networks/{id}/disconnect`.
    struct NetworkDisconnectRequest {
        container: String,
        force: bool,
    }

    /// `POST /networks/prune`.
    struct NetworksPruneReport {
        null networks_deleted: Vec<String>,
    }
}
