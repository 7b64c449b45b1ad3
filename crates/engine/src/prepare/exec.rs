//! [`exec`]: the facts of one more process in a running container, and its plan.

use std::os::fd::AsFd;

use hull_launch::compile::{self, ExecFacts};
use hull_launch::plan::Namespaces;
use hull_launch::spec::{NamespaceWish, NamespaceWishes, Userns};
use hull_types::Fault;

use super::fds::Fds;
use super::peer::root_of;
use super::start::filter;
use super::{ExecInput, Parts, Prepared, cgroup, identity};

/// Gathers everything for an exec and compiles its plan. Makes nothing that would have to be undone.
///
/// # Errors
/// What is missing or refused, in a sentence.
pub fn exec(parts: &Parts, input: ExecInput<'_>) -> Result<Prepared, Fault> {
    let process = &input.exec.process;
    let mut fds = Fds::default();
    let root = root_of(input.pid)?;
    // ORDER: the number may have been given to another process; the descriptor never is. While that
    // one lives, the root just opened is the container's.
    if hull_sys::pidfd::has_exited(&input.pidfd)? {
        let short = input.container.short();
        return Err(Fault::conflict(format!("container {short} is not running")));
    }
    let who = identity::resolve(root.as_fd(), process)?;
    let group = cgroup::open(parts, input.container, input.spec)?;
    let facts = ExecFacts {
        key: input.key.to_owned(),
        who,
        target: fds.push(input.pidfd)?,
        namespaces: differing(&input.spec.namespaces),
        own_pid: input.spec.namespaces.pid != NamespaceWish::Host,
        cgroup: Some(cgroup::join(&group, &mut fds)?),
        streams: fds.streams(input.io)?,
        seccomp: filter(parts, process)?,
        apparmor: parts.host.lsm.apparmor,
        selinux: parts.host.lsm.selinux,
    };
    let compiled = compile::compile_exec(input.exec, &facts)?;
    Ok(Prepared { plan: compiled.plan, fds: fds.into_vec(), warnings: Vec::new() })
}

/// The namespaces in which the container differs from the host: entering the host's own again would
/// be refused (user) or needless.
fn differing(wish: &NamespaceWishes) -> Namespaces {
    [
        (wish.uts != NamespaceWish::Host, Namespaces::UTS),
        (wish.ipc != NamespaceWish::Host, Namespaces::IPC),
        (wish.net != NamespaceWish::Host, Namespaces::NETWORK),
        (wish.cgroup != NamespaceWish::Host, Namespaces::CGROUP),
        (wish.time != NamespaceWish::Host, Namespaces::TIME),
        (wish.user != Userns::Host, Namespaces::USER),
    ]
    .into_iter()
    .filter(|(differs, _)| *differs)
    .fold(Namespaces::MOUNT, |set, (_, one)| set.and(one))
}
