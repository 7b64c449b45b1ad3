//! The engine itself: `/info`, `/version`, and the error every endpoint may answer.

use std::collections::BTreeMap;

use hull_types::{Fault, Kind};

use crate::macros::wire;

wire! {
    /// The body of every answer with a status from 400 on. Docker has `message` (with hull: summary and cause in
    /// one line); hull adds the others.
    #[serde(rename_all = "lowercase")]
    struct ErrorResponse {
        message: String,
        omit cause: String,
        omit hint: String,
        omit kind: Option<Kind>,
    }

    /// `GET /version`.
    struct SystemVersion {
        platform: VersionPlatform,
        null components: Vec<Component>,
        version: String,
        api_version: String,
        #[serde(rename = "MinAPIVersion")] omit min_api_version: String,
        git_commit: String,
        go_version: String,
        os: String,
        arch: String,
        omit kernel_version: String,
        omit experimental: bool,
        omit build_time: String,
    }

    /// The product's name.
    struct VersionPlatform {
        name: String,
    }

    /// A part of the product with a version of its own.
    struct Component {
        name: String,
        version: String,
        null details: BTreeMap<String, String>,
    }

    /// `GET /info`.
    struct SystemInfo {
        #[serde(rename = "ID")] id: String,
        containers: i64,
        containers_running: i64,
        containers_paused: i64,
        containers_stopped: i64,
        images: i64,
        driver: String,
        driver_status: Vec<[String; 2]>,
        omit system_status: Vec<[String; 2]>,
        plugins: PluginsInfo,
        memory_limit: bool,
        swap_limit: bool,
        omit kernel_memory: bool,
        #[serde(rename = "KernelMemoryTCP")] omit kernel_memory_tcp: bool,
        cpu_cfs_period: bool,
        cpu_cfs_quota: bool,
        #[serde(rename = "CPUShares")] cpu_shares: bool,
        #[serde(rename = "CPUSet")] cpu_set: bool,
        pids_limit: bool,
        #[serde(rename = "IPv4Forwarding")] ipv4_forwarding: bool,
        debug: bool,
        n_fd: i64,
        oom_kill_disable: bool,
        n_goroutines: i64,
        system_time: String,
        logging_driver: String,
        cgroup_driver: String,
        omit cgroup_version: String,
        n_events_listener: i64,
        kernel_version: String,
        operating_system: String,
        #[serde(rename = "OSVersion")] os_version: String,
        #[serde(rename = "OSType")] os_type: String,
        architecture: String,
        index_server_address: String,
        registry_config: Option<RegistryConfig>,
        #[serde(rename = "NCPU")] ncpu: i64,
        mem_total: i64,
        null generic_resources: Vec<String>,
        docker_root_dir: String,
        http_proxy: String,
        https_proxy: String,
        no_proxy: String,
        name: String,
        labels: Vec<String>,
        experimental_build: bool,
        server_version: String,
        runtimes: BTreeMap<String, Runtime>,
        default_runtime: String,
        swarm: SwarmInfo,
        live_restore_enabled: bool,
        isolation: String,
        init_binary: String,
        containerd_commit: Commit,
        runc_commit: Commit,
        init_commit: Commit,
        security_options: Vec<String>,
        omit product_license: String,
        omit firewall_backend: Option<FirewallInfo>,
        #[serde(rename = "CDISpecDirs")] cdi_spec_dirs: Vec<String>,
        null warnings: Vec<String>,
    }

    /// What the rules are written for, from API 1.49 on.
    struct FirewallInfo {
        driver: String,
        omit info: Vec<[String; 2]>,
    }

    /// Names of the drivers there are.
    struct PluginsInfo {
        volume: Vec<String>,
        network: Vec<String>,
        null authorization: Vec<String>,
        log: Vec<String>,
    }

    /// Registries that are treated specially.
    struct RegistryConfig {
        #[serde(rename = "InsecureRegistryCIDRs")] insecure_registry_cidrs: Vec<String>,
        index_configs: BTreeMap<String, serde_json::Value>,
        null mirrors: Vec<String>,
    }

    /// How containers are run. Its members are in camel case.
    #[serde(rename_all = "camelCase")]
    struct Runtime {
        omit path: String,
        omit runtime_args: Vec<String>,
        omit status: BTreeMap<String, String>,
    }

    /// Always inactive: hull has no swarm.
    struct SwarmInfo {
        #[serde(rename = "NodeID")] node_id: String,
        node_addr: String,
        local_node_state: String,
        control_available: bool,
        error: String,
        null remote_managers: Vec<String>,
    }

    /// The commit of a part.
    struct Commit {
        #[serde(rename = "ID")] id: String,
    }
}

impl From<&Fault> for ErrorResponse {
    fn from(fault: &Fault) -> Self {
        Self {
            message: fault.to_string(),
            cause: fault.cause.clone().unwrap_or_default(),
            hint: fault.hint.clone().unwrap_or_default(),
            kind: Some(fault.kind),
        }
    }
}

impl ErrorResponse {
    /// The fault that was encoded; `kind` is for answers of engines which do not send one.
    pub fn into_fault(self, kind: Kind) -> Fault {
        let suffix = format!(": {}", self.cause);
        let summary = match self.message.strip_suffix(&suffix) {
            Some(summary) if !self.cause.is_empty() => summary.to_owned(),
            _ => self.message,
        };
        let some = |text: String| if text.is_empty() { None } else { Some(text) };
        Fault { kind: self.kind.unwrap_or(kind), summary, cause: some(self.cause), hint: some(self.hint) }
    }
}
