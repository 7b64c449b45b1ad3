//! One wish each.

use super::fixture::*;
use crate::compile::{CgroupJoin, CgroupMount, Mqueue, Streams};
use crate::plan::{Attrs, Namespaces, Slot, Step};
use crate::spec::{NamespaceWish, OomScore, RlimitWish, Shm, TimeOffsets, Userns};

const ALL_NEW: Namespaces = Namespaces::MOUNT.and(Namespaces::PID).and(Namespaces::UTS).and(Namespaces::IPC);

#[test]
fn a_plain_container_gets_new_namespaces_and_joins_the_pooled_network() {
    let plan = plan(|_, _| {}).plan;
    assert_eq!(plan.clone.new, ALL_NEW);
    assert_eq!((plan.clone.join_pid, plan.clone.cgroup), (None, Some(TASKS)));
    assert!(plan.steps.contains(&Step::Enter { fd: NETNS, namespaces: Namespaces::NETWORK }));
    assert!(plan.steps.contains(&Step::Unshare { namespaces: Namespaces::CGROUP }));
    assert!(plan.steps.contains(&Step::Hostname("box".into())));
    assert!(!plan.steps.contains(&Step::LoopbackUp), "the pool has set it up");
    assert_eq!(plan.key, "k");
}

#[test]
fn a_network_namespace_that_is_not_from_the_pool_is_made_and_lo_set_up() {
    let plan = plan(|_, facts| facts.joined.net = None).plan;
    assert_eq!(plan.clone.new, ALL_NEW.and(Namespaces::NETWORK));
    assert!(plan.steps.contains(&Step::LoopbackUp));
}

#[test]
fn the_hosts_namespaces_are_neither_made_nor_joined() {
    let plan = plan(|spec, facts| {
        let wish = &mut spec.namespaces;
        for one in [&mut wish.pid, &mut wish.uts, &mut wish.ipc, &mut wish.net, &mut wish.cgroup] {
            *one = NamespaceWish::Host;
        }
        facts.joined.net = None;
    })
    .plan;
    assert_eq!(plan.clone.new, Namespaces::MOUNT);
    let touches =
        |step: &Step| matches!(step, Step::Enter { .. } | Step::Unshare { .. } | Step::Hostname(_) | Step::LoopbackUp);
    assert!(!plan.steps.iter().any(touches));
}

#[test]
fn another_containers_namespaces_are_entered_by_one_descriptor() {
    let plan = plan(|spec, facts| {
        let wish = &mut spec.namespaces;
        for one in [&mut wish.pid, &mut wish.uts, &mut wish.ipc, &mut wish.net, &mut wish.cgroup, &mut wish.time] {
            *one = NamespaceWish::Container("x".into());
        }
        let joined = &mut facts.joined;
        for one in
            [&mut joined.pid, &mut joined.uts, &mut joined.ipc, &mut joined.net, &mut joined.cgroup, &mut joined.time]
        {
            *one = Some(OTHER);
        }
        spec.shm = Shm::Shared;
        facts.shm = Some(Slot(30));
    })
    .plan;
    assert_eq!((plan.clone.new, plan.clone.join_pid), (Namespaces::MOUNT, Some(OTHER)));
    let all =
        Namespaces::UTS.and(Namespaces::IPC).and(Namespaces::NETWORK).and(Namespaces::CGROUP).and(Namespaces::TIME);
    assert!(plan.steps.contains(&Step::Enter { fd: OTHER, namespaces: all }));
    assert!(matches!(mounted(&plan.steps, "/dev/shm"), Step::Attach { mount: Slot(30), .. }));
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Hostname(_) | Step::Unshare { .. })));
}

#[test]
fn a_user_namespace_is_entered_before_the_rest_is_made_inside_it() {
    let plan = plan(|spec, facts| {
        spec.namespaces.user = Userns::Auto { size: 65_536 };
        facts.joined.user = Some(USERNS);
        facts.joined.net = None;
        facts.id_maps = Some(maps());
        facts.devices = vec![null(Some(Slot(31)))];
    })
    .plan;
    assert!(plan.clone.new.is_empty());
    let enter = at(&plan.steps, |step| *step == Step::Enter { fd: USERNS, namespaces: Namespaces::USER });
    assert_eq!(plan.steps[enter + 1], Step::BecomeNamespaceRoot);
    assert_eq!(plan.steps[enter + 2], Step::Rebirth { new: ALL_NEW.and(Namespaces::NETWORK) });
    assert!(matches!(mounted(&plan.steps, "/dev/null"), Step::Attach { mount: Slot(31), .. }));
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Device { .. })));
}

#[test]
fn what_a_user_namespace_does_not_own_is_bound_from_outside() {
    let steps = steps(|spec, facts| {
        spec.namespaces.user = Userns::Auto { size: 65_536 };
        facts.joined.user = Some(USERNS);
        (facts.sysfs, facts.procfs, facts.mqueue) = (Some(Slot(32)), Some(Slot(33)), Mqueue::Shared(Slot(34)));
    });
    let Step::Attach { mount: Slot(32), attrs, .. } = mounted(&steps, "/sys") else { panic!("{steps:#?}") };
    assert_eq!((attrs.set & 1, attrs.recursive), (1, true), "the host's /sys is never writable");
    assert!(matches!(mounted(&steps, "/proc"), Step::Attach { mount: Slot(33), .. }));
    assert!(matches!(mounted(&steps, "/dev/mqueue"), Step::Attach { mount: Slot(34), .. }));
}

#[test]
fn a_clock_of_its_own_takes_a_second_birth() {
    let plan = plan(|spec, _| {
        spec.namespaces.time = NamespaceWish::New;
        spec.namespaces.time_offsets = Some(TimeOffsets { monotonic: 5, boottime: 7 });
    })
    .plan;
    assert!(plan.clone.new.is_empty());
    let unshare = at(&plan.steps, |step| *step == Step::Unshare { namespaces: Namespaces::TIME });
    assert_eq!(plan.steps[unshare + 1], Step::TimeOffsets { monotonic: 5, boottime: 7 });
    let rebirth = at(&plan.steps, |step| *step == Step::Rebirth { new: ALL_NEW });
    assert!(rebirth > unshare);
}

#[test]
fn cgroup_v1_is_joined_by_the_child_and_shown_below_a_tmpfs() {
    let plan = plan(|_, facts| {
        facts.cgroup = Some(CgroupJoin::V1(vec![TASKS, Slot(9)]));
        let named = |directory: &str, options: &[&str]| CgroupMount::Named {
            directory: directory.into(),
            options: Some(options.iter().map(|option| (*option).to_owned()).collect()),
        };
        facts.cgroup_mounts = vec![named("cpu,cpuacct", &["cpu", "cpuacct"]), named("systemd", &["name=systemd"])];
    })
    .plan;
    assert_eq!(plan.clone.cgroup, None);
    assert_eq!(plan.steps[0], Step::JoinCgroups { tasks: vec![TASKS, Slot(9)] });
    let steps = &plan.steps;
    assert!(matches!(mounted(steps, "/sys/fs/cgroup"), Step::NewMount { fstype, .. } if fstype == "tmpfs"));
    let Step::NewMount { options, attrs, .. } = mounted(steps, "/sys/fs/cgroup/systemd") else { panic!() };
    assert_eq!(*options, [("none".to_owned(), None), ("name".to_owned(), Some("systemd".to_owned()))]);
    assert_eq!(attrs.set & 1, 1, "read-only");
    let link = Step::Symlink { path: "/sys/fs/cgroup/cpuacct".into(), to: "cpu,cpuacct".into() };
    assert!(steps.contains(&link));
    let remount = at(steps, |step| matches!(step, Step::Remount { path, .. } if path.as_os_str() == "/sys/fs/cgroup"));
    assert!(remount > at(steps, |step| *step == link));
}

#[test]
fn in_the_hosts_cgroup_namespace_the_hosts_mount_is_bound() {
    for privileged in [false, true] {
        let steps = steps(|spec, facts| {
            spec.namespaces.cgroup = NamespaceWish::Host;
            spec.privileged = privileged;
            facts.cgroup_mounts = vec![CgroupMount::Host(Slot(35))];
        });
        let Step::Attach { mount: Slot(35), attrs, .. } = mounted(&steps, "/sys/fs/cgroup") else {
            panic!("{steps:#?}")
        };
        assert_eq!((attrs.set & 1 == 1, attrs.recursive), (!privileged, false));
        let anew = |step: &Step| matches!(step, Step::NewMount { fstype, .. } if fstype == "cgroup2");
        assert!(!steps.iter().any(anew), "cgroup2 is never mounted anew in the host's namespace");
    }
}

#[test]
fn privileged_may_write_sysfs_and_its_cgroup() {
    let readonly = |privileged: bool, path: &str| {
        let steps = steps(|spec, _| spec.privileged = privileged);
        matches!(mounted(&steps, path), Step::NewMount { attrs, .. } if attrs.set & 1 == 1)
    };
    for path in ["/sys", "/sys/fs/cgroup"] {
        assert!(readonly(false, path) && !readonly(true, path), "{path}");
    }
    let steps = steps(|spec, _| spec.writable_cgroups = true);
    assert!(matches!(mounted(&steps, "/sys/fs/cgroup"), Step::NewMount { attrs, .. } if attrs.set & 1 == 0));
    assert!(matches!(mounted(&steps, "/sys"), Step::NewMount { attrs, .. } if attrs.set & 1 == 1));
}

#[test]
fn shared_memory_has_its_size_or_is_left_out() {
    let steps_with = |shm: Shm| steps(|spec, _| spec.shm = shm);
    let own = steps_with(Shm::Own { size: 4096 });
    let Step::NewMount { options, .. } = mounted(&own, "/dev/shm") else { panic!() };
    assert!(options.contains(&("size".to_owned(), Some("4096".to_owned()))));
    let none = steps_with(Shm::None);
    assert!(!none.iter().any(|step| target(step) == Some("/dev/shm".as_ref())));
}

#[test]
fn devpts_names_the_tty_group_only_where_it_is_mapped() {
    let gid = |change: fn(&mut crate::compile::Facts)| {
        let steps = steps(|_, facts| change(facts));
        let Step::NewMount { options, .. } = mounted(&steps, "/dev/pts") else { panic!() };
        options.iter().any(|(key, _)| key == "gid")
    };
    assert!(gid(|_| {}));
    assert!(gid(|facts| facts.id_maps = Some(maps())));
    assert!(!gid(|facts| {
        let mut narrow = maps();
        narrow.gids[0].length = 5;
        facts.id_maps = Some(narrow);
    }));
}

#[test]
fn single_values_become_single_steps() {
    let domain = steps(|spec, _| spec.domainname = Some("d".into()));
    assert!(domain.contains(&Step::Domainname("d".into())));
    let sysctl = steps(|spec, _| _ = spec.sysctls.insert("net/core/somaxconn".into(), "9".into()));
    assert!(sysctl.contains(&Step::Sysctl { key: "net/core/somaxconn".into(), value: "9".into() }));
    let score = steps(|spec, _| spec.process.oom_score_adj = Some(OomScore { value: 5, required: true }));
    assert!(score.contains(&Step::OomScoreAdj { value: 5, required: true }));
    let sealed = steps(|spec, _| spec.readonly_root = true);
    let readonly = Attrs { set: 1, ..Attrs::default() };
    assert!(sealed.contains(&Step::Remount { path: "/".into(), attrs: readonly }));
    let umask = steps(|spec, _| spec.process.umask = Some(0o077));
    assert!(umask.contains(&Step::Umask(0o077)));
    let init = steps(|spec, _| spec.init = true);
    assert_eq!(init.last(), Some(&Step::Init));
    let hidden = steps(|_, _| {});
    assert!(hidden.contains(&Step::MaskedPath("/proc/kcore".into())));
    assert!(hidden.contains(&Step::ReadonlyPath("/proc/sys".into())));
}

#[test]
fn a_limit_is_set_late_and_only_raised_early_in_a_user_namespace() {
    let nofile = RlimitWish { resource: 7, soft: 10, hard: 100_000, required: true };
    let low = RlimitWish { resource: 6, soft: 5, hard: 5, required: true };
    let rlimits = |steps: &[Step]| {
        let all = steps.iter().enumerate();
        all.filter_map(|(at, step)| match step {
            Step::Rlimit { resource, soft, hard, .. } => Some((at, *resource, *soft, *hard)),
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    let plain = steps(|spec, _| spec.process.rlimits = vec![nofile, low]);
    let pivot = at(&plain, |step| *step == Step::PivotRoot);
    let found = rlimits(&plain);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(at, ..)| *at > pivot));
    let inside = steps(|spec, facts| {
        spec.process.rlimits = vec![nofile, low];
        spec.namespaces.user = Userns::Auto { size: 1 };
        facts.joined.user = Some(USERNS);
    });
    let found = rlimits(&inside);
    assert_eq!(
        found.iter().map(|(_, r, s, h)| (*r, *s, *h)).collect::<Vec<_>>(),
        [(7, 100_000, 100_000), (7, 10, 100_000), (6, 5, 5)]
    );
    assert!(found[0].0 < at(&inside, |step| *step == Step::BecomeNamespaceRoot));
}

#[test]
fn a_terminal_replaces_the_streams_and_owns_the_console() {
    let steps = steps(|_, facts| {
        facts.streams = Streams::Terminal { rows: 24, columns: 80 };
        facts.who.uid = 1000;
    });
    assert!(steps.contains(&Step::Terminal { rows: 24, columns: 80, console: true, owner: 1000 }));
    assert!(!steps.iter().any(|step| matches!(step, Step::Stdio { .. } | Step::Session)));
}
