//! Identity, capabilities, filters, environment; and execs.

use super::fixture::*;
use crate::compile::{CgroupJoin, Error, compile_exec};
use crate::plan::{Namespaces, Step};
use crate::spec::{ExecSpec, Process};

fn exec(change: impl FnOnce(&mut Process, &mut crate::compile::ExecFacts)) -> crate::plan::LaunchPlan {
    let (mut process, mut facts) = (process(), exec_facts());
    change(&mut process, &mut facts);
    compile_exec(&ExecSpec { process, privileged: false }, &facts).expect("compiles").plan
}

#[test]
fn only_root_holds_its_capabilities() {
    for (uid, own) in [(0, 0xa804_25fb), (1000, 0)] {
        let steps = steps(|_, facts| facts.who.uid = uid);
        let set =
            Step::Capabilities { bounding: 0xa804_25fb, permitted: own, effective: own, inheritable: 0, ambient: 0 };
        assert!(steps.contains(&set), "{uid}");
    }
}

#[test]
fn identity_is_exactly_what_was_resolved() {
    let steps = steps(|_, facts| {
        (facts.who.uid, facts.who.gid, facts.who.groups) = (5, 6, vec![6, 77]);
    });
    assert!(steps.contains(&Step::Identity { uid: 5, gid: 6, groups: vec![6, 77] }));
}

#[test]
fn no_filter_is_loaded_where_none_was_compiled() {
    let steps = steps(|_, facts| facts.seccomp = None);
    assert!(!steps.iter().any(|step| matches!(step, Step::Seccomp { .. })));
}

#[test]
fn labels_are_written_only_where_the_module_is_active() {
    for active in [false, true] {
        let steps = steps(|spec, facts| {
            spec.process.lsm.apparmor = Some("p".into());
            spec.process.lsm.selinux_process = Some("l".into());
            (facts.apparmor, facts.selinux) = (active, active);
        });
        let labels = steps.iter().filter(|step| matches!(step, Step::LsmLabel { .. })).count();
        assert_eq!(labels, if active { 2 } else { 0 });
    }
}

#[test]
fn the_environment_gets_a_home() {
    let env = |list: &[&str], home: &str| {
        let plan = plan(|spec, facts| {
            spec.process.env = list.iter().map(|pair| (*pair).to_owned()).collect();
            facts.who.home = home.to_owned();
        });
        plan.plan.exec.env.into_iter().map(|pair| pair.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(env(&["A=1"], "/home/x"), ["A=1", "HOME=/home/x"]);
    assert_eq!(env(&["HOME=/own"], "/home/x"), ["HOME=/own"]);
    assert_eq!(env(&[], ""), ["HOME=/"]);
}

#[test]
fn nul_bytes_are_refused() {
    for change in [(|p: &mut Process| p.argv.push("a\0b".into())) as fn(&mut Process), |p| p.env.push("A=\0".into())] {
        let mut process = process();
        change(&mut process);
        let spec = ExecSpec { process, privileged: false };
        assert!(matches!(compile_exec(&spec, &exec_facts()), Err(Error::Nul { .. })));
    }
    let empty = ExecSpec { process: Process { argv: vec![], ..process() }, privileged: false };
    assert_eq!(compile_exec(&empty, &exec_facts()), Err(Error::NoCommand));
}

#[test]
fn an_exec_enters_by_the_pidfd_and_touches_no_mounts() {
    let plan = exec(|_, _| {});
    assert_eq!((plan.clone.join_pid, plan.clone.cgroup), (Some(OTHER), Some(TASKS)));
    assert!(plan.clone.new.is_empty());
    let enter = Step::Enter { fd: OTHER, namespaces: Namespaces::MOUNT.and(Namespaces::NETWORK) };
    assert!(plan.steps.contains(&enter));
    assert!(plan.steps.contains(&Step::Workdir { path: "/".into(), create: false }));
    let foreign = |step: &Step| {
        target(step).is_some()
            || matches!(step, Step::AttachRoot { .. } | Step::PivotRoot | Step::Remount { .. } | Step::Hostname(_))
    };
    assert!(!plan.steps.iter().any(foreign));
}

#[test]
fn an_exec_joins_v1_cgroups_first_and_becomes_root_of_a_user_namespace() {
    let plan = exec(|_, facts| {
        facts.cgroup = Some(CgroupJoin::V1(vec![TASKS]));
        facts.namespaces = facts.namespaces.and(Namespaces::USER);
        facts.own_pid = false;
    });
    assert_eq!(plan.clone.join_pid, None);
    assert_eq!(plan.steps[0], Step::JoinCgroups { tasks: vec![TASKS] });
    let enter = at(&plan.steps, |step| matches!(step, Step::Enter { .. }));
    assert_eq!(plan.steps[enter + 1], Step::BecomeNamespaceRoot);
}

#[test]
fn an_execs_terminal_is_not_the_console() {
    let plan = exec(|_, facts| facts.streams = crate::compile::Streams::Terminal { rows: 2, columns: 3 });
    let terminal = Step::Terminal { rows: 2, columns: 3, console: false, owner: 0 };
    assert!(plan.steps.contains(&terminal));
}
