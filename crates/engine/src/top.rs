//! `top`: the processes of a container's cgroup as `ps` prints them, read from the host's `/proc`.
//!
//! Nothing of the container is executed, and no `ps` of the host either.

mod columns;
pub(crate) mod process;

use std::collections::BTreeMap;

use hull_types::Fault;
use hull_wire as wire;

use crate::container::Container;
use crate::core::{Core, blocking, running};
use columns::Column;
use process::{Host, Process};

/// The session of a process that has not ended.
pub(crate) fn session(pid: i32) -> Option<i32> {
    let process = process::read(pid)?;
    (!matches!(process.state, 'Z' | 'X')).then_some(process.sid)
}

/// `GET /containers/{id}/top`.
pub(crate) fn top(core: &Core, container: &Container, ps_args: &str) -> Result<wire::ContainerTopResponse, Fault> {
    let columns = columns::parse(ps_args)?;
    running(container)?;
    let view = container.view();
    let cgroup = core.cgroup(&view)?;
    let (host, processes) = blocking(|| {
        let pids = cgroup.pids()?;
        let host = Host::read();
        let mut processes: BTreeMap<i32, Process> = BTreeMap::new();
        for pid in pids {
            // Gone since: it is left out.
            if let Some(process) = process::read(pid) {
                processes.insert(pid, process);
            }
        }
        Ok::<_, Fault>((host, processes))
    })?;
    Ok(wire::ContainerTopResponse {
        titles: columns.iter().map(Column::title).collect(),
        processes: processes
            .values()
            .map(|process| columns.iter().map(|column| column.value(process, &host)).collect())
            .collect(),
    })
}
