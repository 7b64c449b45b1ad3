//! How a run ended, as far as only this moment can tell: what the kernel's counters said before the cgroup went, and what hull
//! itself had sent.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use hull_cgroup::{Cgroup, What};
use hull_confine::seccomp::{Arch, syscall_name};
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
    /// The number on the host of one that its seccomp filter ended, by which the kernel's log tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<i32>,
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
    choice(&kernel_log()?, id)
}

/// The system call for which the kernel ended a process of this number, by its audit record, which may come a moment later
/// than the end. Blocks.
pub(crate) fn denied(pid: i32) -> Option<String> {
    call(&kernel_log()?, pid)
}

/// The records of the kernel's log, the oldest first.
fn kernel_log() -> Option<Vec<String>> {
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
    Some(lines)
}

/// `audit: type=1326 … pid=7 comm="mkdir" … sig=31 arch=c000003e syscall=83 …`: `AUDIT_SECCOMP`.
fn call(lines: &[String], pid: i32) -> Option<String> {
    let line = lines.iter().rfind(|line| line.contains("type=1326 ") && line.contains(&format!(" pid={pid} ")))?;
    let word = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    // Source: <linux/audit.h>, AUDIT_ARCH_*.
    let arch = match word("arch=")? {
        "c000003e" => Arch::X86_64,
        "40000003" => Arch::X86,
        "c00000b7" => Arch::Aarch64,
        "40000028" => Arch::Arm,
        _ => return None,
    };
    Some(syscall_name(arch, word("syscall=")?.parse().ok()?)?.to_owned())
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

    #[test]
    fn the_call_that_was_denied_is_found_by_the_number_of_the_process() {
        let record = |pid: i32, arch: &str, number: u32| {
            let who = format!("auid=4294967295 uid=0 gid=0 ses=4294967295 pid={pid} comm=\"x\" exe=\"/bin/x\"");
            format!(
                "5,9,1,-;audit: type=1326 audit(1.2:3): {who} sig=31 arch={arch} syscall={number} compat=0 code=0x80000000\n"
            )
        };
        let lines =
            [record(7, "c000003e", 83), record(8, "c00000b7", 34), record(7, "40000003", 39), record(9, "0", 1)];
        let found = [7, 8, 9, 70].map(|pid| call(&lines, pid));
        assert_eq!(found, [Some("mkdir".into()), Some("mkdirat".into()), None, None]);
    }
}
