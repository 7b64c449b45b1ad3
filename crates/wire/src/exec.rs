//! Further processes in a running container.

use crate::macros::wire;

wire! {
    /// `POST /containers/{id}/exec`.
    struct ExecConfig {
        user: String,
        privileged: bool,
        tty: bool,
        omit console_size: Option<[u32; 2]>,
        attach_stdin: bool,
        attach_stderr: bool,
        attach_stdout: bool,
        omit detach: bool,
        detach_keys: String,
        null env: Vec<String>,
        working_dir: String,
        cmd: Vec<String>,
    }

    /// `POST /exec/{id}/start`.
    struct ExecStartConfig {
        detach: bool,
        tty: bool,
        omit console_size: Option<[u32; 2]>,
    }

    /// `GET /exec/{id}/json`.
    struct ExecInspect {
        #[serde(rename = "ID")] id: String,
        running: bool,
        exit_code: Option<i64>,
        process_config: ExecProcessConfig,
        open_stdin: bool,
        open_stderr: bool,
        open_stdout: bool,
        can_remove: bool,
        #[serde(rename = "ContainerID")] container_id: String,
        detach_keys: String,
        pid: i64,
    }

    /// What an exec runs. Its members are in lower case.
    #[serde(rename_all = "lowercase")]
    struct ExecProcessConfig {
        tty: bool,
        entrypoint: String,
        arguments: Vec<String>,
        omit privileged: Option<bool>,
        omit user: String,
    }

    /// Just an id.
    struct IdResponse {
        id: String,
    }
}
