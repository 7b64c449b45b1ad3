//! What stands before what, in every plan.

use super::fixture::*;
use crate::compile::{CgroupJoin, Facts, Streams};
use crate::plan::Step;
use crate::spec::{MountKind, MountWish, NamespaceWish, OomScore, RlimitWish, Spec, Userns};

type Change = fn(&mut Spec, &mut Facts);

const CHANGES: &[Change] = &[
    |_, _| {},
    |spec, _| spec.process.no_new_privileges = true,
    |spec, _| spec.readonly_root = true,
    |spec, _| spec.privileged = true,
    |spec, facts| {
        spec.namespaces.user = Userns::Auto { size: 65_536 };
        facts.joined.user = Some(USERNS);
        facts.joined.net = None;
    },
    |spec, _| spec.namespaces.time = NamespaceWish::New,
    |_, facts| facts.cgroup = Some(CgroupJoin::V1(vec![TASKS])),
    |_, facts| facts.streams = Streams::Terminal { rows: 1, columns: 1 },
    |spec, _| {
        spec.init = true;
        spec.process.rlimits = vec![RlimitWish { resource: 7, soft: 1, hard: 1, required: true }];
        spec.process.oom_score_adj = Some(OomScore { value: 1, required: false });
        spec.sysctls.insert("net/x".into(), "1".into());
        let kind = MountKind::Tmpfs { options: vec![], attrs: 0, copy_up: false };
        spec.mounts = vec![MountWish { target: "/t".into(), kind }];
    },
];

/// The phase of a step; phases never go back.
fn phase(step: &Step) -> u32 {
    match step {
        Step::JoinCgroups { .. } => 0,
        Step::OomScoreAdj { .. } | Step::Keyring => 1,
        Step::Unshare { namespaces } if namespaces.0 == 0x80 => 2,
        Step::TimeOffsets { .. } => 2,
        Step::Enter { .. } => 3,
        Step::BecomeNamespaceRoot => 4,
        Step::Rebirth { .. } => 5,
        Step::Unshare { .. } => 6,
        Step::Hostname(_) | Step::Domainname(_) | Step::LoopbackUp | Step::Sysctl { .. } => 7,
        Step::AttachRoot { .. } => 8,
        Step::Attach { .. } | Step::NewMount { .. } | Step::TmpfsCopyUp { .. } => 9,
        Step::Device { .. } | Step::Symlink { .. } => 9,
        Step::Remount { path, .. } if path.as_os_str() != "/" => 9,
        Step::ReadonlyPath(_) => 10,
        Step::MaskedPath(_) => 11,
        Step::Terminal { .. } | Step::Session | Step::Stdio { .. } => 12,
        Step::PivotRoot => 13,
        Step::Workdir { .. } => 14,
        Step::Remount { .. } => 15,
        Step::LsmLabel { .. } => 16,
        Step::Rlimit { .. } | Step::Umask(_) => 17,
        Step::Seccomp { .. } => 18,
        Step::Identity { .. } => 19,
        Step::Capabilities { .. } => 20,
        Step::NoNewPrivileges => 21,
        Step::Init => 23,
        Step::NamedKeyring(_)
        | Step::ForgetPeers
        | Step::Sync(_)
        | Step::Hooks(_)
        | Step::ChangeRoot
        | Step::OwnStreams { .. }
        | Step::Scheduler(_)
        | Step::IoPriority { .. }
        | Step::Personality(_)
        | Step::Affinity(_)
        | Step::SeccompListener { .. }
        | Step::AwaitStart { .. } => panic!("only a bundle has {step:?}"),
    }
}

#[test]
fn every_plan_goes_through_the_phases_in_order() {
    for (index, change) in CHANGES.iter().enumerate() {
        let steps = steps(change);
        let late_filter = steps.contains(&Step::NoNewPrivileges);
        let phases = steps.iter().map(|step| match step {
            Step::Seccomp { .. } if late_filter => 22,
            step => phase(step),
        });
        let phases: Vec<u32> = phases.collect();
        let back = phases.windows(2).position(|pair| pair[0] > pair[1]);
        assert_eq!(back, None, "change {index}: {:#?}", back.map(|at| &steps[at..at + 2]));
    }
}

#[test]
fn no_plan_lacks_its_boundary() {
    for change in CHANGES {
        let steps = steps(change);
        for (what, fits) in [
            ("root", (|step| matches!(step, Step::AttachRoot { mount, .. } if *mount == ROOT)) as fn(&Step) -> bool),
            ("pivot", |step| *step == Step::PivotRoot),
            ("capabilities", |step| matches!(step, Step::Capabilities { inheritable: 0, ambient: 0, .. })),
            ("identity", |step| matches!(step, Step::Identity { .. })),
            ("filter", |step| matches!(step, Step::Seccomp { .. })),
            ("directory", |step| matches!(step, Step::Workdir { create: true, .. })),
        ] {
            assert_eq!(steps.iter().filter(|step| fits(step)).count(), 1, "{what}");
        }
    }
}
