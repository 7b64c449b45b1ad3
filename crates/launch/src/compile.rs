//! The compiler: from a [`Spec`] and [`Facts`] to a [`LaunchPlan`]. Pure: no I/O, no clock, no fd.
//!
//! The order of the steps is the safety of the boundary. In one line: cgroup → namespaces → root and
//! mounts → read-only and masked paths → streams → pivot → limits → identity, capabilities and
//! seccomp → exec. Each place where the order matters says why after `ORDER:`.

mod binary;
mod bits;
mod bundle;
mod confinement;
mod entry;
mod error;
mod exec;
mod explain;
mod facts;
mod mounts;
mod rootfs;
mod words;

pub use bundle::{BundleExecFacts, BundleFacts, compile_bundle, compile_bundle_exec};
pub use error::Error;
pub use exec::DEFAULT_PATH;
pub use explain::{errno_text, explain_failure, host_architecture};
pub use facts::{
    CgroupJoin, CgroupMount, DeviceFact, EtcFile, ExecFacts, Facts, Joined, MountFact, Mqueue, Streams, Who,
};
pub use words::{clone_words, part, words};

use crate::plan::{Attrs, LaunchPlan, Step};
use crate::spec::{ExecSpec, MountKind, Spec};

/// What compiling gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The plan for the keeper.
    pub plan: LaunchPlan,
}

/// Compiles the start of a container.
///
/// # Errors
/// A NUL byte in a command or variable, or facts that do not fit the spec.
pub fn compile(spec: &Spec, facts: &Facts) -> Result<Compiled, Error> {
    facts_fit(spec, facts)?;
    let own_uts = entry::is_new(&spec.namespaces.uts, facts.joined.uts);
    let entry = entry::start(&entry::Stand {
        process: &spec.process,
        namespaces: &spec.namespaces,
        joined: &facts.joined,
        cgroup: facts.cgroup.as_ref(),
        hostname: own_uts.then_some(&*spec.hostname),
        domainname: spec.domainname.as_deref().filter(|_| own_uts),
        sysctls: &spec.sysctls,
        keyring: entry::Keyring::Own,
        hold: false,
    });
    let mut steps = entry.steps;
    steps.push(Step::AttachRoot { mount: facts.root, attrs: Attrs::default() });
    rootfs::base_mounts(spec, facts, &mut steps);
    mounts::user_mounts(spec, facts, &mut steps);
    rootfs::hidden_paths(&spec.readonly_paths, &spec.masked_paths, &mut steps);
    streams(facts.streams, !mounts::covers_dev(spec), facts.who.uid, &mut steps);
    // ORDER: the host's tree is out of reach from here on.
    steps.push(Step::PivotRoot);
    // ORDER: made while the root may still be written.
    steps.push(Step::Workdir { path: spec.process.cwd.clone(), create: true });
    rootfs::seal(spec.readonly_root, &mut steps);
    let who = confinement::Confined {
        process: &spec.process,
        who: &facts.who,
        seccomp: facts.seccomp.as_deref(),
        apparmor: facts.apparmor,
        selinux: facts.selinux,
        capabilities: confinement::docker_capabilities(spec.process.capabilities, facts.who.uid),
        listener: false,
    };
    confinement::steps(&who, &mut steps);
    if spec.init {
        steps.push(Step::Init);
    }
    let exec = exec::command(&spec.process, &facts.who)?;
    let key = facts.key.clone();
    Ok(Compiled { plan: LaunchPlan { key, clone: entry.clone, steps, exec } })
}

/// Compiles a further process in a running container.
///
/// # Errors
/// A NUL byte in a command or variable.
pub fn compile_exec(spec: &ExecSpec, facts: &ExecFacts) -> Result<Compiled, Error> {
    let entry = entry::join(&spec.process, facts, entry::Keyring::Own);
    let mut steps = entry.steps;
    streams(facts.streams, false, facts.who.uid, &mut steps);
    steps.push(Step::Workdir { path: spec.process.cwd.clone(), create: false });
    let who = confinement::Confined {
        process: &spec.process,
        who: &facts.who,
        seccomp: facts.seccomp.as_deref(),
        apparmor: facts.apparmor,
        selinux: facts.selinux,
        capabilities: confinement::docker_capabilities(spec.process.capabilities, facts.who.uid),
        listener: false,
    };
    confinement::steps(&who, &mut steps);
    let exec = exec::command(&spec.process, &facts.who)?;
    let key = facts.key.clone();
    Ok(Compiled { plan: LaunchPlan { key, clone: entry.clone, steps, exec } })
}

/// A session of its own with its three streams.
fn streams(streams: Streams, console: bool, owner: u32, steps: &mut Vec<Step>) {
    match streams {
        // ORDER: a terminal needs the container's devpts, hence after the mounts; its session is
        // made by the step itself.
        Streams::Terminal { rows, columns } => {
            steps.push(Step::Terminal { rows, columns, console, owner });
        }
        Streams::Inherited => {
            steps.push(Step::Session);
            steps.push(Step::OwnStreams { owner });
        }
        Streams::Pipes { stdin, stdout, stderr } => {
            steps.push(Step::Session);
            steps.push(Step::Stdio { stdin, stdout, stderr, owner: Some(owner) });
        }
    }
}

fn facts_fit(spec: &Spec, facts: &Facts) -> Result<(), Error> {
    if spec.mounts.len() != facts.mounts.len() {
        return Err(Error::Mounts { asked: spec.mounts.len(), given: facts.mounts.len() });
    }
    let unfit =
        spec.mounts.iter().zip(&facts.mounts).find(|(wish, fact)| {
            matches!(fact, MountFact::Made { .. }) != matches!(wish.kind, MountKind::Tmpfs { .. })
        });
    match unfit {
        Some((wish, _)) => Err(Error::MountFact { target: wish.target.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
