//! What follows from what is known of an end: pure.

use hull_types::{ByteSize, Signal, Timestamp};
use hull_wire as wire;
use wire::ExplainedFact;

use crate::container::View;
use crate::container::death::{Death, Oom};
use crate::container::step::Phase;

/// What was found beside the record.
pub(super) struct Seen {
    /// The last output.
    pub lines: Vec<String>,
    /// Owners of bind mounts that it complains of.
    pub binds: Vec<ExplainedFact>,
    /// The system call that the seccomp filter answered with death; empty where the kernel does not tell.
    pub denied: String,
}

/// The paragraph, the hint and the evidence.
pub(super) fn judge(view: &View, now: Timestamp, seen: Seen) -> wire::Postmortem {
    let (definition, state) = (&view.definition, &view.state);
    let name = format!("`{}`", definition.name);
    let death = state.death.as_deref();
    let (why, hint) = match (state.phase, death) {
        (Phase::Running | Phase::Paused | Phase::Stopping(_), None) => {
            (format!("{name} is running; no end is known of it."), String::new())
        }
        (Phase::Running | Phase::Paused | Phase::Stopping(_), Some(death)) => {
            let (why, hint) = ended(&name, view, death, &seen);
            (format!("{name} is running again since {}. Before: {why}", span(state.started, now)), hint)
        }
        (Phase::Created | Phase::Starting, _) if state.error.is_empty() => {
            (format!("{name} was never started."), String::new())
        }
        _ if !state.error.is_empty() && death.is_none_or(|death| death.unseen.is_empty()) => {
            (format!("{name} did not start: {}.", state.error.trim_end_matches('.').replace('\n', "; ")), String::new())
        }
        (_, None) => (format!("{name} ended by itself, with success (exit code 0)."), String::new()),
        (_, Some(death)) => ended(&name, view, death, &seen),
    };
    let hint = match (hint.is_empty(), seen.binds.is_empty()) {
        (true, false) => {
            "let the user of the container own the directory, or map its ids (`--userns auto`, idmap)".to_owned()
        }
        _ => hint,
    };
    let mut evidence = evidence(view, death);
    evidence.extend(seen.binds);
    wire::Postmortem {
        id: definition.id.to_string(),
        name: definition.name.to_string(),
        image: definition.config.image.clone(),
        status: state.phase.status().into(),
        removed: false,
        exit_code: death.map_or(state.exit_code, |death| death.code),
        why: format!("{why}{}", decision(view)),
        hint,
        evidence,
        last_lines: seen.lines,
    }
}

/// How a run ended, and what to do.
fn ended(name: &str, view: &View, death: &Death, seen: &Seen) -> (String, String) {
    let code = death.code;
    if !death.unseen.is_empty() {
        let why = death.unseen.trim_start_matches("exit code unknown: ");
        return (format!("{name} ended while nobody watched: {why}; its exit code is not known."), String::new());
    }
    if let Some(oom) = &death.oom {
        return starved(name, death, oom);
    }
    let sent = death.sent.as_ref();
    match (death.signal, sent) {
        (0, Some(sent)) if code == 0 || code == i64::from(128 + sent.signal) => (
            format!(
                "{name} ended by itself (exit code {code}) after hull had sent {}: {}.",
                signal(sent.signal),
                sent.why
            ),
            String::new(),
        ),
        (0, _) => itself(name, view, (code, &seen.lines)),
        (number, Some(sent)) if sent.signal == number => {
            let hint = if sent.why.contains("had not ended") {
                "its PID 1 does not end on that signal: handle it, run it with `--init`, or name another with `--stop-signal`"
            } else {
                ""
            };
            (
                format!("{name} was ended by {}, which hull sent: {} (exit code {code}).", signal(number), sent.why),
                hint.into(),
            )
        }
        (number, _) => foreign(name, number, death, &seen.denied),
    }
}

fn starved(name: &str, death: &Death, oom: &Oom) -> (String, String) {
    let size = |bytes: u64| ByteSize(i64::try_from(bytes).unwrap_or(i64::MAX)).human();
    let limit = match oom.limit {
        Some(limit) => format!("its limit of {} (--memory)", size(limit)),
        None => "the machine's memory, or a limit above its cgroup".to_owned(),
    };
    let peak = oom.peak.map(|peak| format!("; at most {} were used at once", size(peak))).unwrap_or_default();
    let victim =
        if oom.victim.is_empty() { String::new() } else { format!("; the kernel chose process {}", oom.victim) };
    let how = if death.signal == 9 {
        format!("{name} was killed by the kernel for want of memory")
    } else {
        format!(
            "in {name} the kernel killed {} of its processes for want of memory, and its PID 1 ended after that",
            oom.kills
        )
    };
    let why = format!("{how} (exit code {}): it reached {limit}{peak}{victim}.", death.code);
    (why, "give it more with `--memory`, or let it use less".into())
}

/// PID 1 called exit.
fn itself(name: &str, view: &View, (code, lines): (i64, &[String])) -> (String, String) {
    let command = view.definition.spec.process.argv.first().cloned().unwrap_or_default();
    if let (127, Some(library)) = (code, missing_library(lines)) {
        let why = format!(
            "{name} ended by itself with exit code 127: the loader of `{command}` did not find the library `{library}`."
        );
        return (why, "install the library in the image, or use a static binary".into());
    }
    let shell = i32::try_from(code - 128).ok().filter(|number| (1..=64).contains(number));
    match (code, shell) {
        (0, _) => (format!("{name} ended by itself, with success (exit code 0)."), String::new()),
        (126 | 127, _) => {
            let what = if code == 127 { "found" } else { "run" };
            (
                format!(
                    "{name} ended by itself with exit code {code}: as a shell does when a command could not be {what}."
                ),
                "its last output names the command".into(),
            )
        }
        (_, Some(number)) => (
            format!(
                "{name} ended by itself with exit code {code}: as a shell does when a command of its own was ended by {}.",
                signal(number)
            ),
            String::new(),
        ),
        _ => (format!("{name} ended by itself: its command `{command}` returned exit code {code}."), String::new()),
    }
}

/// The library that the loader says it lacks: glibc's words, and musl's.
fn missing_library(lines: &[String]) -> Option<&str> {
    const WORDS: [&str; 2] = ["error while loading shared libraries: ", "Error loading shared library "];
    lines.iter().rev().find_map(|line| {
        let (_, rest) = WORDS.iter().find_map(|words| line.split_once(words))?;
        Some(rest.split(':').next()?.trim())
    })
}

/// A signal that hull did not send.
fn foreign(name: &str, number: i32, death: &Death, denied: &str) -> (String, String) {
    let call = match denied {
        "" => "it made a system call that its seccomp filter answers with death".to_owned(),
        call => format!("it made the system call `{call}`, which its seccomp filter answers with death"),
    };
    let (whence, hint) = match number {
        31 => (
            call.as_str(),
            "`hull explain --syscall NAME` tells the filter's verdict while it runs; `--security-opt seccomp=FILE` changes it",
        ),
        4 | 7 | 8 | 11 => ("the kernel ended it for a fault of its program", ""),
        6 => ("its program gave itself up (abort)", ""),
        13 => ("it wrote into a pipe that nobody reads", ""),
        _ => ("hull did not send it: a process inside, or somebody on this host", ""),
    };
    let dumped = if death.dumped { ", and left a memory image" } else { "" };
    (format!("{name} was ended by {}{dumped}: {whence} (exit code {}).", signal(number), death.code), hint.into())
}

/// What the restart policy made of it.
fn decision(view: &View) -> String {
    let policy = &view.definition.host_config.restart_policy;
    let state = &view.state;
    let name = match (policy.name.as_str(), policy.maximum_retry_count) {
        ("" | "no", _) => return String::new(),
        ("on-failure", limit) if limit > 0 => format!("on-failure:{limit}"),
        (name, _) => name.to_owned(),
    };
    match state.phase {
        Phase::Backoff => {
            format!(" The policy `{name}` starts it again in a moment; it has done so {} times.", state.restarts)
        }
        Phase::Exited if state.manual => format!(" The policy `{name}` leaves it, since somebody stopped it."),
        Phase::Exited => format!(" The policy `{name}` leaves it, after {} restarts.", state.restarts),
        _ if state.restarts > 0 => format!(" The policy `{name}` has started it again {} times.", state.restarts),
        _ => String::new(),
    }
}

fn evidence(view: &View, death: Option<&Death>) -> Vec<ExplainedFact> {
    let fact = |name: &str, now: String, by: &str| ExplainedFact {
        name: name.into(),
        now,
        asked: String::new(),
        by: by.into(),
    };
    let mut found = Vec::new();
    if let Some(death) = death {
        found.push(fact("exit code", death.code.to_string(), ""));
        if death.signal != 0 {
            found.push(fact("signal", signal(death.signal), "from the exit record"));
        }
        if let Some(sent) = &death.sent {
            found.push(fact("sent by hull", signal(sent.signal), &sent.why));
        }
        found.push(fact("ran for", span(death.started, death.finished), ""));
        if let Some(oom) = &death.oom {
            found.push(fact("killed for memory", oom.kills.to_string(), "the cgroup's counter"));
        }
    }
    let health = view.state.health.as_ref().and_then(|health| health.log.last());
    if let Some(last) = health {
        let output: String = last.output.trim().chars().take(200).collect();
        found.push(fact("last health check", format!("exit code {}: {output}", last.exit_code), ""));
    }
    found
}

fn signal(number: i32) -> String {
    Signal::from_number(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.nanos().saturating_sub(from.nanos()).max(0) as f64 / 1e9;
    if seconds < 100.0 { format!("{seconds:.1} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_by_both_loaders() {
        let lines = |text: &str| vec!["before".to_owned(), text.to_owned()];
        let glibc = "/x: error while loading shared libraries: libz.so.1: cannot open shared object file: No such file";
        let musl = "Error loading shared library libz.so.1: No such file or directory (needed by /x)";
        assert_eq!(missing_library(&lines(glibc)), Some("libz.so.1"));
        assert_eq!(missing_library(&lines(musl)), Some("libz.so.1"));
        assert_eq!(missing_library(&lines("sh: frob: not found")), None);
    }
}
