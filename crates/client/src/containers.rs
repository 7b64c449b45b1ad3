//! `/containers`: one method per endpoint. A container is named by name, id or unique prefix of its id.

use hull_wire::{
    ContainerCreateRequest, ContainerCreateResponse, ContainerInspectResponse, ContainerStats, ContainerSummary,
    ContainerTopResponse, ContainerUpdateRequest, ContainerUpdateResponse, ContainerWaitResponse,
    ContainersPruneReport, FilesystemChange, Filters,
};

use crate::Client;
use crate::error::Error;
use crate::request::{Answer, Request};
use crate::streams::{Hijacked, JsonStream, Logs};

/// Which containers to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Also those which do not run.
    pub all: bool,
    /// The newest ones only, running or not.
    pub limit: Option<u64>,
    /// Compute sizes.
    pub size: bool,
    /// Further conditions.
    pub filters: Filters,
}

/// How to remove a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Kill it if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Only the link of this name.
    pub link: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run; returns at once if so already.
    #[default]
    NotRunning,
    /// Its next exit.
    NextExit,
    /// It has been removed.
    Removed,
}

/// Which part of the logs.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on until the container stops.
    pub follow: bool,
    /// Put a time before each line.
    pub timestamps: bool,
    /// Put the log driver's extra attributes before each line.
    pub details: bool,
    /// From this time: seconds since 1970 with an optional fraction.
    pub since: Option<String>,
    /// To this time.
    pub until: Option<String>,
    /// The last lines only; `None` is all.
    pub tail: Option<u64>,
}

/// What to attach to.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// What comes from now on; without it, only what is there.
    pub stream: bool,
    /// What came before.
    pub logs: bool,
    /// Keys that detach, as `ctrl-p,ctrl-q`.
    pub detach_keys: Option<String>,
}

/// A wait that the engine has registered.
#[derive(Debug)]
pub struct Waiting<'c>(Answer<'c>);

impl Waiting<'_> {
    /// Blocks until it happens.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn done(self) -> Result<ContainerWaitResponse, Error> {
        self.0.json()
    }
}

fn post(id: &str, verb: &str) -> Request {
    Request::new("POST", &["containers", id, verb])
}

fn wait(id: &str, condition: WaitCondition) -> Request {
    let condition = match condition {
        WaitCondition::NotRunning => "not-running",
        WaitCondition::NextExit => "next-exit",
        WaitCondition::Removed => "removed",
    };
    post(id, "wait").query("condition", condition)
}

fn attach(id: &str, options: &AttachOptions) -> Request {
    post(id, "attach")
        .flag("stdin", options.stdin)
        .flag("stdout", options.stdout)
        .flag("stderr", options.stderr)
        .flag("stream", options.stream)
        .flag("logs", options.logs)
        .query_some("detachKeys", options.detach_keys.as_deref())
}

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Creates a container.
    pub fn container_create(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        body: &ContainerCreateRequest,
    ) -> Result<ContainerCreateResponse, Error> {
        let request = Request::new("POST", &["containers", "create"]);
        self.call_json(request.query_some("name", name).query_some("platform", platform), body)?.json()
    }

    /// Starts a container; [`hull_types::Kind::NotModified`] if it runs.
    pub fn container_start(&self, id: &str) -> Result<(), Error> {
        self.call(post(id, "start"))?.done()
    }

    /// Stops a container: the signal, and after `timeout` seconds the kill (negative: never).
    pub fn container_stop(&self, id: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<(), Error> {
        self.call(post(id, "stop").query_some("signal", signal).query_some("t", timeout))?.done()
    }

    /// Stops all that run because the engine is to end: their restart policies start them when the next one comes.
    pub fn stop_containers(&self) -> Result<(), Error> {
        self.call(Request::new("POST", &["hull", "containers", "stop"]))?.done()
    }

    /// Stops and starts a container.
    pub fn container_restart(&self, id: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<(), Error> {
        self.call(post(id, "restart").query_some("signal", signal).query_some("t", timeout))?.done()
    }

    /// Sends a signal; `None` is KILL.
    pub fn container_kill(&self, id: &str, signal: Option<&str>) -> Result<(), Error> {
        self.call(post(id, "kill").query_some("signal", signal))?.done()
    }

    /// Freezes a container.
    pub fn container_pause(&self, id: &str) -> Result<(), Error> {
        self.call(post(id, "pause"))?.done()
    }

    /// Thaws a container.
    pub fn container_unpause(&self, id: &str) -> Result<(), Error> {
        self.call(post(id, "unpause"))?.done()
    }

    /// Gives a container another name.
    pub fn container_rename(&self, id: &str, name: &str) -> Result<(), Error> {
        self.call(post(id, "rename").query("name", name))?.done()
    }

    /// Removes a container.
    pub fn container_remove(&self, id: &str, options: RemoveOptions) -> Result<(), Error> {
        let request = Request::new("DELETE", &["containers", id])
            .flag("force", options.force)
            .flag("v", options.volumes)
            .flag("link", options.link);
        self.call(request)?.done()
    }

    /// Changes limits and the restart policy.
    pub fn container_update(&self, id: &str, body: &ContainerUpdateRequest) -> Result<ContainerUpdateResponse, Error> {
        self.call_json(post(id, "update"), body)?.json()
    }

    /// Registers a wait; when this returns, no exit can be missed any more.
    pub fn container_wait(&self, id: &str, condition: WaitCondition) -> Result<Waiting<'_>, Error> {
        self.call(wait(id, condition)).map(Waiting)
    }

    /// Lists containers.
    pub fn containers(&self, options: &ListOptions) -> Result<Vec<ContainerSummary>, Error> {
        let request = Request::new("GET", &["containers", "json"])
            .flag("all", options.all)
            .flag("size", options.size)
            .query_some("limit", options.limit);
        self.call(filtered(request, &options.filters))?.json()
    }

    /// Everything about one container.
    pub fn container_inspect(&self, id: &str, size: bool) -> Result<ContainerInspectResponse, Error> {
        self.call(Request::new("GET", &["containers", id, "json"]).flag("size", size))?.json()
    }

    /// The same as the engine sent it, for `--format`.
    pub fn container_inspect_raw(&self, id: &str, size: bool) -> Result<serde_json::Value, Error> {
        self.call(Request::new("GET", &["containers", id, "json"]).flag("size", size))?.json()
    }

    /// The processes of a container.
    pub fn container_top(&self, id: &str, ps_args: Option<&str>) -> Result<ContainerTopResponse, Error> {
        self.call(Request::new("GET", &["containers", id, "top"]).query_some("ps_args", ps_args))?.json()
    }

    /// Sets the size of a container's terminal.
    pub fn container_resize(&self, id: &str, height: u16, width: u16) -> Result<(), Error> {
        self.call(post(id, "resize").query("h", height.to_string()).query("w", width.to_string()))?.done()
    }

    /// Reads a container's logs.
    pub fn container_logs(&self, id: &str, options: &LogOptions) -> Result<Logs<'_>, Error> {
        let request = Request::new("GET", &["containers", id, "logs"])
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .flag("follow", options.follow)
            .flag("timestamps", options.timestamps)
            .flag("details", options.details)
            .query_some("since", options.since.as_deref())
            .query_some("until", options.until.as_deref())
            .query_some("tail", options.tail);
        self.call(request).map(Logs::new)
    }

    /// Attaches to a container's standard streams.
    pub fn container_attach(&self, id: &str, options: &AttachOptions) -> Result<Hijacked, Error> {
        let (conn, head) = self.hijack(attach(id, options), None::<&()>)?;
        Ok(Hijacked::new(conn, &head))
    }

    /// [`Client::container_attach`] and [`Client::container_wait`] at once.
    pub fn container_attach_and_wait(
        &self,
        id: &str,
        options: &AttachOptions,
        condition: WaitCondition,
    ) -> Result<(Hijacked, Waiting<'_>), Error> {
        let ((conn, head), waiting) = self.hijack_and_call(attach(id, options), wait(id, condition))?;
        Ok((Hijacked::new(conn, &head), Waiting(waiting)))
    }

    /// Samples of a container's use of resources: a stream, or one with (`one_shot`: without) a comparison.
    pub fn container_stats(
        &self,
        id: &str,
        stream: bool,
        one_shot: bool,
    ) -> Result<JsonStream<'_, ContainerStats>, Error> {
        let request = Request::new("GET", &["containers", id, "stats"])
            .query("stream", if stream { "1" } else { "0" })
            .flag("one-shot", one_shot);
        self.call(request).map(JsonStream::new)
    }

    /// What the container changed in its root file system.
    pub fn container_changes(&self, name: &str) -> Result<Vec<FilesystemChange>, Error> {
        let changes: Option<_> = self.call(Request::new("GET", &["containers", name, "changes"]))?.json()?;
        Ok(changes.unwrap_or_default())
    }

    /// An archive of everything that the container sees.
    pub fn container_export(&self, name: &str) -> Result<impl std::io::Read + '_, Error> {
        Ok(self.call(Request::new("GET", &["containers", name, "export"]))?.body)
    }

    /// Removes the containers that do not run.
    pub fn container_prune(&self, filters: &Filters) -> Result<ContainersPruneReport, Error> {
        self.call(filtered(Request::new("POST", &["containers", "prune"]), filters))?.json()
    }
}

/// Adds filters if there are any.
pub(crate) fn filtered(request: Request, filters: &Filters) -> Request {
    if filters.is_empty() { request } else { request.query("filters", filters.to_json()) }
}
