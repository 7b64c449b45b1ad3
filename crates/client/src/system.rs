//! The engine itself: ping, info, version, events.

use hull_wire::{DiskUsage, EventMessage, Filters, SystemInfo, SystemVersion};

use crate::Client;
use crate::containers::filtered;
use crate::error::Error;
use crate::request::Request;
use crate::streams::JsonStream;

/// What `_ping` says of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The newest API version that it answers.
    pub api_version: String,
    /// Its product and version.
    pub server: String,
}

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Whether it answers.
    pub fn ping(&self) -> Result<Ping, Error> {
        let answer = self.call(Request::new("GET", &["_ping"]))?;
        let ping = Ping { api_version: answer.head.api_version.clone(), server: answer.head.server.clone() };
        answer.done().map(|()| ping)
    }

    /// The engine, the host and what they support.
    pub fn info(&self) -> Result<SystemInfo, Error> {
        self.call(Request::new("GET", &["info"]))?.json()
    }

    /// The versions.
    pub fn version(&self) -> Result<SystemVersion, Error> {
        self.call(Request::new("GET", &["version"]))?.json()
    }

    /// What takes how much of the disk.
    pub fn disk_usage(&self) -> Result<DiskUsage, Error> {
        self.call(Request::new("GET", &["system", "df"]))?.json()
    }

    /// What happens, from `since` (or now) until `until` (or for ever); times are seconds since 1970 with an
    /// optional fraction.
    pub fn events(
        &self,
        since: Option<&str>,
        until: Option<&str>,
        filters: &Filters,
    ) -> Result<JsonStream<'_, EventMessage>, Error> {
        let request = Request::new("GET", &["events"]).query_some("since", since).query_some("until", until);
        self.call(filtered(request, filters)).map(JsonStream::new)
    }
}
