//! What a container runs: the part of its configuration that is portable between hosts.

use std::collections::BTreeMap;

use crate::decode::{Empty, words};
use crate::macros::wire;

wire! {
    /// The portable configuration of a container.
    struct ContainerConfig {
        hostname: String,
        domainname: String,
        user: String,
        attach_stdin: bool,
        attach_stdout: bool,
        attach_stderr: bool,
        omit exposed_ports: BTreeMap<String, Empty>,
        tty: bool,
        open_stdin: bool,
        stdin_once: bool,
        env: Vec<String>,
        #[serde(deserialize_with = "words")] raw cmd: Option<Vec<String>>,
        omit healthcheck: Option<HealthConfig>,
        omit args_escaped: bool,
        image: String,
        null volumes: BTreeMap<String, Empty>,
        working_dir: String,
        #[serde(deserialize_with = "words")] raw entrypoint: Option<Vec<String>>,
        omit network_disabled: bool,
        omit mac_address: String,
        null on_build: Vec<String>,
        labels: BTreeMap<String, String>,
        omit stop_signal: String,
        omit stop_timeout: Option<i64>,
        omit shell: Vec<String>,
    }

    /// How to find out whether a container is healthy; durations in nanoseconds.
    struct HealthConfig {
        omit test: Vec<String>,
        omit interval: i64,
        omit timeout: i64,
        omit start_period: i64,
        omit start_interval: i64,
        omit retries: i64,
    }
}
