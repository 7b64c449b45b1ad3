//! Volumes on a real file system, as root.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::copy;

fn store() -> (tempfile::TempDir, Volumes) {
    let root = tempfile::tempdir().unwrap();
    let volumes = Volumes::open(root.path()).unwrap();
    (root, volumes)
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

const KEEP: fn(u32, bool) -> u32 = |id, _| id;

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

#[test]
fn the_first_use_brings_the_images_content_with_its_owners() {
    let (_root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    assert!(volumes.first_use("data", Some(open(&image).as_fd()), &KEEP).unwrap());
    let at = |name: &str| volumes.mountpoint("data").join(name);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "content");
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/etc/passwd"));
    let script = fs::metadata(at("sub/script")).unwrap();
    assert_eq!((script.uid(), script.gid(), script.mode() & 0o7777), (1000, 1001, 0o4755));
    assert_eq!(fs::metadata(at("file")).unwrap().ino(), fs::metadata(at("sub/same")).unwrap().ino());
    assert_eq!(fs::metadata(at("")).unwrap().mode() & 0o7777, 0o750);
    // What the user empties stays empty.
    copy::empty(&volumes.mountpoint("data")).unwrap();
    assert!(!volumes.first_use("data", Some(open(&image).as_fd()), &KEEP).unwrap());
    assert!(copy::is_empty(&volumes.mountpoint("data")).unwrap());
}

#[test]
fn owners_are_those_on_disk() {
    let (_root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    let shift = |id: u32, group: bool| if group { id + 7 } else { id + 5 };
    volumes.first_use("data", Some(open(&image).as_fd()), &shift).unwrap();
    let sub = fs::metadata(volumes.mountpoint("data").join("sub")).unwrap();
    assert_eq!((sub.uid(), sub.gid()), (1005, 1008));
}

#[test]
fn a_volume_with_content_keeps_it() {
    let (_root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    fs::write(volumes.mountpoint("data").join("own"), "x").unwrap();
    assert!(!volumes.first_use("data", Some(open(&image).as_fd()), &KEEP).unwrap());
    assert!(!volumes.mountpoint("data").join("file").exists());
}

#[test]
fn a_filling_that_a_crash_cut_short_begins_again() {
    let (root, volumes) = store();
    let image = image();
    volumes.create(&wish("data", false, &none())).unwrap();
    fs::write(volumes.mountpoint("data").join("half"), "x").unwrap();
    File::create(root.path().join("volumes/data/filling")).unwrap();
    assert!(volumes.first_use("data", Some(open(&image).as_fd()), &KEEP).unwrap());
    assert!(!volumes.mountpoint("data").join("half").exists());
}

#[test]
fn too_deep_a_directory_is_refused_and_leaves_the_volume_empty() {
    let (_root, volumes) = store();
    let image = tempfile::tempdir().unwrap();
    let deep: PathBuf = std::iter::repeat_n("d", copy::DEEPEST + 2).collect();
    fs::create_dir_all(image.path().join(deep)).unwrap();
    volumes.create(&wish("data", false, &none())).unwrap();
    let result = volumes.first_use("data", Some(open(&image).as_fd()), &KEEP);
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
    let volumes = Volumes::open(root.path()).unwrap();
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
    assert!(!volumes.first_use("data", Some(open(&image).as_fd()), &KEEP).unwrap());
    assert!(rustix::fs::statat(volumes.data("data").unwrap(), "mine", rustix::fs::AtFlags::empty()).is_ok());
    assert!(!volumes.remove_unless("data", || true).unwrap());
    assert!(volumes.remove_unless("data", || false).unwrap());
    assert_eq!(fs::read_to_string(place.join("mine")).unwrap(), "kept");
}
