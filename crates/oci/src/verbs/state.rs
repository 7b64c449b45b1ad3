//! `state ID`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::{Globals, Words, say};
use crate::container::{Container, Status};
use crate::error::Result;

/// As runc prints it, also in `list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub oci_version: String,
    pub id: String,
    pub pid: i32,
    pub status: Status,
    pub bundle: String,
    pub rootfs: String,
    pub created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub owner: String,
}

impl Shown {
    /// Of a container as it is now.
    pub fn of(container: Container) -> Self {
        let status = container.status();
        let state = container.state;
        Self {
            oci_version: state.oci_version,
            id: state.id,
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status,
            bundle: state.bundle.to_string_lossy().into_owned(),
            rootfs: state.rootfs.to_string_lossy().into_owned(),
            created: state.created,
            annotations: state.annotations,
            owner: String::new(),
        }
    }
}

/// Prints it.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let shown = Shown::of(Container::find(globals, words.id("state")?)?);
    say(&format!("{}\n", serde_json::to_string_pretty(&shown).unwrap_or_default()))?;
    Ok(0)
}
