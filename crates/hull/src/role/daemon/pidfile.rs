//! dockerd's pid file: one that a living process has is not taken.

use std::path::Path;

use hull_types::{Fault, Kind};

/// Writes this process's pid, which the keeper inherits.
pub(super) fn write(path: &Path) -> Result<(), Fault> {
    let own = std::process::id();
    let former = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(pid) = former.filter(|pid| *pid != own && Path::new("/proc").join(pid.to_string()).exists()) {
        // COMPAT(docker 28): its words.
        let what = format!("failed to start daemon, ensure docker is not running or delete {}", path.display());
        return Err(Fault::conflict(what).cause(format!("process with PID {pid} is still running")));
    }
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written.and_then(|()| std::fs::write(path, own.to_string())).map_err(|error| {
        Fault::new(Kind::Unavailable, format!("cannot write the pid file {}", path.display())).cause(error)
    })
}

/// Takes it away, if it was written.
pub(super) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
