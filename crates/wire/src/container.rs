//! Containers: requests and responses of `/containers`.

use std::collections::BTreeMap;

use hull_types::Timestamp;

use crate::config::ContainerConfig;
use crate::host::{HostConfig, Resources, RestartPolicy};
use crate::image::GraphDriver;
use crate::macros::wire;
use crate::mounts::MountPoint;
use crate::network::{EndpointSettings, NetworkSettings, NetworkingConfig, PortSummary};

wire! {
    /// `POST /containers/create`: the portable configuration with two members beside its own.
    struct ContainerCreateRequest {
        flatten config: ContainerConfig,
        host_config: HostConfig,
        networking_config: NetworkingConfig,
    }

    /// The new container.
    struct ContainerCreateResponse {
        id: String,
        warnings: Vec<String>,
    }

    /// `POST /containers/{id}/update`. An empty list of devices is not the same as none: those that are to be emptied are named in
    /// `emptied`, which is no part of the document.
    struct ContainerUpdateRequest {
        flatten resources: Resources,
        restart_policy: RestartPolicy,
        #[serde(skip)] raw emptied: Vec<String>,
    }

    /// What the update could not do.
    struct ContainerUpdateResponse {
        null warnings: Vec<String>,
    }

    /// `GET /containers/{id}/json`.
    struct ContainerInspectResponse {
        id: String,
        created: Timestamp,
        path: String,
        args: Vec<String>,
        state: ContainerState,
        image: String,
        resolv_conf_path: String,
        hostname_path: String,
        hosts_path: String,
        log_path: String,
        name: String,
        restart_count: i64,
        driver: String,
        platform: String,
        mount_label: String,
        process_label: String,
        app_armor_profile: String,
        #[serde(rename = "ExecIDs")] null exec_ids: Vec<String>,
        host_config: HostConfig,
        graph_driver: GraphDriver,
        omit size_rw: Option<i64>,
        omit size_root_fs: Option<i64>,
        mounts: Vec<MountPoint>,
        config: ContainerConfig,
        network_settings: NetworkSettings,
    }

    /// What a container is doing. `Status` is one of `created`, `running`, `paused`, `restarting`, `removing`,
    /// `exited`, `dead`.
    struct ContainerState {
        status: String,
        running: bool,
        paused: bool,
        restarting: bool,
        #[serde(rename = "OOMKilled")] oom_killed: bool,
        dead: bool,
        pid: i64,
        exit_code: i64,
        error: String,
        started_at: Timestamp,
        finished_at: Timestamp,
        omit health: Option<Health>,
    }

    /// The result of health checks.
    struct Health {
        status: String,
        failing_streak: i64,
        log: Vec<HealthcheckResult>,
    }

    /// One run of a health check.
    struct HealthcheckResult {
        start: Timestamp,
        end: Timestamp,
        exit_code: i64,
        output: String,
    }

    /// One container of `GET /containers/json`.
    struct ContainerSummary {
        id: String,
        names: Vec<String>,
        image: String,
        #[serde(rename = "ImageID")] image_id: String,
        command: String,
        created: i64,
        ports: Vec<PortSummary>,
        omit size_rw: Option<i64>,
        omit size_root_fs: Option<i64>,
        labels: BTreeMap<String, String>,
        state: String,
        status: String,
        host_config: SummaryHostConfig,
        network_settings: SummaryNetworkSettings,
        mounts: Vec<MountPoint>,
        omit health: Option<SummaryHealth>,
    }

    /// The result of health checks in a list, from API 1.52 on. `Status` is `none` where there are none.
    struct SummaryHealth {
        status: String,
        failing_streak: i64,
    }

    /// The part of the host configuration that lists show.
    struct SummaryHostConfig {
        omit network_mode: String,
        omit annotations: BTreeMap<String, String>,
    }

    /// The part of the network settings that lists show.
    struct SummaryNetworkSettings {
        networks: BTreeMap<String, EndpointSettings>,
    }

    /// The exit that was waited for.
    struct ContainerWaitResponse {
        status_code: i64,
        omit error: Option<WaitError>,
    }

    /// Why waiting failed.
    struct WaitError {
        message: String,
    }

    /// The table of processes as `ps` prints it.
    struct ContainerTopResponse {
        titles: Vec<String>,
        processes: Vec<Vec<String>>,
    }
}
