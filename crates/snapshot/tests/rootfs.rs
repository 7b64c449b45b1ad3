//! Root file systems, looked at through their detached mounts. Nothing is attached anywhere.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_archive::Limits;
use hull_archive::tar::{Entry, EntryKind, Writer};
use hull_snapshot::{Base, Changed, Error, Place, Places, Rootfs, Snapshots, StagedOrVisible};
use hull_types::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

fn file(path: &str, content: &str) -> (Entry, String) {
    let size = content.len() as u64;
    (Entry { path: path.into(), mode: 0o644, size, ..Entry::default() }, content.to_owned())
}

fn directory(path: &str, mode: u32) -> (Entry, String) {
    (Entry { path: path.into(), kind: EntryKind::Directory, mode, ..Entry::default() }, String::new())
}

fn symlink(path: &str, target: &str) -> (Entry, String) {
    (Entry { path: path.into(), kind: EntryKind::Symlink, link: target.into(), ..Entry::default() }, String::new())
}

fn tar(entries: &[(Entry, String)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, content.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// Makes layers of archives, bottom first.
fn layers(snapshots: &Snapshots, archives: &[Vec<u8>]) -> Base {
    let mut chain: Vec<Digest> = Vec::new();
    for archive in archives {
        let stage = snapshots.stage(chain.last()).unwrap();
        let below: Vec<StagedOrVisible<'_>> = chain.iter().map(|id| StagedOrVisible::Visible(*id)).collect();
        let unpacked = stage.unpack(&archive[..], &below, Limits::default()).unwrap();
        let layer = stage.finish(&unpacked).unwrap();
        chain.push(layer.chain_id());
        snapshots.sync().unwrap();
        snapshots.publish([layer]).unwrap();
    }
    Base::Layers(chain)
}

fn two_layers(snapshots: &Snapshots) -> Base {
    layers(
        snapshots,
        &[
            tar(&[
                directory("./", 0o755),
                directory("d", 0o750),
                file("d/a", "one"),
                file("d/b", "two"),
                file("c", "three"),
            ]),
            tar(&[
                directory("./", 0o711),
                file("d/a", "ONE"),
                file("d/.wh.b", ""),
                file(".wh.c", ""),
                file("new", "x"),
            ]),
        ],
    )
}

fn snapshots() -> (tempfile::TempDir, Snapshots) {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(dir.path()).unwrap();
    (dir, snapshots)
}

fn rootfs<'a>(base: &'a Base, slot: &'a str) -> Rootfs<'a> {
    Rootfs { base, slot, ephemeral: false, userns: None }
}

fn open(root: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(root, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))
}

fn read(root: impl AsFd, path: &str) -> Result<String, Errno> {
    let mut text = String::new();
    File::from(open(root, path, OFlags::RDONLY)?).read_to_string(&mut text).unwrap();
    Ok(text)
}

fn write(root: impl AsFd, path: &str, text: &str) {
    let fd = open(root, path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC).unwrap();
    File::from(fd).write_all(text.as_bytes()).unwrap();
}

fn mode(root: impl AsFd, path: &str) -> u32 {
    rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_mode & 0o7777
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[test]
fn the_layers_show_as_one_and_nothing_is_mounted_on_the_host() {
    let (_dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    let before = mounts();
    let prepared = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    assert_eq!(mounts(), before);
    let root = &prepared.mount;
    assert_eq!(read(root, "d/a").as_deref(), Ok("ONE"));
    assert_eq!(read(root, "d/b"), Err(Errno::NOENT));
    assert_eq!(read(root, "c"), Err(Errno::NOENT));
    assert_eq!(read(root, "new").as_deref(), Ok("x"));
    assert_eq!(mode(root, "d"), 0o750, "a directory that only the lower layer names keeps its mode");
    assert_eq!(mode(root, "."), 0o711, "the container's / is the topmost layer's");
}

#[test]
fn changes_stay_in_the_slot_and_come_back() {
    let (dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    let first = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    let second = snapshots.prepare(&rootfs(&base, "two")).unwrap();
    write(&first.mount, "d/a", "mine");
    assert_eq!(read(&second.mount, "d/a").as_deref(), Ok("ONE"));
    assert_eq!((snapshots.usage("one").unwrap(), snapshots.usage("two").unwrap()), (4, 0));
    drop(first);
    let again = snapshots.reopen(&rootfs(&base, "one")).unwrap();
    assert_eq!(read(&again.mount, "d/a").as_deref(), Ok("mine"));
    drop(again);
    snapshots.remove("one").unwrap();
    snapshots.remove("one").unwrap();
    assert!(!dir.path().join("snapshots/one").exists());
    assert_eq!(snapshots.sweep().unwrap(), 1);
    assert_eq!(entries(&dir.path().join("trash")), 0);
}

#[test]
fn an_ephemeral_slot_can_be_mounted_again_in_the_same_boot() {
    let (_dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    let wish = Rootfs { ephemeral: true, ..rootfs(&base, "one") };
    let first = snapshots.prepare(&wish).unwrap();
    write(&first.mount, "kept", "yes");
    drop(first);
    let again = snapshots.reopen(&wish).unwrap();
    assert_eq!(read(&again.mount, "kept").as_deref(), Ok("yes"));
}

#[test]
fn a_user_namespace_sees_the_files_as_its_own() {
    let (dir, snapshots) = snapshots();
    let snapshots = snapshots.with_places(PLACES);
    let base = two_layers(&snapshots);
    let userns = userns();
    let wish = Rootfs { userns: Some(&userns), ..rootfs(&base, "one") };
    let prepared = snapshots.prepare(&wish).unwrap();
    let owner = |path: &str| rustix::fs::statat(&prepared.mount, path, AtFlags::empty()).unwrap().st_uid;
    for path in [".", "d", "d/a", "new", ".mark", "etc/hosts"] {
        assert_eq!(owner(path), 100_000, "{path}: the namespace's root, seen from the host");
    }
    rustix::fs::chmodat(&prepared.mount, "d/a", Mode::from_raw_mode(0o600), AtFlags::empty()).unwrap();
    assert_eq!((owner("d/a"), mode(&prepared.mount, "d/a")), (100_000, 0o600));
    let below = dir.path().join("layers").join(base.layers()[1].hex()).join("fs/d/a");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(below).unwrap()), 0, "the layer is not touched");
    let host = snapshots.prepare(&Rootfs { userns: Some(&userns), ..rootfs(&Base::Host, "two") }).unwrap();
    for path in [".", "usr", "tmp", "root"] {
        let owner = rustix::fs::statat(&host.mount, path, AtFlags::empty()).unwrap().st_uid;
        assert_eq!(owner, 100_000, "{path} of hull/host");
    }
}

#[test]
fn an_image_without_layers_is_an_empty_directory() {
    let (_dir, snapshots) = snapshots();
    let base = Base::Layers(Vec::new());
    let prepared = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    write(&prepared.mount, "a", "b");
    assert_eq!(read(&prepared.mount, "a").as_deref(), Ok("b"));
}

#[test]
fn the_pool_changes_nothing_that_a_container_sees() {
    let (dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    snapshots.set_pool(2);
    assert!(!snapshots.prepare(&rootfs(&base, "one")).unwrap().pooled, "nothing is ready yet");
    assert_eq!(snapshots.refill().unwrap(), 2);
    let pooled = snapshots.prepare(&rootfs(&base, "two")).unwrap();
    assert!(pooled.pooled);
    assert_eq!(read(&pooled.mount, "d/a").as_deref(), Ok("ONE"));
    assert_eq!(mode(&pooled.mount, "."), 0o711);
    write(&pooled.mount, "d/a", "mine");
    assert_eq!(snapshots.usage("two").unwrap(), 4);
    drop(pooled);
    let again = snapshots.reopen(&rootfs(&base, "two")).unwrap();
    assert_eq!(read(&again.mount, "d/a").as_deref(), Ok("mine"));
    let other = Rootfs { ephemeral: true, ..rootfs(&base, "three") };
    assert!(!snapshots.prepare(&other).unwrap().pooled, "another kind");
    snapshots.remove_layer(base.layers().last().unwrap()).unwrap();
    assert!(snapshots.prepare(&rootfs(&base, "four")).is_err(), "the pool does not outlive a layer");
    snapshots.set_pool(0);
    let left = entries(&dir.path().join("snapshots"));
    assert_eq!(left, 4, ".empty, one, two, three");
}

const PLACES: Places = Places(&[
    ("", &[Place::Directory("proc"), Place::Directory("d"), Place::File(".mark")]),
    (
        "etc",
        &[Place::File("hosts"), Place::File("link"), Place::Link("mtab", "/proc/mounts"), Place::Link("own", "/x")],
    ),
    ("new", &[Place::File("x")]),
]);

#[test]
fn mount_points_are_made_ahead_and_what_the_image_has_stays() {
    let (_dir, snapshots) = snapshots();
    let snapshots = snapshots.with_places(PLACES);
    let base = layers(
        &snapshots,
        &[tar(&[
            directory("./", 0o755),
            directory("d", 0o750),
            directory("etc", 0o700),
            file("new", "no directory"),
            symlink("etc/link", "/nowhere"),
            symlink("etc/own", "/theirs"),
        ])],
    );
    snapshots.set_pool(1);
    let made = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    snapshots.refill().unwrap();
    let pooled = snapshots.prepare(&rootfs(&base, "two")).unwrap();
    assert!(!made.pooled && pooled.pooled);
    for root in [&made.mount, &pooled.mount] {
        assert_eq!(read(root, "etc/hosts").as_deref(), Ok(""));
        assert_eq!(read(root, "new").as_deref(), Ok("no directory"));
        assert_eq!(read(root, "etc/link"), Err(Errno::NOENT), "the link still leads nowhere");
        for (path, want) in [("proc", 0o755), ("d", 0o750), ("etc", 0o700), ("etc/hosts", 0o755), (".mark", 0o755)] {
            assert_eq!(mode(root, path), want, "{path}");
        }
        for (path, want) in [("etc/mtab", c"/proc/mounts"), ("etc/own", c"/theirs")] {
            assert_eq!(rustix::fs::readlinkat(root, path, Vec::new()).unwrap().as_c_str(), want);
        }
    }
    assert_eq!(snapshots.usage("two").unwrap(), 0);
    // They are nobody's change; one that somebody made is, and one that was removed stays away.
    let mountpoints = [".mark", "etc/hosts", "etc/mtab", "proc"];
    let of = |slot| Changed { base: &base, slot, owner: None, mountpoints: &mountpoints };
    assert!(snapshots.changes(&of("one")).unwrap().is_empty());
    rustix::fs::unlinkat(&made.mount, "etc/mtab", AtFlags::empty()).unwrap();
    rustix::fs::symlinkat("/proc/self/mounts", &made.mount, "etc/mtab").unwrap();
    rustix::fs::unlinkat(&made.mount, ".mark", AtFlags::empty()).unwrap();
    assert!(snapshots.changes(&of("one")).unwrap().contains_key(&b"/etc/mtab"[..]));
    drop(made);
    let again = snapshots.reopen(&rootfs(&base, "one")).unwrap();
    assert_eq!(read(&again.mount, ".mark"), Err(Errno::NOENT));
}

#[test]
fn what_a_new_container_would_find_is_shown_and_used_for_the_next_one() {
    let (dir, snapshots) = snapshots();
    let snapshots = snapshots.with_places(PLACES);
    let base = two_layers(&snapshots);
    let seen = |pooled: bool| {
        snapshots.set_pool(usize::from(pooled));
        snapshots
            .look(&base, false, |root| read(root, "d/a").map(|text| text + &read(root, "etc/hosts").unwrap()))
            .unwrap()
    };
    assert_eq!(seen(false).as_deref(), Ok("ONE"));
    assert_eq!(entries(&dir.path().join("snapshots")), 1, ".empty");
    assert_eq!(seen(true).as_deref(), Ok("ONE"));
    assert_eq!(seen(true).as_deref(), Ok("ONE"));
    assert!(snapshots.prepare(&rootfs(&base, "one")).unwrap().pooled);
    // The same is exported of a container that never started.
    let mut exported = Vec::new();
    let of = Changed { base: &base, slot: "never", owner: None, mountpoints: &[] };
    snapshots.pack_merged(&of, &mut exported).unwrap();
    let mut reader = hull_archive::tar::Reader::new(&exported[..], Limits::default());
    let mut paths = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        paths.push(String::from_utf8(entry.path).unwrap());
    }
    assert!(paths.iter().any(|path| path.ends_with("etc/mtab")), "{paths:?}");
}

#[test]
fn many_at_a_time_get_a_root_file_system_each() {
    let (_dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    snapshots.set_pool(3);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (snapshots, base) = (&snapshots, &base);
            scope.spawn(move || {
                for turn in 0..20 {
                    let slot = format!("slot-{thread}-{turn}");
                    let prepared = snapshots.prepare(&rootfs(base, &slot)).unwrap();
                    assert_eq!(read(&prepared.mount, "mine"), Err(Errno::NOENT));
                    write(&prepared.mount, "mine", &slot);
                    assert_eq!(snapshots.usage(&slot).unwrap(), slot.len() as u64);
                    drop(prepared);
                    snapshots.remove(&slot).unwrap();
                    if turn % 3 == 0 {
                        snapshots.refill().unwrap();
                        snapshots.sweep().unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_slot_that_exists_is_not_replaced_by_a_pooled_one() {
    let (_dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    snapshots.set_pool(1);
    let first = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    write(&first.mount, "kept", "yes");
    drop(first);
    snapshots.refill().unwrap();
    let again = snapshots.prepare(&rootfs(&base, "one")).unwrap();
    assert_eq!((again.pooled, read(&again.mount, "kept").as_deref()), (false, Ok("yes")));
}

#[test]
fn start_up_discards_what_belongs_to_nobody() {
    let (dir, snapshots) = snapshots();
    let base = two_layers(&snapshots);
    for slot in ["live", "dead"] {
        drop(snapshots.prepare(&rootfs(&base, slot)).unwrap());
    }
    std::mem::forget(snapshots.stage(None).unwrap());
    let again = Snapshots::open(dir.path()).unwrap();
    let recovered = again.recover(&BTreeSet::from(["live".to_owned()])).unwrap();
    assert_eq!((recovered.slots, recovered.layers), (1, 1));
    again.sweep().unwrap();
    assert_eq!(entries(&dir.path().join("snapshots")), 2, ".empty and live");
    assert_eq!(entries(&dir.path().join("layers")), 2);
    assert_eq!(entries(&dir.path().join("trash")), 0);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (_dir, snapshots) = snapshots();
    let base = Base::Layers(Vec::new());
    for bad in ["", ".", "..", "../x", "a/b", ".empty", ".pool-0", "a\0b", "a\nb"] {
        assert!(matches!(snapshots.prepare(&rootfs(&base, bad)), Err(Error::Slot(_))), "{bad:?}");
        assert!(matches!(snapshots.remove(bad), Err(Error::Slot(_))), "{bad:?}");
    }
}

#[test]
fn a_missing_layer_is_named_and_leaves_nothing() {
    let (dir, snapshots) = snapshots();
    let gone = Digest::of(b"gone");
    let base = Base::Layers(vec![gone]);
    let error = snapshots.prepare(&rootfs(&base, "one")).unwrap_err();
    assert!(matches!(error, Error::MissingLayer(id) if id == gone));
    assert!(!dir.path().join("snapshots/one").exists());
}

#[test]
fn the_host_shows_without_its_private_places_and_keeps_no_change() {
    let canary = tempfile::Builder::new().prefix("hull-canary").tempdir_in("/usr/local").unwrap();
    std::fs::write(canary.path().join("file"), "host").unwrap();
    let inside = canary.path().strip_prefix("/").unwrap().join("file");
    let inside = inside.to_str().unwrap();
    let (_dir, snapshots) = snapshots();
    let before = mounts();
    let prepared = snapshots.prepare(&rootfs(&Base::Host, "one")).unwrap();
    assert_eq!(mounts(), before);
    let root = &prepared.mount;
    assert_eq!(read(root, inside).as_deref(), Ok("host"));
    write(root, inside, "changed");
    write(root, "tmp/new", "x");
    assert_eq!(read(root, inside).as_deref(), Ok("changed"));
    assert_eq!(std::fs::read_to_string(canary.path().join("file")).unwrap(), "host");
    for (hidden, expected) in [("root", mode(rustix::fs::CWD, "/root")), ("tmp", 0o1777), ("run", 0o755)] {
        let seen = open(root, hidden, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        let names = rustix::fs::Dir::read_from(&seen).unwrap().flatten().count();
        assert_eq!(names, if hidden == "tmp" { 3 } else { 2 }, "{hidden}: only . and .. (and our new file)");
        assert_eq!(mode(root, hidden), expected, "{hidden}");
    }
    drop(prepared);
    let again = snapshots.reopen(&rootfs(&Base::Host, "one")).unwrap();
    assert_eq!(read(&again.mount, inside).as_deref(), Ok("host"), "changes end with the mount");
}

/// A user namespace whose ids 0…65535 are 100000…165535 outside.
fn userns() -> OwnedFd {
    let mut child = std::process::Command::new("unshare")
        .args(["--user", "sh", "-c", "echo ready; read end"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 100000 65536").unwrap();
    }
    let fd = File::open(format!("/proc/{}/ns/user", child.id())).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    fd.into()
}
