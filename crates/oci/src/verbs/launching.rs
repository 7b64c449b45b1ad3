//! What `create` and `run` share: everything from the words to a process that waits or runs, undone if it fails.
//!
//! ```text
//! read ─▶ directory ─▶ cgroup ─▶ prepare ─▶ clone ─▶ state.json ─▶ hear the child ─▶ pid file ─▶ [attend ─▶ remove]
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_launch::compile::{compile_bundle, explain_failure};
use hull_launch::direct::{self, Direct, Said};
use hull_launch::plan::{LaunchPlan, Point};
use hull_sys::process::exit_code;
use hull_sys::signals::SignalFd;
use hull_types::Timestamp;
use rustix::fs::{CWD, FileType, Mode as FileMode, OFlags};

use super::delete;
use crate::bundle::{self, Prepared, Read, Wishes};
use crate::cgroups::{self, Group};
use crate::cli::{Globals, Words};
use crate::console;
use crate::container::{Container, SpecState, started};
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::seal;
use crate::state::{Locked, State, VERSION};
use crate::stdio;

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
    console: Option<OwnedFd>,
    pidfd_socket: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
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
}

impl<'a> Launching<'a> {
    /// Reads and refuses.
    pub fn new(globals: &'a Globals, words: &Words, mode: Mode) -> Result<Self> {
        let id = words.id(if mode == Mode::Create { "create" } else { "run" })?.to_owned();
        crate::state::check_id(&id)?;
        // ORDER: before anything is opened, since it begins again with what `execve` leaves.
        seal::enter()?;
        let pid_file = words.value("pid-file").filter(|path| !path.is_empty());
        let pid_file = pid_file.map(std::path::absolute).transpose().doing(|| "find the pid file".to_owned())?;
        let console = words.value("console-socket").filter(|path| !path.is_empty());
        let console = console.map(|path| std::path::absolute(path).doing(|| format!("find {path:?}"))).transpose()?;
        let pidfd_socket = words.value("pidfd-socket").filter(|path| !path.is_empty());
        let pidfd_socket = pidfd_socket.map(PathBuf::from);
        let first_own = preserved(words)?;
        hull_sys::fds::close_on_exec_from(first_own)?;
        // ORDER: before the working directory changes, which these paths are relative to.
        let pidfd_socket = pidfd_socket.map(|path| console::connect(&path)).transpose()?;
        let read = Read::open(words.value("bundle"))?;
        let terminal = read.config.process.as_ref().is_some_and(|process| process.terminal);
        let detached = mode != Mode::Foreground;
        if terminal && detached && console.is_none() {
            return Err(Error::Usage(
                "cannot allocate tty if runc will detach without setting console socket".to_owned(),
            ));
        }
        if console.is_some() && !(terminal && detached) {
            return Err(Error::Usage("cannot use console socket if runc will not detach or allocate tty".to_owned()));
        }
        let console = console.map(|path| console::connect(&path)).transpose()?;
        Ok(Self {
            globals,
            id,
            mode,
            read,
            console,
            pidfd_socket,
            pid_file,
            pivot: !words.is("no-pivot"),
            keyring: !words.is("no-new-keyring"),
            keep: words.is("keep"),
            first_own,
        })
    }

    /// Launches. The exit code is the process's for a foreground run, else 0.
    pub fn launch(self) -> Result<i32> {
        let locked = Locked::create(&self.globals.root, &self.id)?;
        let mut made = Made { locked, group: None };
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
        made.group = self.group(&host, &made.locked, unified)?;
        let wishes = Wishes {
            id: &self.id,
            pivot: self.pivot,
            keyring: self.keyring,
            log: &self.globals.log,
            group: made.group.as_ref(),
            unified,
        };
        let mut prepared = bundle::prepare(&self.read, &wishes)?;
        if self.mode == Mode::Create {
            prepared.facts.fifo = Some(prepared.fds.push(fifo(&made.locked.fifo())?));
        }
        let plan = compile_bundle(&prepared.bundle, &prepared.facts)?.plan;
        let mut child = direct::launch(&plan, prepared.fds.all(), self.first_own)?;
        let heard = self.hear(made, &prepared, &plan, &mut child);
        match heard {
            Ok(master) => Ok((child, master)),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    fn group(&self, host: &hull_cgroup::Host, locked: &Locked, unified: bool) -> Result<Option<Group>> {
        let path = cgroups::path(self.globals, &self.read.config, &self.id)?;
        let resources = self.read.config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        let mut limits = resources.map(cgroups::limits).transpose()?.unwrap_or_default();
        cgroups::fits(&limits, unified)?;
        limits.devices = Some(cgroups::devices(resources)?);
        // ORDER: known before it is there.
        locked.note_cgroup(&path)?;
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
        let mut master = None;
        loop {
            match child.hear()? {
                Said::Reborn => self.remember(made, prepared, child.pid)?,
                Said::Sync(point) => {
                    self.held(point, child.pid)?;
                    child.go()?;
                }
                Said::Terminal(fd) => master = self.terminal(fd)?,
                Said::Listener(fd) => {
                    if let Some(listener) = &prepared.listener {
                        let state = crate::container::spec_state(&self.spec_state("creating"));
                        console::send_listener(listener, &fd, &state, child.pid)?;
                    }
                    child.listened();
                }
                Said::Warning(warning) => self.globals.log.warning(&explain_failure(plan, &warning).to_string()),
                Said::Failed(failure) => return Err(Error::Launch(explain_failure(plan, &failure))),
                Said::Waiting | Said::Running => break,
            }
        }
        child.reap_former();
        if let Some(path) = &self.pid_file {
            write_pid(path, child.pid)?;
        }
        if let Some(socket) = &self.pidfd_socket {
            console::send_pidfd(socket, &child.pidfd)?;
        }
        if self.mode != Mode::Create {
            let state = self.spec_state("running");
            hooks::run("poststart", &self.read.hooks().poststart, &state, child.pid)?;
        }
        Ok(master)
    }

    /// What this process does while the child is held.
    fn held(&self, point: Point, pid: i32) -> Result<()> {
        if point == Point::Namespaces {
            crate::netdev::give(&self.read.linux().net_devices, pid)?;
        }
        if point == Point::Mounted {
            let (hooks, state) = (self.read.hooks(), self.spec_state("creating"));
            hooks::run("prestart", &hooks.prestart, &state, pid)?;
            hooks::run("createRuntime", &hooks.create_runtime, &state, pid)?;
        }
        Ok(())
    }

    /// The master goes to the socket, or stays here.
    fn terminal(&self, master: OwnedFd) -> Result<Option<OwnedFd>> {
        match &self.console {
            Some(socket) => console::send(socket, &master).map(|()| None),
            None => Ok(Some(master)),
        }
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
        let (globals, keep) = (self.globals, self.keep);
        let Made { locked, group: _ } = made;
        let path = locked.path().to_owned();
        // ORDER: other commands may look at it while it runs.
        drop(locked);
        let status = stdio::attend(child.pid, child.pidfd.as_fd(), signals, master);
        if !keep {
            let root = path.parent().unwrap_or(Path::new("/"));
            // It may have been deleted meanwhile.
            match Locked::open(root, &self.id) {
                Err(Error::NoContainer(_)) => {}
                locked => {
                    let locked = locked?;
                    let container = Container::of(&locked)?;
                    delete::remove(globals, locked, &container)?;
                }
            }
        }
        Ok(exit_code(status))
    }
}

/// Undoes in reverse; what cannot be undone now, `delete --force` can later.
fn undo(made: Made) {
    if let Some(group) = &made.group {
        _ = group.remove();
    }
    _ = made.locked.remove();
}

/// `exec.fifo`, with both ends here, so that opening does not wait.
fn fifo(path: &Path) -> Result<OwnedFd> {
    let describe = || format!("make {path:?}");
    rustix::fs::mknodat(CWD, path, FileType::Fifo, FileMode::from_raw_mode(0o622), 0).doing(describe)?;
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, FileMode::empty()).doing(describe)
}

/// `--preserve-fds`, and what a socket-activated caller has.
pub fn preserved(words: &Words) -> Result<i32> {
    let asked: u16 = words.number("preserve-fds")?.unwrap_or(0);
    let listening: u16 = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = 3 + i32::from(asked) + i32::from(listening);
    for number in 3..end {
        if !hull_sys::fds::is_open(number) {
            return Err(Error::Usage(format!("please check your preserve-fds: descriptor {number} is not open")));
        }
    }
    Ok(end)
}

/// Replaced as a whole, so that nobody reads half a number.
pub fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, pid.to_string()).doing(|| format!("write {temporary:?}"))?;
    std::fs::rename(&temporary, path).doing(|| format!("rename to {path:?}"))
}
