//! Out-of-memory kills: the kernel's counter, and a descriptor that becomes readable when it may
//! have changed.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::fs::OFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};

use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs;

impl Cgroup {
    /// How many processes the kernel has killed here for want of memory. 0 where it does not count.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        let file = if self.is_v2() { "memory.events" } else { "memory.oom_control" };
        let text = self.read("memory", file)?.unwrap_or_default();
        Ok(kernfs::value_of(&text, "oom_kill").unwrap_or(0))
    }

    /// The most memory in bytes that was used at once. `None`: the kernel does not keep it (v2 before 5.19).
    pub fn memory_peak(&self) -> Result<Option<u64>, Error> {
        self.number("memory", if self.is_v2() { "memory.peak" } else { "memory.max_usage_in_bytes" })
    }

    /// A non-blocking descriptor that becomes readable when the group runs out of memory (or is
    /// removed). Read it empty, then compare [`Cgroup::oom_kills`]. An eventfd on v1, an inotify
    /// descriptor on v2.
    pub fn oom_watch(&self) -> Result<OwnedFd, Error> {
        if self.is_v2() { self.watch_v2() } else { self.watch_v1() }
    }

    fn watch_v1(&self) -> Result<OwnedFd, Error> {
        let (dir, _) = self.tree("memory")?;
        let failed = |errno| Error::Watch { path: dir.at(self.file("memory.oom_control")), errno };
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let control = dir.file(self.file("memory.oom_control"), OFlags::RDONLY)?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        dir.write(self.file("cgroup.event_control"), &[line])?;
        Ok(event)
    }

    fn watch_v2(&self) -> Result<OwnedFd, Error> {
        let (dir, _) = self.tree("memory")?;
        let path = dir.at(self.file("memory.events"));
        let failed = |errno| Error::Watch { path: path.clone(), errno };
        let events = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        let file = dir.file(self.file("memory.events"), OFlags::RDONLY | OFlags::PATH)?;
        // inotify takes a path only; this one names the descriptor, not what the path may be by now.
        let name = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        rustix::fs::inotify::add_watch(&events, name, WatchFlags::MODIFY).map_err(failed)?;
        Ok(events)
    }
}
