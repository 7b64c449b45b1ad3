//! `/volumes`: one method per endpoint.

use hull_wire::{Filters, Volume, VolumeCreateRequest, VolumeList, VolumesPruneReport};

use crate::Client;
use crate::containers::filtered;
use crate::error::Error;
use crate::request::Request;

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Lists volumes.
    pub fn volumes(&self, filters: &Filters) -> Result<VolumeList, Error> {
        self.call(filtered(Request::new("GET", &["volumes"]), filters))?.json()
    }

    /// Everything about one volume, as the engine sent it.
    pub fn volume_inspect_raw(&self, name: &str) -> Result<serde_json::Value, Error> {
        self.call(Request::new("GET", &["volumes", name]))?.json()
    }

    /// Makes a volume.
    pub fn volume_create(&self, request: &VolumeCreateRequest) -> Result<Volume, Error> {
        self.call_json(Request::new("POST", &["volumes", "create"]), request)?.json()
    }

    /// Removes a volume; with `force` also one that is not there.
    pub fn volume_remove(&self, name: &str, force: bool) -> Result<(), Error> {
        self.call(Request::new("DELETE", &["volumes", name]).flag("force", force))?.done()
    }

    /// Removes the volumes that no container uses.
    pub fn volume_prune(&self, filters: &Filters) -> Result<VolumesPruneReport, Error> {
        self.call(filtered(Request::new("POST", &["volumes", "prune"]), filters))?.json()
    }
}
