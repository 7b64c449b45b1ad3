//! What `create`, `run` and `exec` have in common while a child is under way: it is heard until it waits or runs, and
//! then whoever asked for it learns its number.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hull_launch::compile::explain_failure;
use hull_launch::direct::{Direct, Said};
use hull_launch::plan::{LaunchPlan, Point};

use crate::bundle::Listener;
use crate::cli::{Globals, Words};
use crate::console;
use crate::error::{Doing, Error, Result};

/// Where the process's number and its terminal go.
pub struct Outlets {
    console_path: Option<PathBuf>,
    console: Option<OwnedFd>,
    pidfd_socket: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
}

/// What is done on the way.
pub trait Attendant {
    /// The child is this process now.
    fn reborn(&self, _pid: i32) -> Result<()> {
        Ok(())
    }

    /// The child is held at this point.
    fn held(&self, _point: Point, _pid: i32) -> Result<()> {
        Ok(())
    }

    /// The state that a seccomp listener is told: before and after the number.
    fn state(&self) -> (String, String);
}

/// What is heard.
pub struct Hearing<'a> {
    pub globals: &'a Globals,
    pub plan: &'a LaunchPlan,
    pub listener: Option<&'a Listener>,
    pub attendant: &'a dyn Attendant,
}

impl Outlets {
    /// Reads the flags. Relative paths are the caller's, so this comes before the working directory changes.
    pub fn new(words: &Words) -> Result<Self> {
        let path = |name: &str| {
            let path = words.value(name).filter(|path| !path.is_empty());
            path.map(|path| std::path::absolute(path).doing(|| format!("find {path:?}"))).transpose()
        };
        let pidfd_socket = path("pidfd-socket")?.map(|path| console::connect(&path)).transpose()?;
        Ok(Self { console_path: path("console-socket")?, console: None, pidfd_socket, pid_file: path("pid-file")? })
    }

    /// Whether the words fit the process; then the socket for its terminal is connected to.
    pub fn fit(&mut self, terminal: bool, detached: bool) -> Result<()> {
        let console = self.console_path.is_some();
        if terminal && detached && !console {
            return Err(Error::Usage(
                "cannot allocate tty if runc will detach without setting console socket".to_owned(),
            ));
        }
        if console && !(terminal && detached) {
            return Err(Error::Usage("cannot use console socket if runc will not detach or allocate tty".to_owned()));
        }
        self.console = self.console_path.as_deref().map(console::connect).transpose()?;
        Ok(())
    }

    /// Hears the child until it waits or runs. Returns the master of its terminal unless a socket got it.
    pub fn hear(&self, hearing: &Hearing<'_>, child: &mut Direct) -> Result<Option<OwnedFd>> {
        let Hearing { globals, plan, listener, attendant } = hearing;
        let mut master = None;
        loop {
            match child.hear()? {
                Said::Reborn => attendant.reborn(child.pid)?,
                Said::Sync(point) => {
                    attendant.held(point, child.pid)?;
                    child.go()?;
                }
                Said::Terminal(fd) => match &self.console {
                    Some(socket) => console::send(socket, &fd)?,
                    None => master = Some(fd),
                },
                Said::Listener(fd) => {
                    if let Some(listener) = listener {
                        console::send_listener(listener, &fd, &attendant.state(), child.pid)?;
                    }
                    child.listened();
                }
                Said::Warning(warning) => globals.log.warning(&explain_failure(plan, &warning).to_string()),
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
        Ok(master)
    }
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
fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, pid.to_string()).doing(|| format!("write {temporary:?}"))?;
    std::fs::rename(&temporary, path).doing(|| format!("rename to {path:?}"))
}
