//! One path in a container: where it leads, and what docker's clients are told of it.
//!
//! Links on the way are followed beneath the root, the last component is not, unless the path ends in `/` or `/.`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use hull_types::{Fault, Timestamp};
use hull_wire::PathStat;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::missing;
use crate::admit::clean;

/// How many links of links are followed.
const LINKS: usize = 40;
/// Where a container's kernel file systems are.
const KERNELS: [&[u8]; 3] = [b"/proc/", b"/sys/", b"/dev/"];

/// What is at a path.
pub(super) struct Place {
    /// The directory that holds it; itself, if the path says that it is a directory.
    pub parent: OwnedFd,
    /// Its name there: `.` if it is the parent.
    pub last: Vec<u8>,
    /// Absolute, without `.` and `..`.
    path: String,
    name: String,
    stat: Stat,
}

/// Looks at `path` beneath `root`.
pub(super) fn find(root: BorrowedFd<'_>, path: &str, who: &str) -> Result<Place, Fault> {
    let clean = clean(path);
    let is_directory = clean == "/" || path.ends_with('/') || path.ends_with("/.") || path == ".";
    let (above, last) = match (is_directory, clean.rsplit_once('/')) {
        (false, Some((above, last))) => (if above.is_empty() { "/" } else { above }, last),
        _ => (clean.as_str(), "."),
    };
    let open = |path: &str| hull_sys::resolve::open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY);
    let gone = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => missing(path, who),
        errno => Fault::invalid(format!("cannot look at {} in container {who}", shown(path))).cause(errno),
    };
    let parent = open(above).map_err(|error| gone(error.errno))?;
    let stat = rustix::fs::statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW).map_err(gone)?;
    let name = match clean.rsplit('/').next() {
        _ if path.ends_with("/.") || path == "." => ".",
        Some("") | None => "/",
        Some(name) => name,
    };
    Ok(Place { parent, last: last.as_bytes().to_vec(), name: name.to_owned(), path: clean, stat })
}

impl Place {
    /// What the archive's root is called: nothing for `/`, whose entries begin with a slash.
    pub fn prefix(&self) -> &[u8] {
        if self.name == "/" { b"" } else { self.name.as_bytes() }
    }

    /// Absolute, without `.` and `..`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a path beneath it is inside `/proc`, `/sys` or `/dev`.
    pub fn is_kernels(&self, beneath: &[u8]) -> bool {
        let base = if self.path == "/" { b"" } else { self.path.as_bytes() };
        let path = [base, b"/", beneath].concat();
        KERNELS.iter().any(|place| path.starts_with(place))
    }

    /// It, opened, if it is a directory.
    pub fn directory(&self) -> Result<Option<OwnedFd>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.parent, OsStr::from_bytes(&self.last), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(Fault::invalid(format!("cannot open {}", shown(&self.path))).cause(errno)),
        }
    }

    /// As [`Place::directory`], also behind a link.
    pub fn followed(&self, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Fault> {
        match self.directory()? {
            Some(fd) => Ok(Some(fd)),
            None => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                Ok(hull_sys::resolve::open_in_root(root, &self.path, flags).ok())
            }
        }
    }

    pub fn stat(&self, root: BorrowedFd<'_>) -> Result<PathStat, Fault> {
        let is_link = FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink;
        let seconds = i128::from(self.stat.st_mtime) * 1_000_000_000 + i128::from(self.stat.st_mtime_nsec);
        Ok(PathStat {
            name: self.name.clone(),
            size: self.stat.st_size,
            mode: go_mode(self.stat.st_mode),
            mtime: Timestamp::from_nanos(i64::try_from(seconds).unwrap_or(0)),
            link_target: if is_link { link_target(root, &self.path) } else { String::new() },
        })
    }
}

/// The path behind a link, with links of links followed.
fn link_target(root: BorrowedFd<'_>, path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let (above, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let above = if above.is_empty() { "/" } else { above };
        let Ok(parent) = hull_sys::resolve::open_in_root(root, above, OFlags::PATH | OFlags::DIRECTORY) else { break };
        let Ok(text) = rustix::fs::readlinkat(parent.as_fd(), last, Vec::new()) else { break };
        let text = text.to_string_lossy().into_owned();
        path = if text.starts_with('/') { clean(&text) } else { clean(&format!("{above}/{text}")) };
    }
    path
}

/// Go's `os.FileMode` of a `st_mode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).fold(0, |all, (_, go)| all | go);
    kind | special | mode & 0o777
}

fn shown(path: &str) -> String {
    path.chars().take(256).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        // As docker 28.5 told them: a directory of mode 0755, a link, a file of mode 0644.
        for (mode, go) in [(0o040_755, 2_147_484_141), (0o120_777, 134_218_239), (0o100_644, 420)] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
        assert_eq!(go_mode(0o104_755), 0o755 | 1 << 23);
        assert_eq!(go_mode(0o041_777), 0o777 | 1 << 31 | 1 << 20);
    }

    #[test]
    fn a_path_leads_beneath_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("run/app")).unwrap();
        std::fs::create_dir(dir.path().join("var")).unwrap();
        std::os::unix::fs::symlink("/run", dir.path().join("var/run")).unwrap();
        std::os::unix::fs::symlink("../../../../etc/passwd", dir.path().join("out")).unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        let look = |path: &str| find(root.as_fd(), path, "web").and_then(|place| place.stat(root.as_fd()));
        let name = |path: &str| look(path).map(|stat| (stat.name, stat.link_target)).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(name("/"), pair("/", ""));
        assert_eq!(name("var/run"), pair("run", "/run"));
        assert_eq!(name("/var/run/"), pair("run", ""));
        assert_eq!(name("/var/run/app"), pair("app", ""));
        assert_eq!(name("/var/run/."), pair(".", ""));
        assert_eq!(name("/out"), pair("out", "/etc/passwd"));
        for missing in ["/nope", "/out/x", "/run/app/../../../nope"] {
            let fault = look(missing).unwrap_err();
            assert_eq!(fault.summary, format!("Could not find the file {missing} in container web"));
        }
    }
}
