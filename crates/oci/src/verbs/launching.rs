//! What `create` and `run` share: everything from the words to a process that waits or runs, undone if it fails.
//!
//! ```text
//! read ─▶ directory ─▶ cgroup ─▶ prepare ─▶ clone ─▶ state.json ─▶ hear the child ─▶ pid file ─▶ [attend ─▶ remove]
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_launch::compile::compile_bundle;
use hull_launch::direct::{self, Direct};
use hull_launch::plan::{LaunchPlan, Point};
use hull_sys::process::exit_code;
use hull_sys::signals::SignalFd;
use hull_types::Timestamp;
use rustix::fs::{CWD, FileType, Mode as FileMode, OFlags};

use super::delete;
use super::hearing::{Attendant, Hearing, Outlets, preserved};
use crate::bundle::{self, Prepared, Read, Wishes};
use crate::cgroups::{self, Group};
use crate::cli::{Globals, Words};
use crate::container::{Container, SpecState, started};
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::seal;
use crate::state::{Locked, State, VERSION};
use crate::stdio;
use crate::systemd::{self, Placeholder, Scope};

/// What the command wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It waits for `start`.
    Create,
    /// It runs, and the command ends.
    Detached,
    /// It runs, and the command ends with it.
    Foreground,
}

/// A launch that was read and not yet begun.
pub struct Launching<'a> {
    globals: &'a Globals,
    id: String,
    mode: Mode,
    read: Read,
    outlets: Outlets,
    pivot: bool,
    keyring: bool,
    keep: bool,
    /// Descriptors from 3 up to this are the process's.
    first_own: i32,
}

/// What was made, to be undone.
struct Made {
    locked: Locked,
    group: Option<Group>,
    /// Until somebody else is in the scope.
    placeholder: Option<Placeholder>,
}

impl<'a> Launching<'a> {
    /// Reads and refuses.
    pub fn new(globals: &'a Globals, words: &Words, mode: Mode) -> Result<Self> {
        let id = words.id(if mode == Mode::Create { "create" } else { "run" })?.to_owned();
        crate::state::check_id(&id)?;
        // ORDER: before anything is opened, since it begins again with what `execve` leaves.
        seal::enter()?;
        let first_own = preserved(words)?;
        hull_sys::fds::close_on_exec_from(first_own)?;
        // ORDER: before the working directory changes, which these paths are relative to.
        let mut outlets = Outlets::new(words)?;
        let read = Read::open(words.value("bundle"))?;
        let terminal = read.config.process.as_ref().is_some_and(|process| process.terminal);
        outlets.fit(terminal, mode != Mode::Foreground)?;
        Ok(Self {
            globals,
            id,
            mode,
            read,
            outlets,
            pivot: !words.is("no-pivot"),
            keyring: !words.is("no-new-keyring"),
            keep: words.is("keep"),
            first_own,
        })
    }

    /// Launches. The exit code is the process's for a foreground run, else 0.
    pub fn launch(self) -> Result<i32> {
        let locked = Locked::create(&self.globals.root, &self.id)?;
        let mut made = Made { locked, group: None, placeholder: None };
        let signals = if self.mode == Mode::Foreground { Some(stdio::catch()?) } else { None };
        match self.process(&mut made) {
            Ok((child, master)) => match signals {
                Some(signals) => self.attend(made, child, master, &signals),
                None => Ok(0),
            },
            Err(error) => {
                undo(made);
                Err(error)
            }
        }
    }

    /// Everything up to a process that waits or runs.
    fn process(&self, made: &mut Made) -> Result<(Direct, Option<OwnedFd>)> {
        let (host, unified) = cgroups::host()?;
        made.group = self.group(&host, made, unified)?;
        let wishes = Wishes {
            id: &self.id,
            pivot: self.pivot,
            keyring: self.keyring,
            log: &self.globals.log,
            group: made.group.as_ref(),
            unified: host.mountpoint(),
        };
        let mut prepared = bundle::prepare(&self.read, &wishes)?;
        if self.mode == Mode::Create {
            prepared.facts.fifo = Some(prepared.fds.push(fifo(&made.locked.fifo())?));
        }
        let plan = compile_bundle(&prepared.bundle, &prepared.facts)?.plan;
        let mut child = direct::launch(&plan, prepared.fds.all(), self.first_own)?;
        let heard = self.hear(made, &prepared, &plan, &mut child);
        match heard {
            Ok(master) => {
                made.placeholder = None;
                prepared.fds.close();
                Ok((child, master))
            }
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    fn group(&self, host: &hull_cgroup::Host, made: &mut Made, unified: bool) -> Result<Option<Group>> {
        let path = cgroups::path(self.globals, &self.read.config, &self.id)?;
        let resources = self.read.config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        let mut limits = resources.map(cgroups::limits).transpose()?.unwrap_or_default();
        cgroups::fits(&limits, unified)?;
        limits.devices = Some(cgroups::devices(resources)?);
        // ORDER: known before it is there.
        made.locked.note_cgroup(&path)?;
        if self.globals.systemd {
            if !unified {
                return Err(Error::Systemd("scopes are made on cgroups of version 2 alone".to_owned()));
            }
            let given = self.read.config.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref());
            let scope = Scope::parse(given.unwrap_or_default(), &self.id)?;
            made.placeholder = Some(systemd::start(&scope, &self.id, &limits)?);
            return Group::adopt(host, &path, &limits).map(Some);
        }
        match Group::create(host, &path, &limits) {
            Ok(group) => Ok(Some(group)),
            Err(error) if self.globals.rootless => {
                self.globals.log.warning(&format!("without a cgroup: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Hears the child until it waits or runs.
    fn hear(&self, made: &Made, prepared: &Prepared, plan: &LaunchPlan, child: &mut Direct) -> Result<Option<OwnedFd>> {
        let reborn = plan.steps.iter().any(|step| matches!(step, hull_launch::plan::Step::Rebirth { .. }));
        if !reborn {
            self.remember(made, prepared, child.pid)?;
        }
        let watch = Watch { launching: self, made, prepared };
        let hearing = Hearing { globals: self.globals, plan, listener: prepared.listener.as_ref(), attendant: &watch };
        let master = self.outlets.hear(&hearing, child)?;
        if self.mode != Mode::Create {
            let state = self.spec_state("running");
            hooks::run("poststart", &self.read.hooks().poststart, &state, child.pid)?;
        }
        Ok(master)
    }

    fn spec_state<'s>(&'s self, status: &'s str) -> SpecState<'s> {
        let config = &self.read.config;
        SpecState {
            version: &config.oci_version,
            id: &self.id,
            status,
            bundle: &self.read.path,
            annotations: &config.annotations,
        }
    }

    /// Writes `state.json`.
    fn remember(&self, made: &Made, prepared: &Prepared, pid: i32) -> Result<()> {
        let config = &self.read.config;
        made.locked.write(&State {
            version: VERSION,
            oci_version: config.oci_version.clone(),
            id: self.id.clone(),
            pid,
            started: started(pid)?.0,
            bundle: self.read.path.clone(),
            rootfs: self.read.rootfs(),
            created: Timestamp::now().to_string(),
            annotations: config.annotations.clone(),
            uid: rustix::process::geteuid().as_raw(),
            namespaces: prepared.namespaces,
            hooks: hooks::later(&self.read.hooks()),
            terminal: bundle::is_terminal(prepared.facts.streams),
            config: self.read.text.clone(),
        })
    }

    /// Until the process ends; then everything of it is removed.
    fn attend(self, made: Made, child: Direct, master: Option<OwnedFd>, signals: &SignalFd) -> Result<i32> {
        let Made { locked, group, .. } = made;
        let path = locked.path().to_owned();
        // ORDER: other commands may look at it while it runs.
        drop(locked);
        let status = stdio::attend(child.pid, child.pidfd.as_fd(), signals, master);
        if !self.keep {
            let root = path.parent().unwrap_or(Path::new("/"));
            // It may have been deleted meanwhile, and another one of that name made.
            match Locked::open(root, &self.id).and_then(|locked| Ok((Container::of(&locked)?, locked))) {
                Err(Error::NoContainer(_)) => {}
                Ok((container, _)) if container.state.pid != child.pid => {}
                found => {
                    let (container, locked) = found?;
                    delete::remove(self.globals, locked, &container, group.as_ref())?;
                }
            }
        }
        // The process is about to end, which closes them all at once.
        std::mem::forget((group, child));
        Ok(exit_code(status))
    }
}

/// What a launch does while its child is on the way.
struct Watch<'a> {
    launching: &'a Launching<'a>,
    made: &'a Made,
    prepared: &'a Prepared,
}

impl Attendant for Watch<'_> {
    fn reborn(&self, pid: i32) -> Result<()> {
        self.launching.remember(self.made, self.prepared, pid)
    }

    fn held(&self, point: Point, pid: i32) -> Result<()> {
        let read = &self.launching.read;
        if point == Point::Namespaces {
            crate::netdev::give(&read.linux().net_devices, pid)?;
        }
        if point == Point::Mounted {
            let (hooks, state) = (read.hooks(), self.launching.spec_state("creating"));
            hooks::run("prestart", &hooks.prestart, &state, pid)?;
            hooks::run("createRuntime", &hooks.create_runtime, &state, pid)?;
        }
        Ok(())
    }

    fn state(&self) -> (String, String) {
        crate::container::spec_state(&self.launching.spec_state("creating"))
    }
}

/// Undoes in reverse; what cannot be undone now, `delete --force` can later.
fn undo(made: Made) {
    if let Some(group) = &made.group {
        _ = group.remove();
    }
    drop(made.placeholder);
    if let Some(path) = made.locked.cgroup() {
        _ = cgroups::release(&path);
    }
    _ = made.locked.remove();
}

/// `exec.fifo`, with both ends here, so that opening does not wait.
fn fifo(path: &Path) -> Result<OwnedFd> {
    let describe = || format!("make {path:?}");
    rustix::fs::mknodat(CWD, path, FileType::Fifo, FileMode::from_raw_mode(0o622), 0).doing(describe)?;
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, FileMode::empty()).doing(describe)
}
