//! Freezing and thawing: `freezer.state` on v1, `cgroup.freeze` on v2, waiting for the state.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs;

/// How long the kernel gets to stop every task.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops (`true`) or continues every process, and waits until the kernel says so. A freeze that
    /// does not succeed is taken back.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let result = if self.is_v2() { self.freeze_v2(frozen) } else { self.freeze_v1(frozen) };
        if let (true, Err(Error::Freeze { .. })) = (frozen, &result) {
            let _ = self.set(false);
        }
        result
    }

    /// Whether the processes are stopped by [`Cgroup::freeze`].
    pub fn is_frozen(&self) -> Result<bool, Error> {
        if self.is_v2() {
            let events = self.read("", "cgroup.events")?.unwrap_or_default();
            return Ok(kernfs::value_of(&events, "frozen") == Some(1));
        }
        let state = self.read("freezer", "freezer.state")?;
        Ok(state.is_some_and(|state| state.trim() == "FROZEN"))
    }

    fn set(&self, frozen: bool) -> Result<(), Error> {
        let (controller, file, value) = match (self.is_v2(), frozen) {
            (true, true) => ("", "cgroup.freeze", "1"),
            (true, false) => ("", "cgroup.freeze", "0"),
            (false, true) => ("freezer", "freezer.state", "FROZEN"),
            (false, false) => ("freezer", "freezer.state", "THAWED"),
        };
        self.tree(controller)?.0.write(self.file(file), &[value])
    }

    fn not_in_time(&self, frozen: bool) -> Error {
        Error::Freeze { path: self.path(), wanted: if frozen { "frozen" } else { "thawed" } }
    }

    /// KERNEL: v1 stays at FREEZING while a task sleeps uninterruptibly or a new one appears; writing
    /// FROZEN again makes it look once more.
    fn freeze_v1(&self, frozen: bool) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        loop {
            self.set(frozen)?;
            let state = self.read("freezer", "freezer.state")?.unwrap_or_default();
            match (state.trim(), frozen) {
                ("FROZEN", true) | ("THAWED", false) => return Ok(()),
                _ if Instant::now() > deadline => return Err(self.not_in_time(frozen)),
                _ => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn freeze_v2(&self, frozen: bool) -> Result<(), Error> {
        let (dir, _) = self.tree("")?;
        let deadline = Instant::now() + PATIENCE;
        let events = dir.file(self.file("cgroup.events"), OFlags::RDONLY)?;
        self.set(frozen)?;
        // KERNEL: a poll reports changes since the last read of this descriptor, so read first.
        let mut text = [0; 256];
        loop {
            let n = rustix::io::pread(&events, &mut text, 0)
                .map_err(|errno| Error::Read { path: dir.at(self.file("cgroup.events")), errno })?;
            let text = String::from_utf8_lossy(&text[..n]).into_owned();
            if kernfs::value_of(&text, "frozen") == Some(u64::from(frozen)) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.not_in_time(frozen));
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut fds = [PollFd::new(&events, PollFlags::PRI)];
            let _ = rustix::event::poll(&mut fds, Some(&timeout));
        }
    }
}
