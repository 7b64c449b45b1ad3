//! Volumes on a real file system, as root.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::copy;

fn store() -> (tempfile::TempDir, Volumes) {
    let root = tempfile::tempdir().unwrap();
    let volumes = reopened(root.path());
    (root, volumes)
}

/// The same directory, with a state of its own: the other one is still open.
fn again(root: &Path) {
    Volumes::open(root, Db::open(root.join("other.db")).unwrap()).unwrap();
    for file in ["other.db", "other.db-wal"] {
        let _ = fs::remove_file(root.join(file));
    }
}

/// As the next engine opens it; the former one's is to be dropped before.
fn reopened(root: &Path) -> Volumes {
    let (volumes, failures, unread) = Volumes::open(root, Db::open(root.join("state.db")).unwrap()).unwrap();
    assert!(failures.is_empty() && unread.is_empty(), "{failures:?} {unread:?}");
    volumes
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn wish<'a>(name: &'a str, anonymous: bool, labels: &'a BTreeMap<String, String>) -> NewVolume<'a> {
    static NO_OPTIONS: BTreeMap<String, String> = BTreeMap::new();
    NewVolume { name, anonymous, labels, options: &NO_OPTIONS, lasting: true }
}

fn image() -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    let at = |name: &str| image.path().join(name);
    fs::create_dir_all(at("sub/deeper")).unwrap();
    fs::write(at("file"), "content").unwrap();
    fs::write(at("sub/script"), "#!").unwrap();
    fs::set_permissions(at("sub/script"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(at("file"), at("sub/same")).unwrap();
    symlink("/etc/passwd", at("link")).unwrap();
    std::os::unix::fs::chown(at("sub"), Some(1000), Some(1001)).unwrap();
    std::os::unix::fs::chown(at("sub/script"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(at("sub/script"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o750)).unwrap();
    image
}

fn open(image: &tempfile::TempDir) -> File {
    File::open(image.path()).unwrap()
}

#[test]
fn a_volume_is_made_once_and_described() {
    let (root, volumes) = store();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    assert!(volumes.create(&wish("data", false, &labels)).unwrap());
    assert!(!volumes.create(&wish("data", true, &none())).unwrap());
    let volume = volumes.inspect("data").unwrap();
    assert_eq!((volume.name.as_str(), volume.anonymous, volume.labels), ("data", false, labels));
    assert_eq!(volumes.mountpoint("data"), root.path().join("volumes/data/_data"));
    assert_eq!(fs::metadata(volumes.mountpoint("data")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(volumes.list().unwrap().0.len(), 1);
    volumes.remove("data").unwrap();
    assert!(matches!(volumes.remove("data"), Err(Error::Missing(_))));
    assert!(matches!(volumes.data("data"), Err(Error::Missing(_))));
    assert_eq!(fs::read_dir(root.path().join("volumes")).unwrap().count(), 0);
}

#[test]
fn only_anonymous_volumes_that_nobody_kept_can_be_orphans() {
    let (_root, volumes) = store();
    for (name, anonymous) in [("named", false), ("used", true), ("kept", true), ("lost", true)] {
        volumes.create(&wish(name, anonymous, &none())).unwrap();
    }
    volumes.keep("kept").unwrap();
    volumes.keep("named").unwrap();
    assert_eq!(volumes.orphans(|name| name == "used").unwrap(), ["lost"]);
}

#[test]
fn bad_names_touch_nothing() {
    let (root, volumes) = store();
    for name in ["../x", "a/b", "", ".new-x", "a\0b"] {
        assert!(matches!(volumes.create(&wish(name, false, &none())), Err(Error::Name(_))), "{name:?}");
        assert!(matches!(volumes.remove(name), Err(Error::Name(_))), "{name:?}");
        assert!(matches!(volumes.data(name), Err(Error::Name(_))), "{name:?}");
    }
    assert_eq!(fs::read_dir(root.path().join("volumes")).unwrap().count(), 0);
}

/// Fills it from an image, if that is to be done.
fn fill(volumes: &Volumes, name: &str, image: &tempfile::TempDir) -> Result<bool> {
    assert_eq!(volumes.may_be_filled(name, None)?, copy::is_empty(&volumes.mountpoint(name)).unwrap());
    fill_at(volumes, name, image, None)
}

fn fill_at(volumes: &Volumes, name: &str, image: &tempfile::TempDir, subpath: Option<&Path>) -> Result<bool> {
    volumes.fill(name, &Filling { image: open(image).as_fd(), subpath, lasting: true })
}

fn names(of: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(of).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_empty_volume_gets_the_images_content_with_its_owners() {
    let (root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    assert!(fill(&volumes, "data", &image).unwrap());
    let at = |name: &str| volumes.mountpoint("data").join(name);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "content");
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/etc/passwd"));
    let script = fs::metadata(at("sub/script")).unwrap();
    assert_eq!((script.uid(), script.gid(), script.mode() & 0o7777), (1000, 1001, 0o4755));
    assert_eq!(fs::metadata(at("file")).unwrap().ino(), fs::metadata(at("sub/same")).unwrap().ino());
    assert_eq!(fs::metadata(at("")).unwrap().mode() & 0o7777, 0o750);
    assert_eq!(names(&root.path().join("volumes/data")), ["_data", "volume.json"], "nothing of the way is left");
    assert!(!fill(&volumes, "data", &image).unwrap(), "it is not empty");
}

#[test]
fn a_volume_with_content_keeps_it() {
    let (_root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    fs::write(volumes.mountpoint("data").join("own"), "x").unwrap();
    assert!(!fill(&volumes, "data", &image).unwrap());
    assert_eq!(names(&volumes.mountpoint("data")), ["own"]);
}

#[test]
fn an_empty_directory_in_a_volume_is_filled_where_it_lies() {
    let (root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    let data = volumes.mountpoint("data");
    fs::create_dir_all(data.join("a/b")).unwrap();
    symlink("/a", data.join("way")).unwrap();
    assert!(!fill_at(&volumes, "data", &image, Some(Path::new("nosuch"))).unwrap());
    assert!(!fill_at(&volumes, "data", &image, Some(Path::new("a"))).unwrap());
    assert!(fill_at(&volumes, "data", &image, Some(Path::new("way/b"))).unwrap());
    assert_eq!((names(&data), names(&data.join("a/b"))), {
        (vec!["a".to_owned(), "way".to_owned()], vec!["file".to_owned(), "link".to_owned(), "sub".to_owned()])
    });
    assert_eq!(names(&root.path().join("volumes/data")), ["_data", "volume.json"]);
}

#[test]
fn a_filling_that_was_cut_short_is_forgotten_until_it_was_whole_and_then_goes_on() {
    let (root, volumes) = store();
    let home = root.path().join("volumes/data");
    volumes.create(&wish("data", false, &none())).unwrap();
    let stage = |whole: bool| {
        fs::create_dir(home.join("staged")).unwrap();
        fs::write(home.join("staged/half"), "theirs").unwrap();
        fs::write(home.join("staged/other"), "theirs").unwrap();
        fs::set_permissions(home.join("staged"), fs::Permissions::from_mode(0o750)).unwrap();
        if whole {
            File::create(home.join("whole")).unwrap();
        }
    };
    stage(false);
    again(root.path());
    assert_eq!((names(&home), names(&home.join("_data"))), (vec!["_data".into(), "volume.json".into()], vec![]));
    stage(true);
    // A container that ran meanwhile has a file of its own there.
    fs::write(home.join("_data/half"), "mine").unwrap();
    again(root.path());
    assert_eq!((names(&home), names(&home.join("_data"))), {
        (vec!["_data".into(), "volume.json".into()], vec!["half".into(), "other".into()])
    });
    assert_eq!(fs::read_to_string(home.join("_data/half")).unwrap(), "mine");
    assert_eq!(fs::metadata(home.join("_data")).unwrap().mode() & 0o7777, 0o750);
    // Cut short after the last move, and by whoever fills it next.
    File::create(home.join("whole")).unwrap();
    assert!(!fill(&volumes, "data", &image()).unwrap());
    assert_eq!(names(&home), ["_data", "volume.json"]);
}

#[test]
fn too_deep_a_directory_is_refused_and_leaves_the_volume_empty() {
    let (_root, volumes) = store();
    let image = tempfile::tempdir().unwrap();
    let deep: PathBuf = std::iter::repeat_n("d", copy::DEEPEST + 2).collect();
    fs::create_dir_all(image.path().join(deep)).unwrap();
    volumes.create(&wish("data", false, &none())).unwrap();
    let result = fill(&volumes, "data", &image);
    assert!(matches!(result, Err(Error::Depth { .. })), "{result:?}");
    assert!(copy::is_empty(&volumes.mountpoint("data")).unwrap());
}

#[test]
fn leftovers_are_swept_and_damaged_ones_are_named() {
    let (root, volumes) = store();
    volumes.create(&wish("good", false, &none())).unwrap();
    volumes.create(&wish("bad1", false, &none())).unwrap();
    fs::write(root.path().join("volumes/bad1/volume.json"), "{").unwrap();
    fs::create_dir(root.path().join("volumes/.new-1")).unwrap();
    volumes.settle().unwrap();
    drop(volumes);
    let volumes = reopened(root.path());
    let (good, bad) = volumes.list().unwrap();
    assert_eq!((good.len(), bad.len()), (1, 1));
    assert!(bad[0].to_string().contains("bad1"));
    assert!(!root.path().join("volumes/.new-1").exists());
}

#[test]
fn a_volume_can_show_a_directory_of_the_host_and_leaves_it_when_it_goes() {
    let (_root, volumes) = store();
    let (shown, none) = (tempfile::tempdir().unwrap(), none());
    let place = shown.path().join("place");
    let pairs = [("type", "none"), ("o", "bind"), ("device", place.to_str().unwrap())];
    let options: BTreeMap<_, _> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    volumes.create(&NewVolume { options: &options, ..wish("data", false, &none) }).unwrap();
    assert!(matches!(volumes.data("data"), Err(Error::Device { .. })));
    fs::create_dir(&place).unwrap();
    fs::write(place.join("mine"), "kept").unwrap();
    let image = image();
    assert!(!fill_at(&volumes, "data", &image, None).unwrap());
    assert!(rustix::fs::statat(volumes.data("data").unwrap(), "mine", rustix::fs::AtFlags::empty()).is_ok());
    assert!(!volumes.remove_unless("data", || true).unwrap());
    assert!(volumes.remove_unless("data", || false).unwrap());
    assert_eq!(fs::read_to_string(place.join("mine")).unwrap(), "kept");
    // An empty one is filled, as docker's.
    fs::remove_file(place.join("mine")).unwrap();
    volumes.create(&NewVolume { options: &options, ..wish("data", false, &none) }).unwrap();
    assert!(volumes.may_be_filled("data", None).unwrap());
    assert!(fill_at(&volumes, "data", &image, None).unwrap());
    assert_eq!(names(&place), ["file", "link", "sub"]);
}

/// A power cut may take what was not synced: all of a directory, or what is in its files.
#[test]
fn what_was_promised_is_made_again() {
    let (root, volumes) = store();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    volumes.create(&wish("settled", false, &labels)).unwrap();
    volumes.settle().unwrap();
    for name in ["lost", "torn", "whole", "removed"] {
        volumes.create(&wish(name, false, &labels)).unwrap();
        assert!(volumes.has_promises());
    }
    let created = volumes.inspect("lost").unwrap().created;
    fs::write(volumes.mountpoint("torn").join("file"), "mine").unwrap();
    volumes.remove("removed").unwrap();
    drop(volumes);
    let place = root.path().join("volumes");
    fs::remove_dir_all(place.join("lost")).unwrap();
    fs::write(place.join("torn/volume.json"), "").unwrap();
    let volumes = reopened(root.path());
    let names: Vec<String> = volumes.list().unwrap().0.into_iter().map(|volume| volume.name).collect();
    assert_eq!(names, ["lost", "settled", "torn", "whole"]);
    let lost = volumes.inspect("lost").unwrap();
    assert_eq!((lost.labels, lost.created), (labels.clone(), created));
    assert_eq!(fs::read_to_string(volumes.mountpoint("torn").join("file")).unwrap(), "mine");
    assert_eq!(volumes.inspect("torn").unwrap().labels, labels);
    // Once the files are on the disk they alone say what there is.
    volumes.settle().unwrap();
    assert!(!volumes.has_promises());
    drop(volumes);
    fs::remove_dir_all(place.join("lost")).unwrap();
    let names: Vec<String> = reopened(root.path()).list().unwrap().0.into_iter().map(|volume| volume.name).collect();
    assert_eq!(names, ["settled", "torn", "whole"]);
}
