//! How a run ended, as far as only this moment can tell: what the kernel's counters said before the cgroup went, and what hull
//! itself had sent.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use hull_cgroup::{Cgroup, What};
use hull_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Records of the kernel's log that are looked through at most.
const RECORDS: usize = 50_000;
/// Longer than any record.
const RECORD: usize = 16 << 10;

/// The end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Death {
    pub code: i64,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// The signal that ended PID 1; 0: it ended by itself, or nobody knows.
    pub signal: i32,
    /// It left a memory image.
    pub dumped: bool,
    /// Why nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unseen: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom: Option<Oom>,
}

/// A signal that hull sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub signal: i32,
    pub why: String,
}

/// The kernel killed for want of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Oom {
    pub kills: u64,
    /// Bytes; none: no limit, or none that can be read.
    pub limit: Option<u64>,
    /// Bytes at most.
    pub peak: Option<u64>,
    /// The kernel's words on the process it chose; empty where its log cannot be read.
    pub victim: String,
}

impl Oom {
    /// `None`: nothing was killed for want of memory. Blocks.
    pub fn of(group: &Cgroup) -> Option<Self> {
        let kills = group.oom_kills().ok().filter(|kills| *kills > 0)?;
        let limits = group.look().unwrap_or_default();
        let limit = limits.iter().find(|limit| limit.what == What::Memory);
        let limit = limit.and_then(|limit| limit.written.parse().ok()).filter(|limit: &u64| *limit < 1 << 62);
        let victim = victim(group.id()).unwrap_or_default();
        Some(Self { kills, limit, peak: group.memory_peak().ok().flatten(), victim })
    }
}

/// What the kernel's log says of its latest choice in the cgroup of this name.
fn victim(id: &str) -> Option<String> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let mut log = File::options().read(true).custom_flags(i32::try_from(flags).ok()?).open("/dev/kmsg").ok()?;
    let mut record = vec![0; RECORD];
    let mut lines = Vec::new();
    for _ in 0..RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => lines.push(String::from_utf8_lossy(&record[..length]).into_owned()),
            // The oldest records were overwritten meanwhile.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => break,
        }
    }
    choice(&lines, id)
}

/// The line `oom-kill:…task_memcg=/…/ID,task=…,pid=…`, then `…Killed process PID (name) …`.
fn choice(lines: &[String], id: &str) -> Option<String> {
    let at = lines.iter().rposition(|line| line.contains("oom-kill:") && line.contains(id))?;
    let after = lines[at..].iter().find_map(|line| Some(line.split_once("Killed process ")?.1))?;
    let words = after.lines().next()?.split(" UID:").next()?;
    Some(words.trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_choice_is_found_by_the_name_of_the_cgroup() {
        let line = |text: &str| text.to_owned();
        let lines = [
            line(
                "3,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/hull/aa,task_memcg=/hull/aa,task=x,pid=7,uid=0\n",
            ),
            line(
                "3,2,1,-;Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:1kB, UID:0 pgtables:1kB\n",
            ),
            line(
                "3,3,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/hull/bb,task_memcg=/hull/bb,task=tail,pid=9,uid=0\n",
            ),
            line(
                "3,4,1,-;Memory cgroup out of memory: Killed process 9 (tail) total-vm:90kB, anon-rss:64kB, UID:0 pgtables:1kB\n",
            ),
        ];
        assert_eq!(choice(&lines, "aa").as_deref(), Some("7 (x) total-vm:1kB, anon-rss:1kB"));
        assert_eq!(choice(&lines, "bb").as_deref(), Some("9 (tail) total-vm:90kB, anon-rss:64kB"));
        assert_eq!(choice(&lines, "cc"), None);
    }
}
