//! What goes to and comes from registries. `auth` is docker's `X-Registry-Auth`: base64, or empty.

use hull_wire::{AuthResponse, Filters, JsonMessage, SearchResult};

use crate::Client;
use crate::containers::filtered;
use crate::error::Error;
use crate::request::Request;
use crate::streams::JsonStream;

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Pulls `repository` with this tag or digest.
    pub fn image_pull(
        &self,
        repository: &str,
        tag: &str,
        platform: Option<&str>,
        auth: &str,
    ) -> Result<JsonStream<'_, JsonMessage>, Error> {
        let request = Request::new("POST", &["images", "create"]).query("fromImage", repository).query("tag", tag);
        self.call(request.query_some("platform", platform).registry_auth(auth)).map(JsonStream::new)
    }

    /// Pushes a repository's tag; all its tags without one.
    pub fn image_push(
        &self,
        repository: &str,
        tag: Option<&str>,
        auth: &str,
    ) -> Result<JsonStream<'_, JsonMessage>, Error> {
        let mut segments = vec!["images"];
        segments.extend(repository.split('/'));
        segments.push("push");
        let request = Request::new("POST", &segments).query_some("tag", tag).registry_auth(auth);
        self.call(request).map(JsonStream::new)
    }

    /// Searches a registry.
    pub fn image_search(
        &self,
        term: &str,
        limit: Option<u64>,
        filters: &Filters,
        auth: &str,
    ) -> Result<Vec<SearchResult>, Error> {
        let request = Request::new("GET", &["images", "search"]).query("term", term).query_some("limit", limit);
        self.call(filtered(request, filters).registry_auth(auth))?.json()
    }

    /// Checks docker's AuthConfig with the registry that it names.
    pub fn login(&self, config: &serde_json::Value) -> Result<AuthResponse, Error> {
        self.call_json(Request::new("POST", &["auth"]), config)?.json()
    }

    /// The manifest or index that a name means at its registry.
    pub fn manifest(&self, name: &str, auth: &str) -> Result<serde_json::Value, Error> {
        let mut segments = vec!["distribution"];
        segments.extend(name.split('/'));
        segments.push("json");
        self.call(Request::new("GET", &segments).query("document", "1").registry_auth(auth))?.json()
    }
}
