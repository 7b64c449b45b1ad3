//! Parents of instances that are no more: found by a mark that their engine left on the directory.
//!
//! A mark is an extended attribute (`trusted.hull`), so it is the kernel's proof that the directory was hull's own. What it
//! says is the engine's to write and to judge.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::host::Host;
use crate::kernfs::Dir;
use crate::parent::Parent;

const MARK: &str = "trusted.hull";

/// No mark is longer.
const LONGEST: usize = 8192;

impl Host {
    /// Makes the parent, and marks it. `false`: the kernel takes no marks here.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn mark(&self, parent: &str, mark: &[u8]) -> Result<bool, Error> {
        let parent = self.parent(parent)?;
        let mut taken = true;
        for index in parent.base() {
            let set = rustix::fs::fsetxattr(parent.dir(index)?.as_fd(), MARK, mark, XattrFlags::empty());
            taken &= set.is_ok();
        }
        Ok(taken)
    }

    /// Removes marked directories beside the parents of this engine in which no process is and of which
    /// `is_abandoned(name, mark)` says so; their names.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn remove_abandoned(&self, is_abandoned: impl Fn(&str, &[u8]) -> bool) -> Result<Vec<String>, Error> {
        let top = self.top();
        let mut found = std::collections::BTreeSet::new();
        for index in top.all() {
            let root = top.dir(index)?;
            for name in root.directories(".")? {
                let Some(name) = name.to_str() else { continue };
                if marked(root, name).is_some_and(|mark| is_abandoned(name, &mark)) {
                    found.insert(name.to_owned());
                }
            }
        }
        found.retain(|name| remove(&top, name));
        Ok(found.into_iter().collect())
    }
}

/// What a directory says that an engine made for a user's parent.
const MADE: &[u8] = b"made";

/// Where the kernel takes no marks it stays when the last group in it goes.
pub(crate) fn mark_made(root: &Dir, path: &Path) {
    if let Ok(dir) = root.child(path) {
        let _ = rustix::fs::fsetxattr(dir.as_fd(), MARK, MADE, XattrFlags::empty());
    }
}

/// Whether [`mark_made`] was said of it, and nothing else since.
pub(crate) fn is_made(root: &Dir, path: &Path) -> bool {
    marked(root, path).is_some_and(|mark| mark == MADE)
}

fn marked(root: &Dir, name: impl AsRef<Path>) -> Option<Vec<u8>> {
    let dir = root.child(name).ok()?;
    let mut value = vec![0; LONGEST];
    let read = rustix::fs::fgetxattr(dir.as_fd(), MARK, value.as_mut_slice()).ok()?;
    value.truncate(read);
    Some(value)
}

/// Removes a directory and what is nested in it from every tree; whether all of it is gone. The kernel keeps those in
/// which a process is.
fn remove(top: &Parent, name: &str) -> bool {
    let mut gone = true;
    for index in top.all() {
        let Ok(root) = top.dir(index) else { continue };
        for path in nested(root, name).iter().rev() {
            gone &= matches!(root.remove(path), Ok(()) | Err(Errno::NOENT));
        }
    }
    gone
}

/// The directory and those in it, deepest last.
fn nested(root: &Dir, name: &str) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(name)];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        let inside = root.directories(&path).unwrap_or_default();
        all.extend(inside.iter().map(|name| path.join(name)));
        next += 1;
    }
    all
}
