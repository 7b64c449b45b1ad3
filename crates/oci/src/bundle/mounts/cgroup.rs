//! A mount of type `cgroup`: what the host has, seen from the container's own cgroup.
//!
//! With a cgroup namespace it is mounted anew, and the kernel shows the container's group as the root. Without one
//! the groups of version 1 are bound, so that nothing but the container's own can be seen, and of version 2 the host's
//! mount.

use std::path::{Path, PathBuf};

use hull_launch::plan::{Attrs, Namespaces, Node, Step, Target};
use hull_sys::mount;

use super::One;
use crate::bundle::fds::Fds;
use crate::error::Result;

const RDONLY: u64 = 0x1;
const NOSUID_NODEV_NOEXEC: u64 = 0xe;
const SLAVE: u64 = 1 << 19;

pub(super) fn add(one: &One<'_>, fds: &mut Fds, steps: &mut Vec<Step>) -> Result<()> {
    let own = one.context.spaces.has(Namespaces::CGROUP);
    if let Some(mountpoint) = one.context.wishes.unified {
        if own {
            steps.push(new_mount("cgroup2", vec![], one.options.own.set, &one.target));
            return Ok(());
        }
        // KERNEL: mounted anew in the host's cgroup namespace, its options would become those of the host's mount.
        let mount = fds.push(mount::clone_at(mountpoint, false)?);
        let target = Target { path: one.target.clone(), create: Some(Node::Dir) };
        let attrs = Attrs { set: one.options.own.set, propagation: SLAVE, ..Attrs::default() };
        steps.push(Step::Attach { mount, target, attrs, then: vec![] });
        return Ok(());
    }
    let Some(group) = one.context.wishes.group else { return Ok(()) };
    let options = [("source", "tmpfs"), ("mode", "755"), ("size", "64k")];
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    steps.push(new_mount("tmpfs", options, one.options.own.set & !RDONLY, &one.target));
    let path = group.path();
    for (controllers, mountpoint) in group.hierarchies() {
        let name = mountpoint.file_name().unwrap_or_default();
        let target = one.target.join(name);
        if own {
            steps.push(new_mount("cgroup", v1_options(controllers), one.options.own.set, &target));
        } else {
            let here = mountpoint.join(path.strip_prefix("/").unwrap_or(&path));
            let mount = fds.push(mount::clone_at(&here, false)?);
            let target = Target { path: target, create: Some(Node::Dir) };
            let set = one.options.own.set | NOSUID_NODEV_NOEXEC;
            let attrs = Attrs { set, propagation: SLAVE, ..Attrs::default() };
            steps.push(Step::Attach { mount, target, attrs, then: vec![] });
        }
        if controllers.len() > 1 {
            for controller in controllers {
                steps.push(Step::Symlink { path: one.target.join(controller), to: PathBuf::from(name) });
            }
        }
    }
    if one.options.own.set & RDONLY != 0 {
        // ORDER: after the last mount point in it is made.
        let attrs = Attrs { set: RDONLY, ..Attrs::default() };
        steps.push(Step::Remount { path: one.target.clone(), attrs });
    }
    Ok(())
}

/// Controllers are flags; a named hierarchy has none.
fn v1_options(controllers: &[String]) -> Vec<(String, Option<String>)> {
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    for controller in controllers {
        match controller.strip_prefix("name=") {
            Some(name) => {
                options.push(("none".to_owned(), None));
                options.push(("name".to_owned(), Some(name.to_owned())));
            }
            None => options.push((controller.clone(), None)),
        }
    }
    options
}

fn new_mount(fstype: &str, options: Vec<(String, Option<String>)>, set: u64, target: &Path) -> Step {
    let target = Target { path: target.to_owned(), create: Some(Node::Dir) };
    Step::NewMount { fstype: fstype.to_owned(), options, attrs: Attrs { set, ..Attrs::default() }, target }
}
