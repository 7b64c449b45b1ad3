//! The operations of `/containers/{id}/archive`.

use std::io::Read;

use hull_wire::PathStat;

use crate::copy::{self, CopyInto};
use crate::download::Download;

use super::{Engine, Result};

impl Engine {
    /// `HEAD /containers/{id}/archive`.
    pub fn archive_stat(&self, who: &str, path: &str) -> Result<PathStat> {
        copy::stat(&self.core, who, path)
    }

    /// `GET /containers/{id}/archive`.
    pub fn archive_read(&self, who: &str, path: &str) -> Result<(PathStat, Download)> {
        copy::read(&self.core, who, path)
    }

    /// `PUT /containers/{id}/archive`.
    pub async fn archive_write(&self, who: &str, asked: CopyInto, archive: impl Read + Send + 'static) -> Result<()> {
        copy::write(&self.core, who, asked, archive).await
    }
}
