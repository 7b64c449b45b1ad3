//! The operations of `/volumes`.

use hull_wire as wire;

use super::{Engine, Result};
use crate::options::Told;
use crate::volumes;

impl Engine {
    /// `GET /volumes`.
    pub fn volume_list(&self, filters: &wire::Filters) -> Result<wire::VolumeList> {
        volumes::list(&self.core, filters)
    }

    /// `GET /volumes/{name}`.
    pub fn volume_inspect(&self, name: &str) -> Result<wire::Volume> {
        volumes::inspect(&self.core, name)
    }

    /// `POST /volumes/create`.
    pub fn volume_create(&self, request: &wire::VolumeCreateRequest) -> Result<wire::Volume> {
        volumes::create(&self.core, request)
    }

    /// `DELETE /volumes/{name}`.
    pub fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        volumes::remove(&self.core, name, force)
    }

    /// `POST /volumes/prune`. `all`: also those with a name, unless the filter says otherwise.
    pub fn volume_prune(&self, filters: &wire::Filters, all: bool, told: Told) -> Result<wire::VolumesPruneReport> {
        volumes::prune(&self.core, filters, all, &told)
    }
}
