//! `GET /containers/{id}/stats`. Its members are in snake case.

use std::collections::BTreeMap;

use hull_types::Timestamp;

use crate::macros::wire;

wire! {
    /// One sample with the one before it.
    #[serde(rename_all = "snake_case")]
    struct ContainerStats {
        omit name: String,
        omit id: String,
        omit os_type: String,
        read: Timestamp,
        preread: Timestamp,
        pids_stats: PidsStats,
        blkio_stats: BlkioStats,
        num_procs: u32,
        storage_stats: StorageStats,
        cpu_stats: CpuStats,
        precpu_stats: CpuStats,
        memory_stats: MemoryStats,
        omit networks: BTreeMap<String, NetworkStats>,
    }

    /// Number of processes and its limit.
    #[serde(rename_all = "snake_case")]
    struct PidsStats {
        omit current: u64,
        omit limit: u64,
    }

    /// Block I/O; all but the first are of cgroup v1 only.
    #[serde(rename_all = "snake_case")]
    struct BlkioStats {
        null io_service_bytes_recursive: Vec<BlkioEntry>,
        null io_serviced_recursive: Vec<BlkioEntry>,
        null io_queue_recursive: Vec<BlkioEntry>,
        null io_service_time_recursive: Vec<BlkioEntry>,
        null io_wait_time_recursive: Vec<BlkioEntry>,
        null io_merged_recursive: Vec<BlkioEntry>,
        null io_time_recursive: Vec<BlkioEntry>,
        null sectors_recursive: Vec<BlkioEntry>,
    }

    /// One counter of one device.
    #[serde(rename_all = "snake_case")]
    struct BlkioEntry {
        major: u64,
        minor: u64,
        op: String,
        value: u64,
    }

    /// Windows only.
    #[serde(rename_all = "snake_case")]
    struct StorageStats {
        omit read_count_normalized: u64,
        omit read_size_bytes: u64,
        omit write_count_normalized: u64,
        omit write_size_bytes: u64,
    }

    /// CPU time in nanoseconds.
    #[serde(rename_all = "snake_case")]
    struct CpuStats {
        cpu_usage: CpuUsage,
        omit system_cpu_usage: u64,
        omit online_cpus: u32,
        throttling_data: ThrottlingData,
    }

    /// CPU time of the container.
    #[serde(rename_all = "snake_case")]
    struct CpuUsage {
        total_usage: u64,
        omit percpu_usage: Vec<u64>,
        usage_in_kernelmode: u64,
        usage_in_usermode: u64,
    }

    /// How often the quota was hit.
    #[serde(rename_all = "snake_case")]
    struct ThrottlingData {
        periods: u64,
        throttled_periods: u64,
        throttled_time: u64,
    }

    /// Memory in bytes.
    #[serde(rename_all = "snake_case")]
    struct MemoryStats {
        omit usage: u64,
        omit max_usage: u64,
        omit stats: BTreeMap<String, u64>,
        omit failcnt: u64,
        omit limit: u64,
    }

    /// Counters of one interface.
    #[serde(rename_all = "snake_case")]
    struct NetworkStats {
        rx_bytes: u64,
        rx_packets: u64,
        rx_errors: u64,
        rx_dropped: u64,
        tx_bytes: u64,
        tx_packets: u64,
        tx_errors: u64,
        tx_dropped: u64,
    }
}
