//! The operations of `/images`, and of their registries.

use std::io::Read;

use futures_util::stream::BoxStream;
use hull_types::{ImageRef, Platform};
use hull_wire as wire;

use super::{Engine, Result};
use crate::download::Download;
use crate::options::{ImportOptions, Told};
use crate::transfer::{PullOptions, PushOptions};
use crate::{images, prune, transfer};

impl Engine {
    /// `GET /images/json`. `all` changes nothing: hull keeps no intermediate images.
    pub fn image_list(&self, filters: &wire::Filters, _all: bool) -> Result<Vec<wire::ImageSummary>> {
        images::list(&self.core, filters)
    }

    /// `GET /images/{name}/json`.
    pub fn image_inspect(&self, name: &str) -> Result<wire::ImageInspect> {
        images::inspect(&self.core, name)
    }

    /// Refuses platforms that an image is not for; without any the image need not even be there.
    ///
    /// # Errors
    /// [`hull_types::Kind::NotFound`].
    pub fn image_platforms(&self, name: &str, wanted: &[Platform]) -> Result<()> {
        images::check_platforms(&self.core, name, wanted)
    }

    /// `GET /images/{name}/history`.
    pub fn image_history(&self, name: &str) -> Result<Vec<wire::HistoryItem>> {
        images::history(&self.core, name)
    }

    /// `DELETE /images/{name}`. `noprune` changes nothing: hull keeps no untagged parents.
    pub async fn image_remove(&self, name: &str, force: bool, _noprune: bool) -> Result<Vec<wire::ImageDeleteItem>> {
        images::remove(&self.core, name, force)
    }

    /// `POST /images/{name}/tag`: `repo` with `tag`, which may be empty.
    pub async fn image_tag(&self, name: &str, repo: &str, tag: &str) -> Result<()> {
        images::tag(&self.core, name, repo, tag)
    }

    /// `POST /images/load`: `archive` is read on a thread that may block. The stream ends with the work;
    /// a message with `error` set says that it failed.
    pub fn image_load(&self, archive: impl Read + Send + 'static) -> BoxStream<'static, wire::JsonMessage> {
        images::load(&self.core, archive)
    }

    /// `POST /images/create?fromSrc=…`: as [`Engine::image_load`], for one root file system.
    pub fn image_import(
        &self,
        options: ImportOptions,
        archive: impl Read + Send + 'static,
    ) -> BoxStream<'static, wire::JsonMessage> {
        images::import(&self.core, options, archive)
    }

    /// `GET /images/get`, `GET /images/{name}/get`.
    pub async fn image_save(&self, names: &[String]) -> Result<Download> {
        images::save(&self.core, names)
    }

    /// `POST /images/prune`.
    pub async fn image_prune(&self, filters: &wire::Filters, told: Told) -> Result<wire::ImagesPruneReport> {
        prune::images(&self.core, filters, told).await
    }

    /// `POST /images/check`, which is hull's own: reads every blob and layer.
    pub async fn image_check(&self, repair: bool) -> Result<wire::ImagesCheckReport> {
        prune::check(&self.core, repair).await
    }

    /// `POST /images/create?fromImage=…`: the pull goes on as long as the stream is read.
    pub fn image_pull(&self, options: PullOptions) -> Result<BoxStream<'static, wire::JsonMessage>> {
        transfer::pull(&self.core, options)
    }

    /// `POST /images/{name}/push`: the push goes on as long as the stream is read.
    pub fn image_push(&self, options: PushOptions) -> Result<BoxStream<'static, wire::JsonMessage>> {
        transfer::push(&self.core, options)
    }

    /// `GET /images/search`; `auth` is docker's `X-Registry-Auth`.
    pub async fn image_search(&self, term: &str, limit: Option<u64>, auth: &str) -> Result<Vec<wire::SearchResult>> {
        transfer::search(&self.core, term, limit, auth).await
    }

    /// `POST /auth`: docker's AuthConfig, as it came.
    pub async fn login(&self, document: &[u8]) -> Result<wire::AuthResponse> {
        transfer::login(&self.core, document).await
    }

    /// `GET /distribution/{name}/json`.
    pub async fn distribution(&self, reference: &ImageRef, auth: &str) -> Result<wire::DistributionInspect> {
        transfer::distribution(&self.core, reference, auth).await
    }

    /// The manifest or index that a name means at its registry, as it came.
    pub async fn manifest(&self, reference: &ImageRef, auth: &str) -> Result<Vec<u8>> {
        transfer::manifest(&self.core, reference, auth).await
    }
}
