//! `/networks`: one method per endpoint. A network is named by its name, id or unique prefix of its id.

use hull_wire::{
    Filters, NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest,
    NetworkResource, NetworkTrace, NetworksPruneReport,
};

use crate::Client;
use crate::containers::filtered;
use crate::error::Error;
use crate::request::Request;

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Lists networks.
    pub fn networks(&self, filters: &Filters) -> Result<Vec<NetworkResource>, Error> {
        self.call(filtered(Request::new("GET", &["networks"]), filters))?.json()
    }

    /// Everything about one network, as the engine sent it.
    pub fn network_inspect_raw(&self, who: &str) -> Result<serde_json::Value, Error> {
        self.call(Request::new("GET", &["networks", who]))?.json()
    }

    /// Makes a network.
    pub fn network_create(&self, request: &NetworkCreateRequest) -> Result<NetworkCreateResponse, Error> {
        self.call_json(Request::new("POST", &["networks", "create"]), request)?.json()
    }

    /// Has a container join a network.
    pub fn network_connect(&self, who: &str, request: &NetworkConnectRequest) -> Result<(), Error> {
        self.call_json(Request::new("POST", &["networks", who, "connect"]), request)?.done()
    }

    /// Has a container leave a network.
    pub fn network_disconnect(&self, who: &str, request: &NetworkDisconnectRequest) -> Result<(), Error> {
        self.call_json(Request::new("POST", &["networks", who, "disconnect"]), request)?.done()
    }

    /// Removes a network.
    pub fn network_remove(&self, who: &str) -> Result<(), Error> {
        self.call(Request::new("DELETE", &["networks", who]))?.done()
    }

    /// Removes the networks that no container names.
    pub fn network_prune(&self, filters: &Filters) -> Result<NetworksPruneReport, Error> {
        self.call(filtered(Request::new("POST", &["networks", "prune"]), filters))?.json()
    }

    /// The way of a packet to a container's port, or to all of them (`""`).
    pub fn network_trace(&self, who: &str, port: &str) -> Result<NetworkTrace, Error> {
        let request = Request::new("GET", &["hull", "trace", who]);
        self.call(if port.is_empty() { request } else { request.query("port", port) })?.json()
    }
}
