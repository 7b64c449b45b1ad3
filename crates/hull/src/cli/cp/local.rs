//! The host's side of a copy: what is packed, where is unpacked, and under which name.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_archive::tar::Reader;
use hull_archive::{Extractor, Limits, Lowers, Packing, Plain};
use hull_types::Fault;

use super::above;
use crate::cli::failure::Failure;

/// Where something goes and what it is called there. An empty name: what a directory holds, not itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Naming {
    pub directory: String,
    pub name: String,
}

fn refuse(why: impl Into<String>) -> Failure {
    Fault::invalid(why).into()
}

/// Where on the host something called `name` goes.
pub(super) fn destination(path: &str, name: &str, is_directory: bool) -> Result<Naming, Failure> {
    let contents = matches!(name, "." | "/");
    let made = || {
        let naming = above(path);
        let directory = if naming.directory.is_empty() { ".".to_owned() } else { naming.directory };
        Naming { directory, name: naming.name }
    };
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => {
            let name = if contents { String::new() } else { name.to_owned() };
            Ok(Naming { directory: path.to_owned(), name })
        }
        Ok(_) if is_directory => Err(refuse("cannot copy directory")),
        Ok(_) => Ok(made()),
        Err(_) if path.ends_with('/') && !is_directory => Err(refuse("no such directory")),
        Err(_) => {
            let naming = made();
            if !Path::new(&naming.directory).is_dir() {
                return Err(refuse(format!("invalid output path: directory \"{}\" does not exist", naming.directory)));
            }
            Ok(naming)
        }
    }
}

/// Unpacks what is called `name` in the archive. Unless `owners`, everything is the caller's.
pub(super) fn unpack(archive: impl Read, name: &str, to: &Naming, owners: bool) -> Result<(), Failure> {
    let directory = File::open(&to.directory)
        .map_err(|error| Fault::invalid(format!("cannot open `{}`", to.directory)).cause(error))?;
    let limits = Limits::default();
    let mut reader = Reader::new(BufReader::new(archive), limits);
    let plain = Plain { keep_kinds: true };
    let mut extractor = Extractor::new(directory.as_fd(), Lowers::default(), limits).plain(plain);
    let fault = |error: hull_archive::Error| Fault::from(error);
    let mut found = false;
    while let Some(mut entry) = reader.next_entry().map_err(fault)? {
        found = true;
        entry.path = renamed(&entry.path, name, &to.name);
        if !entry.link.is_empty() && entry.kind == hull_archive::tar::EntryKind::HardLink {
            entry.link = renamed(&entry.link, name, &to.name);
        }
        if entry.path.is_empty() {
            continue; // The directory whose content is copied is there already.
        }
        if !owners {
            entry.uid = rustix::process::geteuid().as_raw();
            entry.gid = rustix::process::getegid().as_raw();
        }
        extractor.entry(&entry, &mut reader).map_err(fault)?;
    }
    extractor.finish().map_err(fault)?;
    if !found {
        let gone = Fault::not_found(format!("nothing was copied: `{name}` went away while it was looked for"));
        return Err(gone.hint("try again; something in the container changes it").into());
    }
    Ok(())
}

/// `old/x` is `new/x`.
fn renamed(path: &[u8], old: &str, new: &str) -> Vec<u8> {
    let old = if old == "/" { "" } else { old };
    let rest = path.strip_prefix(old.as_bytes()).unwrap_or(path);
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    match (new.is_empty(), rest.is_empty()) {
        (true, _) => rest.to_vec(),
        (false, true) => new.as_bytes().to_vec(),
        (false, false) => [new.as_bytes(), b"/", rest].concat(),
    }
}

/// What is copied into a container.
pub(super) struct Source {
    parent: File,
    last: String,
    is_directory: bool,
    contents: bool,
}

impl Source {
    pub fn open(path: &str, follow: bool) -> Result<Self, Failure> {
        let gone = |error| Fault::invalid(format!("cannot look at `{path}`")).cause(error);
        let follow = follow || path.ends_with('/') || path.ends_with("/.");
        let stat = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) }.map_err(gone)?;
        let contents = path == "." || path.ends_with("/.");
        // Of `.` and of what is behind a link the name is that of the place itself.
        let whole: PathBuf = if follow || contents { fs::canonicalize(path).map_err(gone)? } else { path.into() };
        let parent = match whole.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) => Path::new("."),
            None => Path::new("/"),
        };
        let last = whole.file_name().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned());
        let parent = File::open(parent).map_err(gone)?;
        Ok(Self { parent, contents: contents || last == ".", last, is_directory: stat.is_dir() })
    }

    /// Where it goes. `there`: whether something is at the destination, and whether that is a directory.
    pub fn naming(&self, path: &str, there: Option<bool>) -> Result<Naming, Failure> {
        match there {
            Some(true) => {
                let name = if self.contents { ".".to_owned() } else { self.last.clone() };
                Ok(Naming { directory: path.to_owned(), name })
            }
            Some(false) if self.is_directory => Err(refuse("cannot copy directory")),
            None if path.ends_with('/') && !self.is_directory => Err(refuse("no such directory")),
            _ => {
                let naming = above(path);
                let directory = if naming.directory.is_empty() { "/".to_owned() } else { naming.directory };
                Ok(Naming { directory, name: naming.name })
            }
        }
    }

    /// Calls `send` with an archive in which it is called `name`.
    pub fn pack(&self, name: &str, send: impl FnOnce(&mut dyn Read) -> Result<(), Failure>) -> Result<(), Failure> {
        let (mut from, to) = std::io::pipe().map_err(|error| Fault::internal("cannot make a pipe").cause(error))?;
        std::thread::scope(|scope| {
            let packing = scope.spawn(move || self.write(name, to));
            let sent = send(&mut from);
            // A packer that still writes finds nobody reading.
            drop(from);
            let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.and_then(|()| packed.map_err(Failure::from))
        })
    }

    fn write(&self, name: &str, to: impl std::io::Write) -> Result<(), Fault> {
        let how = Packing { prefix: Some(name.as_bytes()), ..Packing::default() };
        if !self.is_directory {
            hull_archive::pack_one(self.parent.as_fd(), self.last.as_bytes(), name.as_bytes(), to, &how)?;
            return Ok(());
        }
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.parent, self.last.as_str(), flags, rustix::fs::Mode::empty());
        let directory =
            directory.map_err(|errno| Fault::invalid(format!("cannot open `{}`", self.last)).cause(errno))?;
        hull_archive::pack_as(directory.as_fd(), to, &how)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_renamed_whole() {
        for (path, old, new, expected) in [
            ("etc/", "etc", "copy", "copy"),
            ("etc/group", "etc", "copy", "copy/group"),
            ("./group", ".", "", "group"),
            ("./", ".", "", ""),
            ("/bin/sh", "/", "all", "all/bin/sh"),
            ("passwd", "passwd", "mine", "mine"),
        ] {
            assert_eq!(renamed(path.as_bytes(), old, new), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn an_archive_with_nothing_in_it_is_no_success() {
        let dir = tempfile::tempdir().unwrap();
        let to = Naming { directory: dir.path().display().to_string(), name: "out".into() };
        let failure = unpack(&[0; 1024][..], "secret", &to, false).unwrap_err();
        assert!(format!("{failure:?}").contains("`secret` went away"), "{failure:?}");
    }
}
