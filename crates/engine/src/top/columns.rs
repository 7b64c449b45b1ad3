//! The columns of `ps` and how each is printed. Source: ps(1) of procps.

use super::process::{Host, Process};
use crate::error::Error;

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    kind: Kind,
    title: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Uid,
    RealUser,
    RealUid,
    Group,
    Gid,
    Pid,
    Ppid,
    Pgid,
    Sid,
    Cpu,
    PercentCpu,
    PercentMem,
    Stime,
    Lstart,
    Elapsed,
    ElapsedSeconds,
    Tty,
    Time,
    Cmd,
    Comm,
    State,
    Nice,
    Priority,
    Vsz,
    Rss,
    Threads,
    Processor,
}

/// Names for `-o`, the kind, the title.
const NAMES: [(&[&str], Kind, &str); 28] = [
    (&["user", "euser", "uname"], Kind::User, "USER"),
    (&["uid", "euid"], Kind::Uid, "UID"),
    (&["ruser"], Kind::RealUser, "RUSER"),
    (&["ruid"], Kind::RealUid, "RUID"),
    (&["group", "egroup"], Kind::Group, "GROUP"),
    (&["gid", "egid"], Kind::Gid, "GID"),
    (&["pid", "tgid"], Kind::Pid, "PID"),
    (&["ppid"], Kind::Ppid, "PPID"),
    (&["pgid", "pgrp"], Kind::Pgid, "PGID"),
    (&["sid", "sess", "session"], Kind::Sid, "SID"),
    (&["c"], Kind::Cpu, "C"),
    (&["%cpu", "pcpu"], Kind::PercentCpu, "%CPU"),
    (&["%mem", "pmem"], Kind::PercentMem, "%MEM"),
    (&["stime", "start", "start_time"], Kind::Stime, "STIME"),
    (&["lstart"], Kind::Lstart, "STARTED"),
    (&["etime"], Kind::Elapsed, "ELAPSED"),
    (&["etimes"], Kind::ElapsedSeconds, "ELAPSED"),
    (&["tty", "tt", "tname"], Kind::Tty, "TTY"),
    (&["time", "cputime"], Kind::Time, "TIME"),
    (&["cmd", "args", "command"], Kind::Cmd, "CMD"),
    (&["comm", "ucmd", "ucomm"], Kind::Comm, "COMMAND"),
    (&["state", "s", "stat"], Kind::State, "S"),
    (&["ni", "nice"], Kind::Nice, "NI"),
    (&["pri"], Kind::Priority, "PRI"),
    (&["vsz", "vsize"], Kind::Vsz, "VSZ"),
    (&["rss", "rssize", "rsz"], Kind::Rss, "RSS"),
    (&["nlwp", "thcount"], Kind::Threads, "NLWP"),
    (&["psr"], Kind::Processor, "PSR"),
];

/// `ps -ef`, docker's default. Its `UID` shows names.
const FULL: [(Kind, &str); 8] = [
    (Kind::User, "UID"),
    (Kind::Pid, "PID"),
    (Kind::Ppid, "PPID"),
    (Kind::Cpu, "C"),
    (Kind::Stime, "STIME"),
    (Kind::Tty, "TTY"),
    (Kind::Time, "TIME"),
    (Kind::Cmd, "CMD"),
];

/// `ps aux`.
const BSD: [(Kind, &str); 11] = [
    (Kind::User, "USER"),
    (Kind::Pid, "PID"),
    (Kind::PercentCpu, "%CPU"),
    (Kind::PercentMem, "%MEM"),
    (Kind::Vsz, "VSZ"),
    (Kind::Rss, "RSS"),
    (Kind::Tty, "TTY"),
    (Kind::State, "STAT"),
    (Kind::Stime, "START"),
    (Kind::Time, "TIME"),
    (Kind::Cmd, "COMMAND"),
];

/// Reads `ps` options: `-ef`, `aux`, and `-o`/`-eo`/`o` with column names.
pub(super) fn parse(args: &str) -> Result<Vec<Column>, Error> {
    let fixed = |columns: &[(Kind, &str)]| {
        columns.iter().map(|(kind, title)| Column { kind: *kind, title: Some((*title).to_owned()) }).collect()
    };
    let mut chosen: Vec<Column> = Vec::new();
    let mut bsd = false;
    let mut words = args.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-ef" | "-e" | "-f" | "-A" | "-fe" | "ef" => {}
            "aux" | "-aux" | "axu" | "au" | "ax" => bsd = true,
            "-o" | "-eo" | "o" | "-Ao" | "--format" => {
                let list = words.next().ok_or_else(|| unknown(word))?;
                columns(list, &mut chosen)?;
            }
            word => match word
                .strip_prefix("-eo")
                .or_else(|| word.strip_prefix("-o"))
                .or_else(|| word.strip_prefix("--format="))
            {
                Some(list) => columns(list, &mut chosen)?,
                None => return Err(unknown(word)),
            },
        }
    }
    Ok(match (chosen.is_empty(), bsd) {
        (false, _) => chosen,
        (true, true) => fixed(&BSD),
        (true, false) => fixed(&FULL),
    })
}

fn columns(list: &str, chosen: &mut Vec<Column>) -> Result<(), Error> {
    // `name=title` takes the rest of the list as its title, as ps does.
    let (names, title) = match list.split_once('=') {
        Some((names, title)) => (names, Some(title.to_owned())),
        None => (list, None),
    };
    for name in names.split(',') {
        let (_, kind, _) = NAMES.iter().find(|(known, ..)| known.contains(&name)).ok_or_else(|| unknown(name))?;
        chosen.push(Column { kind: *kind, title: None });
    }
    if let (Some(last), Some(title)) = (chosen.last_mut(), title) {
        last.title = Some(title);
    }
    Ok(())
}

fn unknown(word: &str) -> Error {
    Error::PsOption(word.chars().take(64).flat_map(char::escape_debug).collect())
}

impl Column {
    pub fn title(&self) -> String {
        let own = || NAMES.iter().find(|(_, kind, _)| *kind == self.kind).map_or("", |(.., title)| title);
        self.title.clone().unwrap_or_else(|| own().to_owned())
    }

    pub fn value(&self, p: &Process, host: &Host) -> String {
        let cpu_seconds = (p.utime + p.stime) / host.ticks.max(1);
        let age = host.uptime.saturating_sub(p.start / host.ticks.max(1));
        let tenths = |part: u64, whole: u64| {
            let tenths = (part * 1000).checked_div(whole).unwrap_or(0);
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        match self.kind {
            Kind::User => host.user(p.euid),
            Kind::Uid => p.euid.to_string(),
            Kind::RealUser => host.user(p.ruid),
            Kind::RealUid => p.ruid.to_string(),
            Kind::Group => host.group(p.egid),
            Kind::Gid => p.egid.to_string(),
            Kind::Pid => p.pid.to_string(),
            Kind::Ppid => p.ppid.to_string(),
            Kind::Pgid => p.pgid.to_string(),
            Kind::Sid => p.sid.to_string(),
            Kind::Cpu => (cpu_seconds * 100).checked_div(age).unwrap_or(0).min(99).to_string(),
            Kind::PercentCpu => tenths(cpu_seconds, age),
            Kind::PercentMem => tenths(p.rss_pages * host.page_kib, host.memory_kib),
            Kind::Stime => started(p, host, age < 86_400, "%H:%M", "%b%d"),
            Kind::Lstart => started(p, host, true, "%a %b %e %H:%M:%S %Y", ""),
            Kind::Elapsed => elapsed(age),
            Kind::ElapsedSeconds => age.to_string(),
            Kind::Tty => tty(p.tty),
            Kind::Time => format!("{:02}:{:02}:{:02}", cpu_seconds / 3600, cpu_seconds / 60 % 60, cpu_seconds % 60),
            Kind::Cmd => p.args.clone(),
            Kind::Comm => p.comm.clone(),
            Kind::State => p.state.to_string(),
            Kind::Nice => p.nice.to_string(),
            Kind::Priority => (39 - p.priority).to_string(),
            Kind::Vsz => (p.vsize / 1024).to_string(),
            Kind::Rss => (p.rss_pages * host.page_kib).to_string(),
            Kind::Threads => p.threads.to_string(),
            Kind::Processor => p.processor.to_string(),
        }
    }
}

fn started(p: &Process, host: &Host, recent: bool, short: &str, long: &str) -> String {
    let seconds = host.boot + i64::try_from(p.start / host.ticks.max(1)).unwrap_or(0);
    let Ok(time) = jiff::Timestamp::from_second(seconds) else { return "?".into() };
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    local.strftime(if recent { short } else { long }).to_string()
}

fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// The controlling terminal's name from its device number: pseudo terminals and the console.
fn tty(device: i32) -> String {
    let device = device.cast_unsigned();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        5 if minor == 1 => "console".into(),
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(args: &str) -> Result<String, String> {
        let columns = parse(args).map_err(|e| e.to_string())?;
        Ok(columns.iter().map(Column::title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_choose_columns() {
        let full = "UID PID PPID C STIME TTY TIME CMD";
        for (args, expected) in [
            ("", Ok(full)),
            ("-ef", Ok(full)),
            ("aux", Ok("USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND")),
            ("-o pid,user,args", Ok("PID USER CMD")),
            ("-eo pid,comm", Ok("PID COMMAND")),
            ("-opid", Ok("PID")),
            ("-o pid -o comm", Ok("PID COMMAND")),
            ("-o pid=NUMBER", Ok("NUMBER")),
            ("-o", Err("ps option `-o` is not supported")),
            ("-o nonsense", Err("ps option `nonsense` is not supported")),
            ("--forest", Err("ps option `--forest` is not supported")),
            ("-o pid;reboot", Err("ps option `pid;reboot` is not supported")),
        ] {
            assert_eq!(titles(args), expected.map(str::to_owned).map_err(str::to_owned), "{args}");
        }
    }

    #[test]
    fn values_are_printed_as_ps_prints_them() {
        let host = Host { ticks: 100, uptime: 1000, memory_kib: 1_000_000, page_kib: 4, ..Host::default() };
        let process = Process {
            pid: 7,
            utime: 36_600 * 10,
            start: 10_000,
            tty: 34816,
            rss_pages: 25_000,
            args: "sh -c true".into(),
            priority: 20,
            ..Process::default()
        };
        let row = |args: &str| {
            let columns = parse(args).unwrap();
            columns.iter().map(|c| c.value(&process, &host)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("-o pid,user,tty,time,args"), "7 0 pts/0 01:01:00 sh -c true");
        assert_eq!(row("-o %mem,rss,etime,pri,c"), "10.0 100000 15:00 19 99");
        assert_eq!((tty(0), tty(0x501)), ("?".into(), "console".into()));
        assert_eq!(elapsed(90_061), "1-01:01:01");
    }
}
