//! `exec ID COMMAND…` and `exec -p process.json ID`.

mod groups;
mod namespaces;
mod wish;

use std::os::fd::AsFd;

use hull_launch::compile::{BundleExecFacts, ExecFacts, compile_bundle_exec};
use hull_launch::direct;
use hull_launch::plan::{LaunchPlan, Namespaces};
use hull_sys::process::exit_code;
use rustix::fs::{Mode, OFlags};

use super::hearing::{Attendant, Hearing, Outlets, preserved};
use crate::bundle::{self, Fds, Listener};
use crate::cli::{Flag, Globals, Words};
use crate::config::{Config, Process};
use crate::container::{Container, SpecState, Status, spec_state};
use crate::error::{Doing, Error, Result};
use crate::{seal, stdio};
use groups::Groups;

pub const FLAGS: &[Flag] = &[
    Flag::value("console-socket"),
    Flag::value("pidfd-socket"),
    Flag::value("cwd"),
    Flag::value("env").or("e"),
    Flag::bool("tty").or("t"),
    Flag::value("user").or("u"),
    Flag::value("additional-gids").or("g"),
    Flag::value("process").or("p"),
    Flag::bool("detach").or("d"),
    Flag::value("pid-file"),
    Flag::value("process-label"),
    Flag::value("apparmor"),
    Flag::bool("no-new-privs"),
    Flag::value("cap").or("c"),
    Flag::value("preserve-fds"),
    Flag::value("cgroup"),
    Flag::bool("ignore-paused"),
    Flag::bool("no-subreaper"),
    Flag::bool("help").or("h"),
];

/// One process, about to be launched.
struct Launch<'a> {
    globals: &'a Globals,
    container: Container,
    config: Config,
    process: Process,
    outlets: Outlets,
    detach: bool,
    first_own: i32,
    groups: Option<Groups>,
}

/// Runs a further process in a container; unless detached, to its end.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let Some(id) = words.rest.first() else {
        return Err(Error::Usage("exec: \"exec\" requires a minimum of 1 argument".to_owned()));
    };
    // ORDER: before anything is opened, since it begins again with what `execve` leaves.
    seal::enter()?;
    let first_own = preserved(words)?;
    hull_sys::fds::close_on_exec_from(first_own)?;
    let container = Container::find(globals, id)?;
    match container.status() {
        Status::Stopped => return Err(refused(&container, "cannot exec in a stopped container")),
        Status::Paused if !words.is("ignore-paused") => {
            return Err(refused(&container, "cannot exec in a paused container (use --ignore-paused to override)"));
        }
        _ => {}
    }
    let text = container.state.config.get();
    let config: Config = serde_json::from_str(text)
        .map_err(|error| Error::Unreadable { path: "state.json".into(), reason: error.to_string() })?;
    let process = wish::process(&config, words)?;
    bundle::check_process(&process)?;
    let detach = words.is("detach");
    let mut outlets = Outlets::new(words)?;
    outlets.fit(process.terminal, detach)?;
    let groups = Groups::asked(&container, words)?;
    Launch { globals, container, config, process, outlets, detach, first_own, groups }.launch()
}

fn refused(container: &Container, reason: &str) -> Error {
    Error::State { verb: "exec in", id: container.state.id.clone(), reason: reason.to_owned() }
}

impl Launch<'_> {
    fn launch(&self) -> Result<i32> {
        let signals = if self.detach { None } else { Some(stdio::catch()?) };
        let mut fds = Fds::default();
        let (plan, listener) = self.plan(&mut fds)?;
        let mut child = direct::launch(&plan, fds.all(), self.first_own)?;
        let hearing = Hearing { globals: self.globals, plan: &plan, listener: listener.as_ref(), attendant: self };
        let master = match self.outlets.hear(&hearing, &mut child) {
            Ok(master) => master,
            Err(error) => {
                child.kill();
                return Err(error);
            }
        };
        match signals {
            Some(signals) => Ok(exit_code(stdio::attend(child.pid, child.pidfd.as_fd(), &signals, master))),
            None => Ok(0),
        }
    }

    fn plan(&self, fds: &mut Fds) -> Result<(LaunchPlan, Option<Listener>)> {
        let (process, state) = (&self.process, &self.container.state);
        let linux = self.config.linux.clone().unwrap_or_default();
        let bits = Namespaces(state.namespaces);
        let (target, apart) = namespaces::target(&self.container, bits, fds)?;
        let seccomp = match &linux.seccomp {
            Some(profile) => bundle::seccomp(profile.get(), process)?,
            None => None,
        };
        let listener = seccomp.as_ref().and_then(|filter| filter.listener.clone());
        let affinity = process.exec_cpu_affinity.clone().unwrap_or_default();
        let cpus = |name: &str, list: &Option<String>| {
            bundle::cpus(&format!("process.execCPUAffinity.{name}"), list.as_deref())
        };
        let mut wish = bundle::process(process, Some(&state.id))?;
        wish.affinity = cpus("final", &affinity.last)?;
        let facts = BundleExecFacts {
            exec: ExecFacts {
                key: state.id.clone(),
                who: self.who()?,
                target,
                namespaces: Namespaces(bits.0 & !Namespaces::PID.0),
                own_pid: bits.contains(Namespaces::PID),
                cgroup: self.groups.as_ref().map(|groups| groups.join(fds)).transpose()?,
                streams: bundle::streams(process),
                seccomp: seccomp.map(|filter| filter.program),
                apparmor: process.apparmor_profile.is_some(),
                selinux: process.selinux_label.is_some(),
            },
            listener: listener.is_some(),
            apart,
            first_affinity: cpus("initial", &affinity.initial)?,
            personality: linux.personality.as_ref().map(bundle::personality).transpose()?,
        };
        Ok((compile_bundle_exec(&wish, &facts)?.plan, listener))
    }

    /// The home is looked up in the container as it is now.
    fn who(&self) -> Result<hull_launch::compile::Who> {
        let path = format!("/proc/{}/root", self.container.state.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).doing(|| format!("open {path:?}"))?;
        Ok(bundle::who(&self.process, root.as_fd()))
    }
}

impl Attendant for Launch<'_> {
    fn state(&self) -> (String, String) {
        spec_state(&SpecState::of(&self.container.state, "running"))
    }
}
