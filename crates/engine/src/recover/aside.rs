//! What belongs to records that could not be read. Nobody knows any more whose it is, so the sweep must not
//! meet it; and it must not stop the sweep for ever either: it is moved out of the way, once.
//!
//! ```text
//! <root>/set-aside/<unix seconds>/containers, snapshots, layers, blobs
//! ```
//! It lies there until a person moves it back or removes it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hull_types::{Fault, Timestamp};

use super::sweep;
use crate::core::{Core, blocking};
use crate::error::Error;
use crate::images;

/// Moves everything that no readable record owns; whether that was done.
pub(super) fn set_aside(core: &Core, owned: &BTreeSet<String>) -> bool {
    match blocking(|| move_all(core, owned)) {
        Ok((0, place)) => _ = fs::remove_dir_all(place),
        Ok((count, place)) => {
            let place = place.display();
            tracing::error!(%place, count, "files of unreadable records were set aside: move them back or remove them");
        }
        Err(error) => {
            tracing::error!(%error, "files of unreadable records could not be set aside: nothing is swept");
            return false;
        }
    }
    true
}

fn move_all(core: &Core, owned: &BTreeSet<String>) -> Result<(usize, PathBuf), Fault> {
    let place = make_place(&core.facts.root.join("set-aside"))?;
    let target = |name: &str| -> Result<File, Error> {
        let path = place.join(name);
        fs::create_dir(&path).and_then(|()| File::open(&path)).map_err(file("create", &path))
    };
    let mut count = containers(&core.facts.root.join("containers"), owned, &place.join("containers"))?;
    count += core.parts.snapshots.set_slots_aside(owned, target("snapshots")?)?;
    count += core.images.set_aside(&images::uses(core), target("layers")?, target("blobs")?)?;
    // They have names of their own: kept where they are.
    for volume in sweep::orphaned_volumes(core)? {
        core.parts.volumes.keep(&volume)?;
    }
    Ok((count, place))
}

fn containers(from: &Path, owned: &BTreeSet<String>, to: &Path) -> Result<usize, Error> {
    fs::create_dir(to).map_err(file("create", to))?;
    let mut count = 0;
    for entry in fs::read_dir(from).map_err(file("read", from))?.flatten() {
        if !owned.contains(&*entry.file_name().to_string_lossy()) {
            fs::rename(entry.path(), to.join(entry.file_name())).map_err(file("set aside", &entry.path()))?;
            count += 1;
        }
    }
    Ok(count)
}

/// A directory of this moment; the clock may have shown the same one before.
fn make_place(parent: &Path) -> Result<PathBuf, Error> {
    let private = |recursive| {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(recursive);
        builder
    };
    private(true).create(parent).map_err(file("create", parent))?;
    let mut number = Timestamp::now().nanos() / 1_000_000_000;
    loop {
        let place = parent.join(number.to_string());
        match private(false).create(&place) {
            Ok(()) => return Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(file("create", &place)(error)),
        }
    }
}

fn file(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::File { attempt, path, source }
}
