//! How a container runs on this host: `HostConfig` and the resources within it.

use std::collections::BTreeMap;

use crate::macros::wire;
use crate::mounts::Mount;
use crate::network::PortMap;

wire! {
    /// The configuration of a container that depends on the host. Its resources are a struct of their own, as the
    /// update request has the same.
    struct HostConfig {
        null binds: Vec<String>,
        #[serde(rename = "ContainerIDFile")] container_id_file: String,
        log_config: LogConfig,
        network_mode: String,
        port_bindings: PortMap,
        restart_policy: RestartPolicy,
        auto_remove: bool,
        volume_driver: String,
        null volumes_from: Vec<String>,
        console_size: [u32; 2],
        omit annotations: BTreeMap<String, String>,
        null cap_add: Vec<String>,
        null cap_drop: Vec<String>,
        cgroupns_mode: String,
        dns: Vec<String>,
        dns_options: Vec<String>,
        dns_search: Vec<String>,
        null extra_hosts: Vec<String>,
        null group_add: Vec<String>,
        ipc_mode: String,
        cgroup: String,
        null links: Vec<String>,
        oom_score_adj: i64,
        pid_mode: String,
        privileged: bool,
        publish_all_ports: bool,
        readonly_rootfs: bool,
        null security_opt: Vec<String>,
        omit storage_opt: BTreeMap<String, String>,
        omit tmpfs: BTreeMap<String, String>,
        #[serde(rename = "UTSMode")] uts_mode: String,
        userns_mode: String,
        shm_size: i64,
        omit sysctls: BTreeMap<String, String>,
        omit runtime: String,
        isolation: String,
        flatten resources: Resources,
        omit mounts: Vec<Mount>,
        masked_paths: Option<Vec<String>>,
        readonly_paths: Option<Vec<String>>,
        omit init: Option<bool>,
        omit umask: Option<u32>,
    }

    /// Limits and devices; `HostConfig` and the update request carry them inline.
    struct Resources {
        cpu_shares: i64,
        memory: i64,
        nano_cpus: i64,
        cgroup_parent: String,
        blkio_weight: u16,
        blkio_weight_device: Vec<WeightDevice>,
        blkio_device_read_bps: Vec<ThrottleDevice>,
        blkio_device_write_bps: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceReadIOps")] blkio_device_read_iops: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceWriteIOps")] blkio_device_write_iops: Vec<ThrottleDevice>,
        cpu_period: i64,
        cpu_quota: i64,
        cpu_realtime_period: i64,
        cpu_realtime_runtime: i64,
        cpuset_cpus: String,
        cpuset_mems: String,
        devices: Vec<DeviceMapping>,
        null device_cgroup_rules: Vec<String>,
        null device_requests: Vec<DeviceRequest>,
        omit kernel_memory: i64,
        #[serde(rename = "KernelMemoryTCP")] omit kernel_memory_tcp: i64,
        memory_reservation: i64,
        memory_swap: i64,
        memory_swappiness: Option<i64>,
        oom_kill_disable: Option<bool>,
        pids_limit: Option<i64>,
        ulimits: Vec<Ulimit>,
        cpu_count: i64,
        cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")] io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")] io_maximum_bandwidth: u64,
    }

    /// Which log driver, with its options.
    struct LogConfig {
        #[serde(rename = "Type")] kind: String,
        config: BTreeMap<String, String>,
    }

    /// Whether to start again after an exit: `""`, `no`, `always`, `unless-stopped`, `on-failure`.
    struct RestartPolicy {
        name: String,
        maximum_retry_count: i64,
    }

    /// A device of the host inside the container.
    struct DeviceMapping {
        path_on_host: String,
        path_in_container: String,
        cgroup_permissions: String,
    }

    /// A request to a device driver (`--gpus`).
    struct DeviceRequest {
        driver: String,
        count: i64,
        #[serde(rename = "DeviceIDs")] null device_ids: Vec<String>,
        capabilities: Vec<Vec<String>>,
        options: BTreeMap<String, String>,
    }

    /// A rate limit of one block device.
    struct ThrottleDevice {
        path: String,
        rate: u64,
    }

    /// A relative weight of one block device.
    struct WeightDevice {
        path: String,
        weight: u16,
    }

    /// A resource limit of the process.
    struct Ulimit {
        name: String,
        hard: i64,
        soft: i64,
    }
}
