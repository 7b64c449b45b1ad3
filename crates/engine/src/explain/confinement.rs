//! What PID 1 may do: capabilities, system calls, resource limits, labels.

use std::fs;

use hull_confine::caps::CapSet;
use hull_confine::seccomp::{Arch, Kernel, Profile, Target};
use hull_launch::spec::{Process, SeccompWish};
use hull_types::Fault;
use hull_wire as wire;

use super::{Subject, fact};
use crate::container::View;
use crate::core::Core;

/// Names that one request may ask for.
const NAMES: usize = 100;

pub(super) fn explain(of: &Subject<'_>, syscalls: &[String]) -> Result<wire::ExplainedConfinement, Fault> {
    let bound = CapSet(of.status.bits("CapBnd"));
    let names = |set: CapSet| set.names().map(str::to_owned).collect();
    let mut facts = of_status(of);
    facts.push(label(of.view, &label_of(of.pid)));
    facts.extend(rlimits(of));
    let filtered = of.status.text("Seccomp") != "0";
    Ok(wire::ExplainedConfinement {
        kept: names(bound),
        dropped: names(of.core.parts.host.capabilities.without(bound)),
        effective: names(CapSet(of.status.bits("CapEff"))),
        by: cause_of_capabilities(of.view),
        facts,
        syscalls: verdicts(of.core, &of.view.definition.spec.process, filtered, syscalls)?,
    })
}

/// The flags that its set of capabilities follows from.
pub(super) fn cause_of_capabilities(view: &View) -> String {
    let host = &view.definition.host_config;
    match (host.privileged, host.cap_add.is_empty() && host.cap_drop.is_empty()) {
        (true, _) => "--privileged".to_owned(),
        (false, true) => "docker's default set".to_owned(),
        (false, false) => {
            let flags =
                |flag: &str, list: &[String]| list.iter().map(|cap| format!("{flag} {cap}")).collect::<Vec<_>>();
            [flags("--cap-add", &host.cap_add), flags("--cap-drop", &host.cap_drop)].concat().join(" ")
        }
    }
}

/// Of a container that does not run.
pub(super) fn asked_for(view: &View) -> Vec<wire::ExplainedFact> {
    let mut facts = wishes(view, Now::default());
    facts.push(label(view, ""));
    let number = |limit: i64| if limit == -1 { "unlimited".to_owned() } else { limit.to_string() };
    let ulimits = view.definition.host_config.resources.ulimits.iter();
    facts.extend(ulimits.map(|one| {
        let asked = format!("soft {}, hard {}", number(one.soft), number(one.hard));
        fact(word(&one.name), "", asked, "--ulimit")
    }));
    facts
}

/// What the kernel says; empty where there is no process.
#[derive(Default)]
struct Now {
    seccomp: String,
    no_new_privileges: String,
    oom_score: String,
}

fn of_status(of: &Subject<'_>) -> Vec<wire::ExplainedFact> {
    let seccomp = match of.status.text("Seccomp") {
        "0" => "off: every system call is allowed".to_owned(),
        "1" => "strict".to_owned(),
        "2" => format!("filter ({} program)", of.status.text("Seccomp_filters")),
        other => other.to_owned(),
    };
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", of.pid)).unwrap_or_default();
    let no_new_privileges = of.status.text("NoNewPrivs").to_owned();
    wishes(of.view, Now { seccomp, no_new_privileges, oom_score: score.trim().to_owned() })
}

fn wishes(view: &View, now: Now) -> Vec<wire::ExplainedFact> {
    let process = &view.definition.spec.process;
    let (profile, by) = match (&process.seccomp, view.definition.host_config.privileged) {
        (SeccompWish::Default, _) => ("hull's default profile (docker's)", ""),
        (SeccompWish::Unconfined, true) => ("unconfined", "--privileged"),
        (SeccompWish::Unconfined, false) => ("unconfined", "--security-opt seccomp=unconfined"),
        (SeccompWish::Profile(_), _) => ("a profile of the user's", "--security-opt seccomp=FILE"),
    };
    let bit = |set: bool| if set { "1" } else { "0" };
    let flag = |set: bool, flag: &'static str| if set { flag } else { "" };
    let wish = process.no_new_privileges;
    let asked = process.oom_score_adj.as_ref().filter(|score| score.required);
    vec![
        fact("seccomp", now.seccomp, profile, by),
        fact("no new privileges", now.no_new_privileges, bit(wish), flag(wish, "--security-opt no-new-privileges")),
        fact(
            "oom score",
            now.oom_score,
            asked.map(|score| score.value.to_string()).unwrap_or_default(),
            flag(asked.is_some(), "--oom-score-adj"),
        ),
    ]
}

/// The label of the process, by whichever module the kernel has.
fn label_of(pid: i32) -> String {
    let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap_or_default();
    match label.trim_end_matches(['\0', '\n']) {
        "" => "none: no security module labels processes here".to_owned(),
        label => label.to_owned(),
    }
}

fn label(view: &View, now: &str) -> wire::ExplainedFact {
    let lsm = &view.definition.spec.process.lsm;
    let asked = lsm.apparmor.clone().or_else(|| lsm.selinux_process.clone()).unwrap_or_default();
    let by = if asked.is_empty() { "" } else { "--security-opt" };
    fact("security label", now, asked, by)
}

/// Source: proc_pid_limits(5): a name of several words, then soft, hard and unit in columns.
fn rlimits(of: &Subject<'_>) -> Vec<wire::ExplainedFact> {
    let text = fs::read_to_string(format!("/proc/{}/limits", of.pid)).unwrap_or_default();
    let asked = &of.view.definition.host_config.resources.ulimits;
    let row = |line: &str| {
        let (name, values) = (line.get(..25)?.trim(), line.get(25..)?);
        let mut values = values.split_whitespace();
        let now = format!("soft {}, hard {}", values.next()?, values.next()?);
        let wish = asked.iter().find(|one| word(&one.name) == name);
        let number = |limit: i64| if limit == -1 { "unlimited".to_owned() } else { limit.to_string() };
        let text = wish.map(|one| format!("soft {}, hard {}", number(one.soft), number(one.hard))).unwrap_or_default();
        Some(fact(name, now, text, if wish.is_some() { "--ulimit" } else { "" }))
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// The kernel's words for docker's name of a limit.
fn word(name: &str) -> &'static str {
    match name {
        "as" => "Max address space",
        "core" => "Max core file size",
        "cpu" => "Max cpu time",
        "data" => "Max data size",
        "fsize" => "Max file size",
        "locks" => "Max file locks",
        "memlock" => "Max locked memory",
        "msgqueue" => "Max msgqueue size",
        "nice" => "Max nice priority",
        "nofile" => "Max open files",
        "nproc" => "Max processes",
        "rss" => "Max resident set",
        "rtprio" => "Max realtime priority",
        "rttime" => "Max realtime timeout",
        "sigpending" => "Max pending signals",
        "stack" => "Max stack size",
        _ => "",
    }
}

/// What the filter says of each of these calls. `filtered`: there is one.
pub(super) fn verdicts(
    core: &Core,
    process: &Process,
    filtered: bool,
    names: &[String],
) -> Result<Vec<wire::ExplainedFact>, Fault> {
    if names.len() > NAMES {
        return Err(Fault::invalid(format!("at most {NAMES} system calls can be asked for at once")));
    }
    let target = Target {
        arch: Arch::NATIVE,
        caps: CapSet(process.capabilities),
        kernel: core.parts.host.release.parse::<Kernel>()?,
    };
    let own;
    let profile = match &process.seccomp {
        _ if !filtered => None,
        SeccompWish::Unconfined => None,
        SeccompWish::Default => Some(Profile::builtin()),
        SeccompWish::Profile(text) => {
            own = Profile::parse(text)?;
            Some(&own)
        }
    };
    let verdict = |name: &String| {
        let Some(profile) = profile else { return Ok(fact(name, "allowed: there is no filter", "", "")) };
        let told = profile.told(&target, name).ok_or_else(|| {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            Fault::invalid(format!("`{shown}` is no system call that hull knows"))
        })?;
        let words = told.into_iter().map(|(condition, action)| match condition.as_str() {
            "" => action.words(),
            condition => format!("{} if {condition}", action.words()),
        });
        Ok(fact(name, words.collect::<Vec<_>>().join("; otherwise "), "", "seccomp"))
    };
    names.iter().map(verdict).collect()
}
