//! `root` and `mounts`: binds are cloned here, from the host's tree; everything else is made by the child.

mod cgroup;

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use hull_launch::plan::{Attrs, Node, Slot, Step, Target};
use hull_sys::mount::{self, SetAttr};
use rustix::fs::FileType;

use super::fds::Fds;
use super::namespaces::{self, Spaces};
use super::options::{self, Options};
use super::{Read, Wishes};
use crate::config::{Linux, Mount};
use crate::error::{Doing, Error, Result};

/// `MS_SLAVE`, and the others that `rootfsPropagation` may name.
const SLAVE: u64 = 1 << 19;
const SHARED: u64 = 1 << 20;

/// Files of procfs that lxcfs and others put their own over, below `/proc`.
const FREE_OF_PROC: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// What mounts depend on.
pub struct Context<'a> {
    pub read: &'a Read,
    pub linux: &'a Linux,
    pub spaces: &'a Spaces,
    pub wishes: &'a Wishes<'a>,
    /// SELinux labels what is made in memory.
    pub selinux: bool,
}

/// The steps.
#[derive(Debug, Default)]
pub struct Mounted {
    /// In the bundle's order.
    pub steps: Vec<Step>,
    /// `/dev` is a directory of the host: nothing is made in it.
    pub dev_is_bound: bool,
}

/// The root as a detached tree, and the propagation it shall have.
pub fn root(path: &Path, linux: &Linux, fds: &mut Fds) -> Result<(Slot, Attrs)> {
    let (propagation, recursive) = match root_propagation(linux)? {
        // KERNEL: pivot_root refuses a shared root; it is shared once it is the root.
        (SHARED, _) => (SLAVE, true),
        other => other,
    };
    let clone = match mount::clone_at(path, true) {
        Err(error) if error.errno == rustix::io::Errno::NOENT => {
            return Err(Error::invalid("root.path", format!("{path:?} does not exist")));
        }
        clone => clone?,
    };
    let stat = rustix::fs::fstat(&clone).doing(|| format!("stat {path:?}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::invalid("root.path", format!("{path:?} is not a directory")));
    }
    Ok((fds.push(clone), Attrs { propagation, recursive, ..Attrs::default() }))
}

/// As runc: slaves unless the bundle says otherwise, so that nothing reaches the host.
fn root_propagation(linux: &Linux) -> Result<(u64, bool)> {
    match linux.rootfs_propagation.as_deref() {
        None | Some("") => Ok((SLAVE, true)),
        Some(word) => options::propagation(word)
            .ok_or_else(|| Error::invalid("linux.rootfsPropagation", format!("there is no propagation {word:?}"))),
    }
}

/// What the root becomes once it is the root.
pub fn shared_root(linux: &Linux) -> Result<Option<Step>> {
    Ok(match root_propagation(linux)? {
        (SHARED, recursive) => {
            let attrs = Attrs { propagation: SHARED, recursive, ..Attrs::default() };
            Some(Step::Remount { path: "/".into(), attrs })
        }
        _ => None,
    })
}

/// Every entry of `mounts`.
pub fn all(context: &Context<'_>, fds: &mut Fds) -> Result<Mounted> {
    let mut mounted = Mounted::default();
    for (at, entry) in context.read.config.mounts.iter().enumerate() {
        let target = target(at, &entry.destination)?;
        let words = entry.options.as_deref().unwrap_or_default();
        let options = options::parse(words, &|| format!("mounts[{at}].options"))?;
        let one = One { at, entry, target, options, context };
        one.add(fds, &mut mounted)?;
    }
    Ok(mounted)
}

/// Absolute, and without `..`: a relative one is the root's, as runc has it.
fn target(at: usize, destination: &str) -> Result<PathBuf> {
    let field = || format!("mounts[{at}].destination");
    if destination.is_empty() || destination.contains('\0') {
        return Err(Error::invalid(field(), format!("{destination:?} is no path")));
    }
    let mut path = PathBuf::from("/");
    for component in Path::new(destination).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => _ = path.pop(),
            _ => {}
        }
    }
    Ok(path)
}

/// One entry, read.
struct One<'a> {
    at: usize,
    entry: &'a Mount,
    target: PathBuf,
    options: Options,
    context: &'a Context<'a>,
}

impl One<'_> {
    fn field(&self, name: &str) -> String {
        format!("mounts[{}].{name}", self.at)
    }

    fn add(&self, fds: &mut Fds, mounted: &mut Mounted) -> Result<()> {
        let kind = self.entry.kind.as_deref().unwrap_or_default();
        let bound = self.options.bind.is_some() || kind == "bind";
        let mapped = self.entry.uid_mappings.is_some() || self.entry.gid_mappings.is_some();
        if !bound && (mapped || self.options.idmap.is_some()) {
            return Err(Error::unsupported(self.field("uidMappings"), "only binds can be mapped"));
        }
        self.check_proc(kind, bound)?;
        if self.options.remount {
            mounted.steps.extend(self.remount());
        } else if bound {
            mounted.dev_is_bound |= self.target == Path::new("/dev");
            self.bind(fds, &mut mounted.steps)?;
        } else {
            match kind {
                "" => return Err(Error::invalid(self.field("type"), "is missing")),
                "cgroup" => cgroup::add(self, fds, &mut mounted.steps)?,
                _ => self.made(kind, &mut mounted.steps)?,
            }
            mounted.steps.extend(self.afterwards());
        }
        Ok(())
    }

    /// As runc: what lies over a part of procfs could make the container's set-up write elsewhere.
    fn check_proc(&self, kind: &str, bound: bool) -> Result<()> {
        let Ok(below) = self.target.strip_prefix("/proc") else { return Ok(()) };
        let below = below.to_string_lossy();
        let fits = if below.is_empty() {
            kind == "proc" || self.options.remount || (bound && self.source_is_procfs())
        } else {
            FREE_OF_PROC.contains(&&*below)
        };
        if fits {
            return Ok(());
        }
        let reason = format!("{:?} cannot be mounted because it is inside /proc", self.target);
        Err(Error::invalid(self.field("destination"), reason))
    }

    fn source_is_procfs(&self) -> bool {
        let source = super::source(&self.context.read.path, self.entry.source.as_deref().unwrap_or_default());
        rustix::fs::statfs(&source).is_ok_and(|stat| stat.f_type == hull_sys::proc::PROC_SUPER_MAGIC)
    }

    fn bind(&self, fds: &mut Fds, steps: &mut Vec<Step>) -> Result<()> {
        let source = self.entry.source.as_deref().filter(|source| !source.is_empty());
        let source = source.ok_or_else(|| Error::invalid(self.field("source"), "is missing"))?;
        let path = super::source(&self.context.read.path, source);
        let recursive = self.options.bind.unwrap_or(false);
        let clone = match mount::clone_at(&path, recursive) {
            Err(error) if error.errno == rustix::io::Errno::NOENT => {
                return Err(Error::invalid(self.field("source"), format!("{path:?}: no such file or directory")));
            }
            clone => clone?,
        };
        let stat = rustix::fs::fstat(&clone).doing(|| format!("stat {path:?}"))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        self.map_ids(&clone)?;
        let (attrs, then) = self.bind_attributes(recursive)?;
        let create = Some(if directory { Node::Dir } else { Node::File });
        let target = Target { path: self.target.clone(), create };
        let mount = fds.push(clone);
        steps.push(Step::Attach { mount, target, attrs, then });
        Ok(())
    }

    /// Attributes and propagation. A copy of the host's mounts hears of the host's and tells it nothing, unless it is
    /// asked to be shared.
    fn bind_attributes(&self, recursive: bool) -> Result<(Attrs, Vec<Attrs>)> {
        let (set, clear) = (self.options.own.set, self.options.own.clear);
        let shared_root = root_propagation(self.context.linux)?.0 == SHARED;
        let default = (!shared_root && self.options.propagation.is_empty()).then_some((SLAVE, recursive));
        let mut spreads = default.into_iter().chain(self.options.propagation.iter().copied());
        let own = Attrs { set, clear, ..Attrs::default() };
        let spread = |(propagation, recursive)| Attrs { propagation, recursive, ..Attrs::default() };
        let mut all = match spreads.next() {
            // One call where both reach equally far.
            Some((propagation, false)) => vec![Attrs { propagation, ..own }],
            Some(first) => vec![spread(first), own],
            None => vec![own],
        };
        all.extend(spreads.map(spread));
        let tree = self.options.tree;
        all.push(Attrs { set: tree.set, clear: tree.clear, recursive: true, propagation: 0 });
        all.retain(|attrs| (attrs.set, attrs.clear, attrs.propagation) != (0, 0, 0));
        let first = if all.is_empty() { Attrs::default() } else { all.remove(0) };
        Ok((first, all))
    }

    fn map_ids(&self, clone: &OwnedFd) -> Result<()> {
        let (uids, gids) = (self.entry.uid_mappings.as_deref(), self.entry.gid_mappings.as_deref());
        let (uids, gids) = (uids.unwrap_or_default(), gids.unwrap_or_default());
        let recursive = self.options.idmap.unwrap_or(false);
        let maps = match (self.options.idmap, uids.is_empty(), gids.is_empty()) {
            (None, true, true) => return Ok(()),
            (_, false, false) => {
                hull_launch::plan::IdMaps { uids: namespaces::ranges(uids), gids: namespaces::ranges(gids) }
            }
            // `idmap` alone: the container's own maps.
            (Some(_), true, true) => match &self.context.spaces.maps {
                Some(maps) => maps.clone(),
                None => {
                    let reason = "`idmap` without mappings needs a new user namespace with some";
                    return Err(Error::invalid(self.field("options"), reason));
                }
            },
            _ => return Err(Error::invalid(self.field("uidMappings"), "both maps are needed, or none")),
        };
        let userns = namespaces::new_user(&maps)?;
        let idmap = Some(std::os::fd::AsFd::as_fd(&userns));
        Ok(mount::set_attributes(clone, SetAttr { idmap, recursive, ..SetAttr::default() })?)
    }

    /// A file system of its own.
    fn made(&self, kind: &str, steps: &mut Vec<Step>) -> Result<()> {
        let target = Target { path: self.target.clone(), create: Some(Node::Dir) };
        let attrs = Attrs { set: self.options.own.set, ..Attrs::default() };
        let options = self.file_system_options(kind);
        if self.options.copy_up {
            if kind != "tmpfs" {
                return Err(Error::invalid(self.field("options"), "`tmpcopyup` is for tmpfs"));
            }
            let options = options.into_iter().filter(|(key, _)| key != "source").collect();
            steps.push(Step::TmpfsCopyUp { options, attrs, target });
        } else {
            steps.push(Step::NewMount { fstype: kind.to_owned(), options, attrs, target });
        }
        Ok(())
    }

    fn file_system_options(&self, kind: &str) -> Vec<(String, Option<String>)> {
        let mut options = self.options.data.clone();
        options.extend(self.options.flags.iter().map(|flag| ((*flag).to_owned(), None)));
        if let Some(source) = self.entry.source.as_ref().filter(|source| !source.is_empty()) {
            options.insert(0, ("source".to_owned(), Some(source.clone())));
        }
        if let (true, Some(label)) = (self.context.selinux, &self.context.linux.mount_label)
            && !label.is_empty()
            && matches!(kind, "tmpfs" | "devpts" | "mqueue")
        {
            options.push(("context".to_owned(), Some(label.clone())));
        }
        options
    }

    fn remount(&self) -> Vec<Step> {
        let own = self.options.own;
        let step = |attrs| Step::Remount { path: self.target.clone(), attrs };
        let mut steps = vec![step(Attrs { set: own.set, clear: own.clear, ..Attrs::default() })];
        steps.extend(self.afterwards());
        steps
    }

    /// What is changed once it is attached: propagation, and the attributes of the tree.
    fn afterwards(&self) -> Vec<Step> {
        let step = |attrs| Step::Remount { path: self.target.clone(), attrs };
        let mut steps: Vec<Step> = Vec::new();
        for (propagation, recursive) in &self.options.propagation {
            steps.push(step(Attrs { propagation: *propagation, recursive: *recursive, ..Attrs::default() }));
        }
        let tree = self.options.tree;
        if !tree.is_empty() {
            steps.push(step(Attrs { set: tree.set, clear: tree.clear, recursive: true, ..Attrs::default() }));
        }
        steps
    }
}
