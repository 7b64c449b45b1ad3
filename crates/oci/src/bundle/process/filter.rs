//! `linux.seccomp`, compiled; and where its listener is to be sent.

use std::path::PathBuf;
use std::sync::Arc;

use hull_confine::caps::CapSet;
use hull_confine::seccomp::{self, Arch, Kernel, Profile, Program, Target};
use serde::Deserialize;

use super::capabilities;
use crate::config::Process;
use crate::error::{Error, Result};

/// A filter.
#[derive(Debug)]
pub struct Filter {
    /// The program.
    pub program: Arc<Program>,
    /// Who answers what it asks.
    pub listener: Option<Listener>,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The socket.
    pub path: PathBuf,
    /// What it is told, as it is.
    pub metadata: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Notify {
    listener_path: String,
    listener_metadata: String,
}

/// Compiles it for this machine.
pub fn seccomp(text: &str, process: &Process) -> Result<Option<Filter>> {
    let invalid = |error: &dyn std::fmt::Display| Error::invalid("linux.seccomp", error);
    let notify: Notify = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    let profile = Profile::parse_bundle(text).map_err(|error| invalid(&error))?;
    let uname = rustix::system::uname();
    let kernel: Kernel = uname.release().to_string_lossy().parse().map_err(|error| invalid(&error))?;
    let caps = CapSet(capabilities(process.capabilities.as_ref()).bounding);
    let target = Target { arch: Arch::NATIVE, caps, kernel };
    let program = seccomp::compile(&profile, &target).map_err(|error| invalid(&error))?;
    let listener = if profile.asks() {
        if notify.listener_path.is_empty() {
            return Err(Error::invalid("linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY needs a listener"));
        }
        Some(Listener { path: notify.listener_path.into(), metadata: notify.listener_metadata })
    } else {
        None
    };
    Ok(Some(Filter { program: Arc::new(program), listener }))
}
