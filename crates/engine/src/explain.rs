//! `explain`: what a running container is, read from the kernel now, beside what was asked for; of one that does not run,
//! what was asked for.
//!
//! Owns how facts are read and set beside their cause; changes nothing, enters nothing, and asks no process. One file for
//! each part of the boundary.

mod asked;
mod confinement;
mod limits;
mod namespaces;
mod network;
mod process;
mod rootfs;
mod status;

use hull_types::Fault;
use hull_wire as wire;

use crate::container::{Container, View};
use crate::core::{Core, blocking};
use status::Status;

/// What every part looks at.
struct Subject<'a> {
    core: &'a Core,
    view: &'a View,
    /// PID 1 on the host.
    pid: i32,
    /// Its `/proc/PID/status`.
    status: Status,
    /// The processes of its cgroup, on the host.
    pids: Vec<i32>,
}

/// `GET /hull/containers/{id}/explain`. Of each name in `syscalls` the seccomp filter's verdict is told.
pub(crate) fn explain(core: &Core, container: &Container, syscalls: &[String]) -> Result<wire::Explanation, Fault> {
    let view = container.view();
    let Some(live) = container.live() else { return blocking(|| asked::explain(core, &view, syscalls)) };
    blocking(|| {
        let gone = || Fault::conflict(format!("container {} ended meanwhile", view.name()));
        let status = Status::read(live.pid).ok_or_else(gone)?;
        let pids = core.cgroup(&view)?.pids()?;
        let subject = Subject { core, view: &view, pid: live.pid, status, pids };
        let explanation = wire::Explanation {
            id: view.definition.id.to_string(),
            name: view.name().to_string(),
            image: view.definition.config.image.clone(),
            status: view.state.phase.status().into(),
            process: process::explain(&subject),
            namespaces: namespaces::explain(&subject),
            limits: limits::explain(&subject)?,
            root_filesystem: rootfs::explain(&subject),
            confinement: confinement::explain(&subject, syscalls)?,
            network: network::explain(&subject)?,
        };
        // ORDER: a process that has ended since has shown nothing, or another's facts under its number.
        if container.live().is_none_or(|now| now.pid != live.pid) {
            return Err(gone());
        }
        Ok(explanation)
    })
}

fn fact(name: &str, now: impl Into<String>, asked: impl Into<String>, by: &str) -> wire::ExplainedFact {
    wire::ExplainedFact { name: name.into(), now: now.into(), asked: asked.into(), by: by.into() }
}
