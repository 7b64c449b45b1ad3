//! [`Spool`]: one container's output, what readers see of it, and the moving of bytes into it.
//!
//! ```text
//! open ──begin(sources)──▶ running ──finish()──▶ resting ──begin──▶ …      close(): readers end
//! ```
//! The writer's lock is held while bytes move (the disk may make it wait); readers never take it,
//! they look at [`Published`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::SystemTime;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use tokio::sync::watch;

use crate::collector::Sources;
use crate::entry::{Entry, Header};
use crate::files::{Files, Found};
use crate::reader::Reader;
use crate::{Result, Stream};

/// How much moves at once; also the default capacity of a pipe.
const MOVE: usize = 64 * 1024;
/// Bytes of one stream that arrive within this time are one entry.
const TOGETHER_NS: i64 = 1_000_000;
/// An entry does not grow beyond this.
const ENTRY_MAX: u32 = 64 * 1024;
/// At the end of a run no more than this is moved, lest a process that outlives it goes on for ever.
const LAST_WORDS: usize = 4 << 20;

/// What readers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Number of the first entry that is kept.
    pub first: u64,
    /// One past the last entry's number.
    pub count: u64,
    /// The last entry; it may still grow.
    pub last: Option<Entry>,
    /// How many runs have ended.
    pub ended_runs: u64,
    /// `(count, bytes of the last entry)` when the latest run ended.
    pub run_end: (u64, u32),
    /// No more will ever come.
    pub closed: bool,
}

/// How much is kept, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// About how many bytes at most; all, if there is no bound.
    pub bytes: Option<u64>,
    /// Of each stream what is older than this many bytes is compressed.
    pub packed_after: Option<u64>,
}

impl From<Option<u64>> for Keep {
    fn from(bytes: Option<u64>) -> Self {
        Self { bytes, packed_after: None }
    }
}

/// One container's output.
#[derive(Debug)]
pub struct Spool {
    pub(crate) files: Arc<Files>,
    writer: Mutex<Writer>,
    published: watch::Sender<Published>,
}

#[derive(Debug)]
struct Writer {
    sources: Option<Sources>,
    at_end: [bool; 2],
    header: Header,
    end: [u64; 2],
    keep: Keep,
    lost: u64,
}

/// Whether a source has more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Bytes(usize),
    /// The disk refused them.
    Dropped(usize),
    NothingNow,
    End,
}

impl Spool {
    /// Opens the spool in `dir`, which need not exist.
    pub fn open(dir: PathBuf, keep: impl Into<Keep>) -> Result<Arc<Self>> {
        let files = Files::new(dir);
        let found = files.load()?;
        Ok(Self::with(files, &found, keep.into()))
    }

    /// As [`Spool::open`], for a directory that is known not to exist.
    pub fn new(dir: PathBuf, keep: impl Into<Keep>) -> Arc<Self> {
        Self::with(Files::new(dir), &Found::default(), keep.into())
    }

    fn with(files: Files, found: &Found, keep: Keep) -> Arc<Self> {
        let published =
            Published { first: found.header.first, count: found.count, last: found.last, ..Published::default() };
        let writer = Writer { sources: None, at_end: [true; 2], header: found.header, end: found.end, keep, lost: 0 };
        Arc::new(Self { files: Arc::new(files), writer: Mutex::new(writer), published: watch::Sender::new(published) })
    }

    /// What readers see now.
    pub fn published(&self) -> Published {
        *self.published.borrow()
    }

    /// Wakes at every change.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// A reader that stands behind everything that was written so far.
    pub fn reader_at_end(self: &Arc<Self>) -> Reader {
        Reader::at_end(self)
    }

    /// A reader that stands before everything that is kept.
    pub fn reader_at_start(self: &Arc<Self>) -> Reader {
        Reader::at_start(self)
    }

    /// Changes how much is kept.
    pub fn set_bound(&self, bound: Option<u64>) {
        self.lock().keep.bytes = bound;
    }

    pub(crate) fn begin(&self, sources: Sources) {
        let mut writer = self.lock();
        writer.at_end = [false, matches!(sources, Sources::Terminal { .. })];
        writer.sources = Some(sources);
    }

    /// The fds to watch, by stream.
    pub(crate) fn watched(&self) -> Vec<(Stream, OwnedFd)> {
        let writer = self.lock();
        let fds = match &writer.sources {
            None => vec![],
            Some(Sources::Streams { stdout, stderr }) => vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)],
            Some(Sources::Terminal { master, .. }) => vec![(Stream::Stdout, master)],
        };
        fds.into_iter().filter_map(|(s, fd)| fd.as_fd().try_clone_to_owned().ok().map(|fd| (s, fd))).collect()
    }

    /// Duplicates of the run's sources, for whoever goes on with the log; `None` between runs.
    pub fn sources(&self) -> Option<Sources> {
        let copy = |fd: &OwnedFd| fd.try_clone().ok();
        Some(match self.lock().sources.as_ref()? {
            Sources::Streams { stdout, stderr } => Sources::Streams { stdout: copy(stdout)?, stderr: copy(stderr)? },
            Sources::Terminal { master, pipe_read, pipe_write } => {
                Sources::Terminal { master: copy(master)?, pipe_read: copy(pipe_read)?, pipe_write: copy(pipe_write)? }
            }
        })
    }

    /// Moves what `stream` has now, at most one pipe's worth.
    pub(crate) fn pump(&self, stream: Stream) -> Moved {
        let mut writer = self.lock();
        self.pump_locked(&mut writer, stream)
    }

    /// The run has ended: moves what is left, closes the sources and tells the readers.
    ///
    /// `false`: nothing was done, since it would have to wait for the writer.
    pub fn try_finish(&self) -> bool {
        let writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.finish_locked(writer);
        true
    }

    /// As [`Spool::try_finish`], waiting for the writer.
    pub fn finish(&self) {
        self.finish_locked(self.lock());
    }

    /// No run will follow: readers end.
    pub fn close(&self) {
        self.published.send_modify(|p| p.closed = true);
    }

    fn finish_locked(&self, mut writer: MutexGuard<'_, Writer>) {
        for stream in Stream::ALL {
            let mut total = 0;
            while let Moved::Bytes(n) | Moved::Dropped(n) = self.pump_locked(&mut writer, stream) {
                total += n;
                if total > LAST_WORDS {
                    break;
                }
            }
        }
        writer.sources = None;
        writer.at_end = [true; 2];
        drop(writer);
        self.published.send_modify(|p| {
            p.ended_runs += 1;
            p.run_end = (p.count, p.last.map_or(0, |e| e.len));
        });
    }

    fn pump_locked(&self, writer: &mut Writer, stream: Stream) -> Moved {
        if writer.at_end[stream.index()] {
            return Moved::End;
        }
        let moved = match &writer.sources {
            None => return Moved::End,
            Some(Sources::Streams { stdout, .. }) if stream == Stream::Stdout => self.move_pipe(writer, stdout, stream),
            Some(Sources::Streams { stderr, .. }) => self.move_pipe(writer, stderr, stream),
            Some(Sources::Terminal { master, pipe_read, pipe_write }) => {
                // What an earlier engine left in the pipe goes first.
                let master_at_end = fill_pipe(master, pipe_write);
                match self.move_pipe(writer, pipe_read, stream) {
                    Moved::NothingNow if master_at_end => Moved::End,
                    other => other,
                }
            }
        };
        match moved {
            Moved::Bytes(n) => self.record(writer, stream, n),
            Moved::Dropped(n) => writer.lost += n as u64,
            Moved::End => writer.at_end[stream.index()] = true,
            Moved::NothingNow => {}
        }
        moved
    }

    /// One splice from a pipe to the stream's file; what the disk refuses is dropped and counted.
    fn move_pipe(&self, writer: &Writer, pipe: &OwnedFd, stream: Stream) -> Moved {
        // The file is only made once there is a byte for it.
        match rustix::io::ioctl_fionread(pipe) {
            Ok(0) => return if writers_gone(pipe) { Moved::End } else { Moved::NothingNow },
            Ok(_) => {}
            Err(_) => return Moved::End,
        }
        let mut offset = writer.end[stream.index()];
        let attempt = self
            .files
            .make_raw(stream)
            .map(|file| splice(pipe, None, file, Some(&mut offset), MOVE, SpliceFlags::NONBLOCK | SpliceFlags::MOVE));
        match attempt {
            Ok(Ok(0)) => Moved::End,
            Ok(Ok(n)) => Moved::Bytes(n),
            Ok(Err(Errno::AGAIN | Errno::INTR)) => Moved::NothingNow,
            Ok(Err(errno)) => drop_some(pipe, &errno),
            Err(error) => drop_some(pipe, &error),
        }
    }

    fn record(&self, writer: &mut Writer, stream: Stream, n: usize) {
        let offset = writer.end[stream.index()];
        writer.end[stream.index()] = offset + n as u64;
        let (number, entry) = next_entry(&self.published(), now(), stream, offset, n as u32);
        if let Err(error) = self.files.write_entry(number, &entry) {
            // The bytes are there; the index catches up when the spool is opened again.
            tracing::warn!(%error, "log index not written");
        }
        self.trim(writer, number);
        self.pack(writer, stream);
        let first = writer.header.first;
        self.published.send_modify(|p| {
            p.count = number + 1;
            p.last = Some(entry);
            p.first = first;
        });
    }

    /// Gives up the oldest entries when more than the bound (and an eighth) is kept.
    fn trim(&self, writer: &mut Writer, last: u64) {
        let Some(bound) = writer.keep.bytes else { return };
        let kept = |w: &Writer| (0..2).map(|s| w.end[s] - w.header.base[s]).sum::<u64>();
        if kept(writer) <= bound + (bound / 8).max(4096) {
            return;
        }
        while kept(writer) > bound && writer.header.first < last {
            if let Some(entry) = self.files.read_entry(writer.header.first) {
                writer.header.base[entry.stream.index()] = entry.end();
            }
            writer.header.first += 1;
        }
        if self.files.write_header(&writer.header).is_ok() {
            // ORDER: readers are told before the bytes go, and look again after they have read.
            let first = writer.header.first;
            self.published.send_modify(|p| p.first = first);
            self.files.punch(&writer.header);
        }
    }

    /// Compresses what has become old enough.
    fn pack(&self, writer: &mut Writer, stream: Stream) {
        let Some(after) = writer.keep.packed_after else { return };
        let (from, until) = (writer.header.base[stream.index()], writer.end[stream.index()].saturating_sub(after));
        if let Err(error) = self.files.pack(stream, from, until) {
            // It stays as it is, and the container is not held up again and again.
            tracing::warn!(%error, "log no longer compressed");
            writer.keep.packed_after = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry that `n` new bytes make, or how the last one grows.
fn next_entry(published: &Published, now: i64, stream: Stream, offset: u64, n: u32) -> (u64, Entry) {
    if let Some(last) = published.last
        && last.stream == stream
        && last.end() == offset
        && (0..TOGETHER_NS).contains(&(now - last.time))
        && last.len + n <= ENTRY_MAX
        && published.run_end != (published.count, last.len)
    {
        return (published.count - 1, Entry { len: last.len + n, ..last });
    }
    (published.count, Entry { time: now, offset, len: n, stream })
}

/// Moves what the terminal has into its pipe. `true`: no process has the terminal open any more.
fn fill_pipe(master: &OwnedFd, pipe: &OwnedFd) -> bool {
    loop {
        match splice(master, None, pipe, None, MOVE, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(0) | Err(Errno::IO) => return true,
            Ok(_) => {}
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn writers_gone(pipe: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let nothing = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&nothing)), Ok(1..))
        && fds[0].revents().contains(PollFlags::HUP)
        && !fds[0].revents().contains(PollFlags::IN)
}

/// The disk refuses: the container must not hang on it, so its bytes are given up.
fn drop_some(pipe: &OwnedFd, why: &dyn std::fmt::Display) -> Moved {
    let mut buffer = [0; 16 * 1024];
    match rustix::io::read(pipe, &mut buffer) {
        Ok(0) => Moved::End,
        Ok(n) => {
            tracing::warn!(cause = %why, bytes = n, "container output dropped");
            Moved::Dropped(n)
        }
        Err(_) => Moved::NothingNow,
    }
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
