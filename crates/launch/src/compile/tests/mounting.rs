//! The user's mounts.

use super::fixture::*;
use crate::compile::{DeviceFact, Error, MountFact, compile};
use crate::plan::{Attrs, Node, Slot, Step};
use crate::spec::{Idmap, MountKind, MountWish, Propagation, Readonly};

const MS_PRIVATE: u64 = 1 << 18;
const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;

fn bind(target: &str, readonly: Readonly, propagation: Propagation) -> MountWish {
    MountWish {
        target: target.into(),
        kind: MountKind::Bind {
            source: "/src".into(),
            create: true,
            recursive: true,
            readonly,
            propagation,
            idmap: Idmap::None,
        },
    }
}

fn tmpfs(target: &str, options: &[(&str, &str)], copy_up: bool) -> MountWish {
    let options = options.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
    MountWish { target: target.into(), kind: MountKind::Tmpfs { options, attrs: 14, copy_up } }
}

#[test]
fn attributes_and_propagation_of_binds() {
    let attrs = |set, propagation, recursive| Attrs { set, propagation, recursive, clear: 0 };
    let only = |recursive| Attrs { set: 1, recursive, ..Attrs::default() };
    let rows: &[(Readonly, Propagation, Attrs, Option<Attrs>)] = &[
        (Readonly::No, Propagation::RPrivate, attrs(0, MS_PRIVATE, true), None),
        (Readonly::Tree, Propagation::RPrivate, attrs(1, MS_PRIVATE, true), None),
        (Readonly::Top, Propagation::RPrivate, attrs(0, MS_PRIVATE, true), Some(only(false))),
        (Readonly::Top, Propagation::Private, attrs(1, MS_PRIVATE, false), None),
        (Readonly::Tree, Propagation::Private, attrs(0, MS_PRIVATE, false), Some(only(true))),
        (Readonly::No, Propagation::RSlave, attrs(0, MS_SLAVE, true), None),
        (Readonly::No, Propagation::Shared, attrs(0, MS_SHARED, false), None),
        (Readonly::Tree, Propagation::RShared, attrs(1, MS_SHARED, true), None),
        (Readonly::No, Propagation::Slave, attrs(0, MS_SLAVE, false), None),
    ];
    for (readonly, propagation, first, then) in rows {
        let steps = steps(|spec, _| spec.mounts = vec![bind("/b", *readonly, *propagation)]);
        let Step::Attach { attrs, target, .. } = mounted(&steps, "/b") else { panic!() };
        assert_eq!((attrs, target.create), (first, Some(Node::Dir)), "{readonly:?} {propagation:?}");
        let remount = steps.iter().find_map(|step| match step {
            Step::Remount { path, attrs } if path.as_os_str() == "/b" => Some(*attrs),
            _ => None,
        });
        assert_eq!(remount, *then, "{readonly:?} {propagation:?}");
    }
}

#[test]
fn a_file_is_bound_onto_a_file() {
    let steps = steps(|spec, facts| {
        spec.mounts = vec![bind("/f", Readonly::No, Propagation::RPrivate)];
        facts.mounts = vec![MountFact::Detached { mount: Slot(50), directory: false }];
    });
    assert!(matches!(
        mounted(&steps, "/f"),
        Step::Attach { target, mount: Slot(50), .. } if target.create == Some(Node::File)
    ));
}

#[test]
fn parents_are_mounted_before_what_lies_below() {
    let steps = steps(|spec, _| {
        spec.mounts = vec![
            bind("/a/b/c", Readonly::No, Propagation::RPrivate),
            tmpfs("/etc", &[], false),
            bind("/a", Readonly::No, Propagation::RPrivate),
            tmpfs("/a/b", &[], false),
        ];
    });
    let order: Vec<&std::path::Path> =
        steps.iter().filter_map(target).skip_while(|path| !path.starts_with("/etc")).collect();
    assert_eq!(order, ["/etc", "/a", "/etc/hosts", "/a/b", "/a/b/c"].map(std::path::Path::new));
}

#[test]
fn the_users_mount_replaces_the_default_one() {
    for path in ["/dev/shm", "/dev/mqueue", "/dev/pts", "/sys", "/sys/fs/cgroup", "/etc/hosts"] {
        let steps = steps(|spec, _| spec.mounts = vec![bind(path, Readonly::No, Propagation::RPrivate)]);
        assert!(matches!(mounted(&steps, path), Step::Attach { mount: Slot(40), .. }), "{path}");
    }
    let sys = steps(|spec, _| spec.mounts = vec![bind("/sys", Readonly::No, Propagation::RPrivate)]);
    assert!(!sys.iter().any(|step| target(step) == Some("/sys/fs/cgroup".as_ref())));
}

#[test]
fn nothing_is_made_in_a_dev_that_the_user_brings() {
    let steps = steps(|spec, facts| {
        spec.mounts = vec![bind("/dev", Readonly::No, Propagation::RPrivate)];
        facts.devices.push(DeviceFact { path: "/x/node".into(), ..null(None) });
        facts.streams = crate::compile::Streams::Terminal { rows: 0, columns: 0 };
    });
    let below = |step: &Step| match step {
        Step::Device { path, .. } | Step::Symlink { path, .. } => path.starts_with("/dev"),
        other => target(other).is_some_and(|path| path.starts_with("/dev") && path.as_os_str() != "/dev"),
    };
    assert!(!steps.iter().any(below));
    assert!(steps.iter().any(|step| matches!(step, Step::Device { path, .. } if path.as_os_str() == "/x/node")));
    assert!(steps.iter().any(|step| matches!(step, Step::Terminal { console: false, .. })));
}

#[test]
fn a_tmpfs_keeps_the_mode_of_what_it_covers_unless_told_otherwise() {
    let mode = |options: &[(&str, &str)], covered| {
        let steps = steps(|spec, facts| {
            spec.mounts = vec![tmpfs("/t", options, false)];
            facts.mounts = vec![MountFact::Made { mode: covered }];
        });
        let Step::NewMount { options, .. } = mounted(&steps, "/t") else { panic!() };
        options.iter().find(|(key, _)| key == "mode").and_then(|(_, value)| value.clone())
    };
    assert_eq!(mode(&[], None), None);
    assert_eq!(mode(&[], Some(0o1777)).as_deref(), Some("1777"));
    assert_eq!(mode(&[("mode", "700")], Some(0o755)).as_deref(), Some("700"));
    let steps = steps(|spec, _| spec.mounts = vec![tmpfs("/t", &[], true)]);
    assert!(matches!(mounted(&steps, "/t"), Step::TmpfsCopyUp { .. }));
}

#[test]
fn files_of_the_engine_are_read_only_with_the_root() {
    for readonly in [false, true] {
        let steps = steps(|spec, _| spec.readonly_root = readonly);
        let Step::Attach { attrs, .. } = mounted(&steps, "/etc/hosts") else { panic!() };
        assert_eq!(attrs.set == 1, readonly);
    }
}

#[test]
fn labels_of_selinux_go_to_what_is_made_in_memory() {
    let steps = steps(|spec, facts| {
        spec.process.lsm.selinux_mount = Some("l".into());
        facts.selinux = true;
    });
    for path in ["/dev", "/dev/shm", "/dev/pts"] {
        let Step::NewMount { options, .. } = mounted(&steps, path) else { panic!() };
        assert!(options.contains(&("context".to_owned(), Some("l".to_owned()))), "{path}");
    }
}

#[test]
fn facts_for_another_wish_are_refused() {
    let (mut spec, mut facts) = (spec(), facts());
    spec.mounts = vec![bind("/b", Readonly::No, Propagation::RPrivate)];
    assert_eq!(compile(&spec, &facts), Err(Error::Mounts { asked: 1, given: 0 }));
    facts.mounts = vec![MountFact::Made { mode: None }];
    assert_eq!(compile(&spec, &facts), Err(Error::MountFact { target: "/b".into() }));
}
