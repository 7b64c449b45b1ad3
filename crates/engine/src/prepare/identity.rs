//! Whom a process runs as: the wish resolved against the root file system's passwd and group files.

use std::os::fd::BorrowedFd;

use hull_confine::identity;
use hull_launch::compile::Who;
use hull_launch::spec::Process;
use hull_types::Fault;

use super::files;

/// Reads the files beneath `root`, never the host's.
pub(crate) fn resolve(root: BorrowedFd<'_>, process: &Process) -> Result<Who, Fault> {
    let passwd = files::read_beneath(root, "/etc/passwd")?;
    let group = files::read_beneath(root, "/etc/group")?;
    let found = identity::resolve(&process.user, &passwd, &group, &process.groups)?;
    Ok(Who { uid: found.uid, gid: found.gid, groups: found.groups, home: found.home.to_string_lossy().into_owned() })
}
