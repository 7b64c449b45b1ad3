//! The streams of one run: pipes or a terminal, which ends go where, and what the keeper holds.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use hull_launch::keeper::TERMINAL;
use hull_logs::Sources;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::Error;
use crate::prepare::{Io, Prepared};

/// Names under which the keeper holds the engine's ends.
const STDIN: &str = "stdin";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
const PIPE_READ: &str = "pipe-read";
const PIPE_WRITE: &str = "pipe-write";

/// The name of the held write end of stdin.
pub(crate) const HELD_STDIN: &str = STDIN;
/// The name of a held pidfd: of a process whose keeper died, so that it is no child of the present one.
pub(crate) const HELD_PIDFD: &str = "pidfd";

/// What of a run must outlive an engine, by the names that [`Ends::from_held`] looks for.
pub(crate) fn legacy(live: &super::Live, sources: Option<Sources>) -> Vec<(&'static str, OwnedFd)> {
    let mut named = Vec::with_capacity(4);
    named.extend(live.pidfd.try_clone().ok().map(|fd| (HELD_PIDFD, fd)));
    let stdin = live.stdin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    named.extend(stdin.as_ref().and_then(|fd| fd.try_clone().ok()).map(|fd| (STDIN, fd)));
    match sources {
        Some(Sources::Streams { stdout, stderr }) => named.extend([(STDOUT, stdout), (STDERR, stderr)]),
        Some(Sources::Terminal { master, pipe_read, pipe_write }) => {
            named.extend([(TERMINAL, master), (PIPE_READ, pipe_read), (PIPE_WRITE, pipe_write)]);
        }
        None => {}
    }
    named
}

/// The engine's ends of a run's streams.
pub(crate) enum Ends {
    Streams { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    Terminal { pipe_read: OwnedFd, pipe_write: OwnedFd },
}

/// The engine's ends, by use.
#[derive(Default)]
pub(crate) struct Split {
    pub stdin: Option<OwnedFd>,
    pub master: Option<OwnedFd>,
    pub sources: Option<Sources>,
}

/// Makes the streams: the engine's ends, and the child's for the preparation.
pub(crate) fn open(tty: bool, open_stdin: bool, size: (u16, u16)) -> Result<(Ends, Io), Error> {
    if tty {
        let (pipe_read, pipe_write) = pipe()?;
        return Ok((Ends::Terminal { pipe_read, pipe_write }, Io::Terminal { rows: size.0, columns: size.1 }));
    }
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let (child_stdin, stdin) = stdin(open_stdin)?;
    let ends = Ends::Streams { stdin, stdout, stderr };
    Ok((ends, Io::Streams { stdin: child_stdin, stdout: child_stdout, stderr: child_stderr }))
}

/// A child's fd 0, and the engine's end of it if it is a pipe.
pub(crate) fn stdin(open: bool) -> Result<(OwnedFd, Option<OwnedFd>), Error> {
    if !open {
        return Ok((null(OFlags::RDONLY)?, None));
    }
    let (child, ours) = pipe()?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|source| system("ioctl FIONBIO of a stdin pipe", source))?;
    Ok((child, Some(ours)))
}

/// `/dev/null`.
pub(crate) fn null(flags: OFlags) -> Result<OwnedFd, Error> {
    rustix::fs::open("/dev/null", flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| system("open /dev/null", source))
}

/// A pipe: (read end, write end).
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|source| system("pipe2", source))
}

fn system(call: &str, source: rustix::io::Errno) -> Error {
    Error::System { call: call.to_owned(), source }
}

impl Ends {
    /// Adds duplicates for the keeper to the launch: what must outlive this engine.
    pub fn hold(&self, prepared: &mut Prepared) -> Result<Vec<(String, hull_launch::plan::Slot)>, Error> {
        let named: Vec<(&str, &OwnedFd)> = match self {
            Self::Streams { stdin, stdout, stderr } => {
                let mut named = vec![(STDOUT, stdout), (STDERR, stderr)];
                named.extend(stdin.as_ref().map(|fd| (STDIN, fd)));
                named
            }
            Self::Terminal { pipe_read, pipe_write } => vec![(PIPE_READ, pipe_read), (PIPE_WRITE, pipe_write)],
        };
        let mut hold = Vec::with_capacity(named.len());
        for (name, fd) in named {
            let copy = fd.try_clone().map_err(|source| Error::File {
                attempt: "duplicate the descriptor",
                path: name.to_owned(),
                source,
            })?;
            hold.push((name.to_owned(), prepared.push(copy)));
        }
        Ok(hold)
    }

    /// The ends for clients (stdin's pipe, the terminal's master) and those for the log.
    pub fn split(self, master: Option<OwnedFd>) -> Result<Split, Error> {
        Ok(match (self, master) {
            (Self::Streams { stdin, stdout, stderr }, _) => {
                Split { stdin, master: None, sources: Some(Sources::Streams { stdout, stderr }) }
            }
            (Self::Terminal { pipe_read, pipe_write }, Some(master)) => {
                let copy = master.try_clone().map_err(|source| Error::File {
                    attempt: "duplicate the descriptor",
                    path: TERMINAL.to_owned(),
                    source,
                })?;
                let sources = Sources::Terminal { master, pipe_read, pipe_write };
                Split { stdin: None, master: Some(copy), sources: Some(sources) }
            }
            (Self::Terminal { .. }, None) => Split::default(),
        })
    }

    /// The ends as the keeper held them for an earlier engine. `None`: some are missing.
    pub fn from_held(mut held: HashMap<String, OwnedFd>) -> Option<(Self, Option<OwnedFd>)> {
        if let Some(master) = held.remove(TERMINAL) {
            let (pipe_read, pipe_write) = (held.remove(PIPE_READ)?, held.remove(PIPE_WRITE)?);
            return Some((Self::Terminal { pipe_read, pipe_write }, Some(master)));
        }
        let (stdout, stderr) = (held.remove(STDOUT)?, held.remove(STDERR)?);
        Some((Self::Streams { stdin: held.remove(STDIN), stdout, stderr }, None))
    }
}
