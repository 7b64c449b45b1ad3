//! `/exec`: further processes in a running container.

use hull_wire::{ExecConfig, ExecInspect, ExecStartConfig, IdResponse};

use crate::Client;
use crate::error::Error;
use crate::request::Request;
use crate::streams::Hijacked;

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Prepares a process in a container.
    pub fn exec_create(&self, container: &str, body: &ExecConfig) -> Result<IdResponse, Error> {
        self.call_json(Request::new("POST", &["containers", container, "exec"]), body)?.json()
    }

    /// Starts it and attaches to its standard streams.
    pub fn exec_start(&self, id: &str, body: &ExecStartConfig) -> Result<Hijacked, Error> {
        let body = ExecStartConfig { detach: false, ..body.clone() };
        let (conn, head) = self.hijack(Request::new("POST", &["exec", id, "start"]), Some(&body))?;
        Ok(Hijacked::new(conn, &head))
    }

    /// Starts it in the background.
    pub fn exec_start_detached(&self, id: &str, tty: bool) -> Result<(), Error> {
        let body = ExecStartConfig { detach: true, tty, console_size: None };
        self.call_json(Request::new("POST", &["exec", id, "start"]), &body)?.done()
    }

    /// Sets the size of its terminal.
    pub fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<(), Error> {
        let request = Request::new("POST", &["exec", id, "resize"]);
        self.call(request.query("h", height.to_string()).query("w", width.to_string()))?.done()
    }

    /// What it does, and its exit code.
    pub fn exec_inspect(&self, id: &str) -> Result<ExecInspect, Error> {
        self.call(Request::new("GET", &["exec", id, "json"]))?.json()
    }
}
