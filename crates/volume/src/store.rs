//! [`Volumes`]: the directory of all volumes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use hull_mount::MountFd;
use hull_records::{Db, SetAside};
use hull_types::{ContainerId, Timestamp};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mounted::{self, Mounted};
use crate::options::{Content, FileSystem, Shown, content};
use crate::{Result, check_name};

mod fill;
mod promise;

pub use fill::Filling;
use promise::Promises;

/// What is known about a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// It was made for one container and goes with it.
    pub anonymous: bool,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// docker's driver options, as they were asked for.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// A volume that is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewVolume<'a> {
    /// Its name.
    pub name: &'a str,
    /// It is for one container and goes with it.
    pub anonymous: bool,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// docker's driver options: what it shows.
    pub options: &'a BTreeMap<String, String>,
    /// It survives a power cut once it is acknowledged, else a killed process only.
    pub lasting: bool,
}

/// The file that says that a volume has no directory of its own to show.
const DEVICE: &str = "device";

/// The file beside an anonymous volume's content that says that it goes with its container.
const BOUND: &str = "bound";

/// All volumes of one engine.
#[derive(Debug)]
pub struct Volumes {
    directory: PathBuf,
    promises: Promises,
    /// Held by whoever is about to use volumes, and alone by who removes what is not used.
    uses: RwLock<()>,
    mounted: Mounted,
}

impl Volumes {
    /// Opens `<root>/volumes`, makes it if needed, sweeps what a crash left half-made, and makes what was promised in `db`. Promises that
    /// could not be kept or read come beside it.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Promise`].
    pub fn open(root: &Path, db: Db) -> Result<(Self, Vec<Error>, Vec<SetAside>)> {
        let directory = root.join("volumes");
        let promises = Promises::new(db);
        let store = Self { directory, promises, uses: RwLock::default(), mounted: Mounted::default() };
        store.prepare().map_err(|source| Error::Store { path: store.directory.display().to_string(), source })?;
        let (failures, unread) = store.keep_promises()?;
        Ok((store, failures, unread))
    }

    fn prepare(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // A file that root inside has made is no program of the host's users: they do not get here.
        fs::set_permissions(&self.directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                fs::remove_dir_all(entry.path())?;
            } else {
                // One of which that fails does not keep the others: whoever fills it next, tries again and is told.
                let _ = fill::resume(&entry.path());
            }
        }
        Ok(())
    }

    /// While it is held nothing is removed by [`Volumes::remove_unless`].
    pub fn using(&self) -> RwLockReadGuard<'_, ()> {
        self.uses.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a volume unless one of this name exists; tells whether it was made.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Io`], [`Error::Promise`].
    pub fn create(&self, wish: &NewVolume<'_>) -> Result<bool> {
        let NewVolume { name, lasting, .. } = *wish;
        check_name(name)?;
        match content(wish.options)? {
            Content::Mounted(wanted) if !mounted::is_known(&wanted.kind) => {
                return Err(Error::NoFileSystem(wanted.kind));
            }
            _ => {}
        }
        if self.directory.join(name).is_dir() {
            return Ok(false);
        }
        let (labels, options) = (wish.labels.clone(), wish.options.clone());
        let volume = Volume { name: name.to_owned(), created: now(), anonymous: wish.anonymous, labels, options };
        if lasting { self.create_promised(&volume) } else { self.build_and_publish(&volume) }
    }

    /// Runs `make` with a hidden name, and removes what is left there.
    fn fresh(&self, make: impl FnOnce(&Path) -> io::Result<bool>) -> io::Result<bool> {
        let fresh = self.directory.join(format!(".new-{}", ContainerId::new_random()));
        let made = make(&fresh);
        if !matches!(made, Ok(true)) {
            // Best effort: `open` sweeps what is left.
            let _ = fs::remove_dir_all(&fresh);
        }
        made
    }

    /// Another request may have made the same volume meanwhile: then that one stands.
    fn publish(&self, fresh: &Path, name: &str) -> io::Result<bool> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, fresh, CWD, self.directory.join(name), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What is known about a volume.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn inspect(&self, name: &str) -> Result<Volume> {
        check_name(name)?;
        let text = match fs::read(self.directory.join(name).join("volume.json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(name.to_owned()));
            }
            text => text.map_err(|source| failed("read the description", name, source))?,
        };
        serde_json::from_slice(&text).map_err(|error| failed("read the description", name, error.into()))
    }

    /// All volumes by name; those that cannot be read come as errors beside them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn list(&self) -> Result<(Vec<Volume>, Vec<Error>)> {
        let store = |source| Error::Store { path: self.directory.display().to_string(), source };
        let (mut volumes, mut unreadable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.directory).map_err(store)? {
            let name = entry.map_err(store)?.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            match self.inspect(&name) {
                Ok(volume) => volumes.push(volume),
                Err(error) => unreadable.push(error),
            }
        }
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((volumes, unreadable))
    }

    /// Where its content lies on the host, unless it shows another directory.
    pub fn mountpoint(&self, name: &str) -> PathBuf {
        self.directory.join(name).join("_data")
    }

    /// What it shows.
    fn content(&self, name: &str) -> Result<Content> {
        match self.directory.join(name).join(DEVICE).try_exists() {
            Ok(false) => Ok(Content::Own),
            Ok(true) => content(&self.inspect(name)?.options),
            Err(error) => Err(failed("look for the device", name, error)),
        }
    }

    /// Its content, as a directory fd.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn data(&self, name: &str) -> Result<OwnedFd> {
        check_name(name)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match self.content(name)? {
            Content::Own => {}
            Content::Shown(Shown { path: device, .. }) => {
                let opened = rustix::fs::open(&device, flags, Mode::empty());
                return opened.map_err(|error| Error::Device { name: name.to_owned(), device, source: error.into() });
            }
            Content::Mounted(wish) => return self.mounted.root(name, &wish).map_err(not_mounted(name, &wish)),
        }
        let flags = flags | OFlags::NOFOLLOW;
        match rustix::fs::open(self.mountpoint(name), flags, Mode::empty()) {
            Ok(fd) => Ok(fd),
            Err(rustix::io::Errno::NOENT) => Err(Error::Missing(name.to_owned())),
            Err(error) => Err(failed("open the directory", name, error.into())),
        }
    }

    /// A detached mount of `place`, a descriptor in the volume's content as [`Volumes::data`] opens it.
    ///
    /// # Errors
    /// [`Error::Mount`], [`Error::Bind`].
    pub fn bind(&self, name: &str, place: &OwnedFd) -> Result<MountFd> {
        let refused = |source| Error::Bind { name: name.to_owned(), source };
        match self.content(name)? {
            Content::Own => hull_mount::bind_shared(place, false).map_err(refused),
            Content::Shown(shown) => {
                let mount = hull_mount::bind_shared(place, shown.recursive).map_err(refused)?;
                if shown.attrs != 0 {
                    mount.set_attrs(shown.attrs, 0, shown.recursive).map_err(refused)?;
                }
                Ok(mount)
            }
            Content::Mounted(wish) => self.mounted.bind(name, &wish, place).map_err(not_mounted(name, &wish)),
        }
    }

    /// Has `listener` told of each volume's mount namespace when its file system is mounted, and of its end.
    pub fn report_mounts_to(&self, listener: impl Fn(&str, Option<&OwnedFd>) + Send + Sync + 'static) {
        self.mounted.report_to(Box::new(listener));
    }

    /// Takes over a mount namespace that an earlier engine had reported.
    pub fn adopt_mount(&self, name: &str, namespace: OwnedFd) {
        self.mounted.adopt(name, namespace);
    }

    /// The names of volumes whose file systems are mounted.
    pub fn mounted(&self) -> Vec<String> {
        self.mounted.names()
    }

    /// The mount namespace of a volume whose file system is mounted.
    pub fn mount_namespace(&self, name: &str) -> Option<OwnedFd> {
        self.mounted.namespace(name)
    }

    /// Unmounts a volume's file system unless somebody uses it, which is asked while nobody can mount it.
    pub fn release_unless(&self, name: &str, is_used: impl FnOnce() -> bool) {
        self.mounted.release_unless(name, is_used);
    }

    /// From now on an anonymous volume outlives the container that it was made for. Takes no room, so that it
    /// works on a full disk.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Io`].
    pub fn keep(&self, name: &str) -> Result<()> {
        check_name(name)?;
        match fs::remove_file(self.directory.join(name).join(BOUND)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("keep the volume", name, error)),
            _ => Ok(()),
        }
    }

    /// Anonymous volumes that were to go with a container of which nothing is known: its create or its removal
    /// was cut short. A power cut may have left them without a description.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn orphans(&self, is_used: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let store = |source| Error::Store { path: self.directory.display().to_string(), source };
        let mut orphans = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(store)? {
            let name = entry.map_err(store)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && !is_used(&name) && self.directory.join(&name).join(BOUND).exists() {
                orphans.push(name);
            }
        }
        Ok(orphans)
    }

    /// Removes a volume unless somebody uses it, which is asked while nobody can begin to. `false`: it is used.
    ///
    /// # Errors
    /// As [`Volumes::remove`].
    pub fn remove_unless(&self, name: &str, is_used: impl FnOnce() -> bool) -> Result<bool> {
        let _alone = self.uses.write().unwrap_or_else(PoisonError::into_inner);
        if is_used() { Ok(false) } else { self.remove(name).map(|()| true) }
    }

    /// Removes a volume: out of sight at once, then its content. Who still uses it is the caller's to
    /// know.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let (place, gone) =
            (self.directory.join(name), self.directory.join(format!(".gone-{}", ContainerId::new_random())));
        let hide = || match fs::rename(&place, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing(name.to_owned())),
            renamed => renamed.map_err(|source| failed("move the directory", name, source)),
        };
        // Not acknowledged, so still there.
        self.withdraw(name, hide, || _ = fs::rename(&gone, &place))?;
        self.mounted.release_unless(name, || false);
        fs::remove_dir_all(&gone).map_err(|source| failed("remove the content", name, source))
    }
}

/// A whole volume under a name that nobody looks at.
fn build(fresh: &Path, volume: &Volume) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o701).create(fresh)?;
    fs::DirBuilder::new().mode(0o755).create(fresh.join("_data"))?;
    // Whatever the engine's umask is.
    fs::set_permissions(fresh.join("_data"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    write_files(fresh, volume)
}

/// What says what it is, the description last.
fn write_files(directory: &Path, volume: &Volume) -> io::Result<()> {
    for (file, wanted) in [(BOUND, volume.anonymous), (DEVICE, !volume.options.is_empty())] {
        if wanted {
            File::create(directory.join(file))?;
        }
    }
    fs::write(directory.join("volume.json"), serde_json::to_vec(volume)?)
}

fn not_mounted<'a>(name: &'a str, wish: &'a FileSystem) -> impl FnOnce(hull_sys::Error) -> Error + 'a {
    |source| Error::Mount { name: name.to_owned(), device: wish.device.clone(), source }
}

fn failed(attempt: &'static str, name: &str, source: io::Error) -> Error {
    Error::Io { attempt, name: name.to_owned(), source }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
