//! The façade's operations on networks.

use hull_wire as wire;

use super::{Engine, Result};
use crate::networks;
use crate::options::Told;

impl Engine {
    /// `GET /networks`.
    pub fn network_list(&self, filters: &wire::Filters) -> Result<Vec<wire::NetworkResource>> {
        networks::show::list(&self.core, filters)
    }

    /// `GET /networks/{id}`.
    pub fn network_inspect(&self, who: &str) -> Result<wire::NetworkResource> {
        networks::show::inspect(&self.core, who)
    }

    /// `POST /networks/create`.
    pub async fn network_create(&self, request: wire::NetworkCreateRequest) -> Result<wire::NetworkCreateResponse> {
        networks::change::create(&self.core, &request)
    }

    /// `DELETE /networks/{id}`.
    pub async fn network_remove(&self, who: &str) -> Result<()> {
        networks::change::remove(&self.core, who)
    }

    /// `POST /networks/{id}/connect`.
    pub async fn network_connect(&self, who: &str, request: &wire::NetworkConnectRequest) -> Result<()> {
        networks::change::connect(&self.core, who, request).await
    }

    /// `POST /networks/{id}/disconnect`. `Force` changes nothing: leaving never depends on the container.
    pub async fn network_disconnect(&self, who: &str, request: &wire::NetworkDisconnectRequest) -> Result<()> {
        networks::change::disconnect(&self.core, who, request).await
    }

    /// `POST /networks/prune`.
    pub async fn network_prune(&self, filters: &wire::Filters, told: Told) -> Result<wire::NetworksPruneReport> {
        networks::change::prune(&self.core, filters, &told)
    }

    /// `GET /hull/trace/{container}`, which is hull's own: the way of a packet to `port` of a container, or to all of them.
    pub fn network_trace(&self, who: &str, port: &str) -> Result<wire::NetworkTrace> {
        networks::trace::trace(&self.core, &*self.container(who)?, port)
    }
}
