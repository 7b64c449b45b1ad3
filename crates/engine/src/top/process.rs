//! One process as `/proc` tells it, and what is needed of the host to print it.

use std::collections::HashMap;
use std::fs;

/// What is the same for all processes.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub ticks: u64,
    /// Seconds since 1970 at boot.
    pub boot: i64,
    /// Seconds since boot.
    pub uptime: u64,
    pub memory_kib: u64,
    pub page_kib: u64,
    pub users: HashMap<u32, String>,
    pub groups: HashMap<u32, String>,
}

impl Host {
    pub fn read() -> Self {
        let now = hull_types::Timestamp::now().secs();
        let uptime =
            fs::read_to_string("/proc/uptime").ok().and_then(|t| t.split('.').next()?.parse().ok()).unwrap_or(0_u64);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            ticks: rustix::param::clock_ticks_per_second().max(1),
            boot: now - i64::try_from(uptime).unwrap_or(0),
            uptime,
            memory_kib: number_after(&memory, "MemTotal:"),
            page_kib: rustix::param::page_size() as u64 / 1024,
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
        }
    }

    pub fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    pub fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

fn names(path: &str) -> HashMap<u32, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(|id| id.parse().ok())) {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// One process.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub pid: i32,
    pub comm: String,
    pub args: String,
    pub state: char,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
    pub tty: i32,
    pub utime: u64,
    pub stime: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: i64,
    /// Ticks after boot.
    pub start: u64,
    pub vsize: u64,
    pub rss_pages: u64,
    pub processor: i64,
    pub ruid: u32,
    pub euid: u32,
    pub rgid: u32,
    pub egid: u32,
}

/// Reads a process; `None` if it is gone.
pub(crate) fn read(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let mut process = parse_stat(&String::from_utf8_lossy(&stat))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    (process.ruid, process.euid) = ids(&status, "Uid:");
    (process.rgid, process.egid) = ids(&status, "Gid:");
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    process.args = printable(&cmdline);
    if process.args.is_empty() {
        process.args = format!("[{}]", process.comm);
    }
    Some(process)
}

/// `pid (comm) state ppid …`; comm may contain anything, also `)`. Source: proc_pid_stat(5).
fn parse_stat(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, comm) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // Field 3 of the manual page is the first here.
    let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<i64>().ok()).unwrap_or(0);
    let narrow = |n: usize| i32::try_from(number(n)).unwrap_or(0);
    let count = |n: usize| u64::try_from(number(n)).unwrap_or(0);
    Some(Process {
        pid: pid.trim().parse().ok()?,
        comm: printable(comm.as_bytes()),
        state: fields.first()?.chars().next()?,
        ppid: narrow(4),
        pgid: narrow(5),
        sid: narrow(6),
        tty: narrow(7),
        utime: count(14),
        stime: count(15),
        priority: number(18),
        nice: number(19),
        threads: number(20),
        start: count(22),
        vsize: count(23),
        rss_pages: count(24),
        processor: number(39),
        ..Process::default()
    })
}

/// NULs are spaces; control characters of a hostile command line are shown as `?`.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.trim_end_matches('\0').chars().map(|c| match c {
        '\0' => ' ',
        c if c.is_control() => '?',
        c => c,
    });
    shown.collect()
}

fn ids(status: &str, key: &str) -> (u32, u32) {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let mut numbers = line.split_whitespace().filter_map(|n| n.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn number_after(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let tail = "S 1 2 3 34816 5 6 7 8 9 10 110 120 13 14 20 -5 3 0 999 4096 17";
        let process = parse_stat(&format!("42 (a) R 9 (x\n) {tail}")).unwrap();
        assert_eq!((process.pid, process.comm.as_str(), process.state), (42, "a) R 9 (x?", 'S'));
        assert_eq!((process.ppid, process.tty, process.utime, process.stime), (1, 34816, 110, 120));
        assert_eq!((process.priority, process.nice, process.threads, process.start), (20, -5, 3, 999));
        assert_eq!(parse_stat("nonsense"), None);
        assert_eq!(printable(b"sh\0-c\0echo \x1b[2J\0"), "sh -c echo ?[2J");
    }

    #[test]
    fn this_process_can_be_read() {
        let own = read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.threads >= 1 && own.rss_pages > 0 && !own.args.is_empty());
    }
}
