//! The user's mounts and the engine's `/etc` files, parents before what lies below them.

use std::path::Path;

use super::bits::{MS_PRIVATE, MS_SHARED, MS_SLAVE, RDONLY};
use super::facts::{EtcFile, Facts, MountFact};
use super::rootfs::labelled;
use crate::plan::{Attrs, Node, Slot, Step, Target};
use crate::spec::{MountKind, MountWish, Propagation, Readonly, Spec};

/// Whether the user mounts something exactly here.
pub(super) fn covers(spec: &Spec, path: &str) -> bool {
    spec.mounts.iter().any(|mount| mount.target == Path::new(path))
}

/// Whether the user brings the whole of `/dev`.
pub(super) fn covers_dev(spec: &Spec) -> bool {
    covers(spec, "/dev")
}

/// All of them.
pub(super) fn user_mounts(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    let etc = facts.etc.iter().filter(|file| !spec.mounts.iter().any(|mount| mount.target == file.path));
    let mut all: Vec<(usize, Vec<Step>)> = etc.map(|file| (depth(&file.path), etc_file(spec, file))).collect();
    for (wish, fact) in spec.mounts.iter().zip(&facts.mounts) {
        all.push((depth(&wish.target), user_mount(spec, facts, wish, fact)));
    }
    // ORDER: by depth, so that a mount never hides one below it; else as asked (the sort is stable).
    all.sort_by_key(|(depth, _)| *depth);
    steps.extend(all.into_iter().flat_map(|(_, steps)| steps));
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

fn etc_file(spec: &Spec, file: &EtcFile) -> Vec<Step> {
    let set = if spec.readonly_root { RDONLY } else { 0 };
    let attrs = Attrs { set, propagation: MS_PRIVATE, ..Attrs::default() };
    let target = Target { path: file.path.clone(), create: Some(Node::File) };
    vec![Step::Attach { mount: file.mount, target, attrs, then: vec![] }]
}

fn user_mount(spec: &Spec, facts: &Facts, wish: &MountWish, fact: &MountFact) -> Vec<Step> {
    match (&wish.kind, fact) {
        (MountKind::Tmpfs { options, attrs, copy_up }, fact) => {
            let mut options = options.clone();
            if let MountFact::Made { mode: Some(mode) } = fact
                && !options.iter().any(|(key, _)| key == "mode")
            {
                options.push(("mode".to_owned(), Some(format!("{mode:o}"))));
            }
            let options = labelled(spec, facts, options);
            vec![tmpfs(wish, options, *attrs, *copy_up)]
        }
        (MountKind::Bind { readonly, propagation, .. }, MountFact::Detached { mount, directory }) => {
            detached(wish, *mount, *directory, *readonly, *propagation)
        }
        (MountKind::Volume { readonly, .. }, MountFact::Detached { mount, directory }) => {
            detached(wish, *mount, *directory, *readonly, Propagation::RPrivate)
        }
        (MountKind::Image { .. }, MountFact::Detached { mount, directory }) => {
            detached(wish, *mount, *directory, Readonly::Top, Propagation::RPrivate)
        }
        // Excluded by `Error::MountFact` before any step is made.
        (_, MountFact::Made { .. }) => Vec::new(),
    }
}

fn tmpfs(wish: &MountWish, options: Vec<(String, Option<String>)>, set: u64, copy_up: bool) -> Step {
    let target = Target { path: wish.target.clone(), create: Some(Node::Dir) };
    let attrs = Attrs { set, ..Attrs::default() };
    if copy_up {
        Step::TmpfsCopyUp { options, attrs, target }
    } else {
        Step::NewMount { fstype: "tmpfs".to_owned(), options, attrs, target }
    }
}

fn detached(wish: &MountWish, mount: Slot, directory: bool, readonly: Readonly, propagation: Propagation) -> Vec<Step> {
    let create = Some(if directory { Node::Dir } else { Node::File });
    let target = Target { path: wish.target.clone(), create };
    let (kind, tree) = propagation_bits(propagation);
    let attach = |attrs| Step::Attach { mount, target: target.clone(), attrs, then: vec![] };
    let read_only = |recursive| Attrs { set: RDONLY, recursive, ..Attrs::default() };
    let remount = |attrs| Step::Remount { path: wish.target.clone(), attrs };
    let spread = Attrs { propagation: kind, recursive: tree, ..Attrs::default() };
    match readonly {
        Readonly::No => vec![attach(spread)],
        Readonly::Tree if tree => vec![attach(Attrs { set: RDONLY, ..spread })],
        Readonly::Top if !tree => vec![attach(Attrs { set: RDONLY, ..spread })],
        // The two reach differently far: one after the other. Nothing runs inside in between.
        Readonly::Tree => vec![attach(spread), remount(read_only(true))],
        Readonly::Top => vec![attach(spread), remount(read_only(false))],
    }
}

fn propagation_bits(propagation: Propagation) -> (u64, bool) {
    match propagation {
        Propagation::Private => (MS_PRIVATE, false),
        Propagation::RPrivate => (MS_PRIVATE, true),
        Propagation::Shared => (MS_SHARED, false),
        Propagation::RShared => (MS_SHARED, true),
        Propagation::Slave => (MS_SLAVE, false),
        Propagation::RSlave => (MS_SLAVE, true),
    }
}
