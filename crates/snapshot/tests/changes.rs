//! What a container changed: told as a comparison of whole trees would, and as a layer that makes the
//! same tree again. Trees and changes are drawn at random.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hull_archive::{Limits, pack, unpack};
use hull_snapshot::{Base, ChangeKind, Changed, Error, Rootfs, Snapshots, StagedOrVisible};
use hull_types::Digest;
use proptest::prelude::*;

/// Something that a container does. Paths are drawn so that operations meet.
#[derive(Clone, Debug)]
enum Op {
    Write(String, Vec<u8>),
    Mkdir(String),
    Remove(String),
    Symlink(String, String),
    Link(String, String),
    Rename(String, String),
    Chmod(String, u32),
    Chown(String, u32),
    Xattr(String, u8),
    Fifo(String),
    Touch(String),
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["a", "b", "c", "dir", "etc"]), 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (path(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(path, bytes)| Op::Write(path, bytes)),
        4 => path().prop_map(Op::Mkdir),
        3 => path().prop_map(Op::Remove),
        1 => (path(), path()).prop_map(|(path, to)| Op::Symlink(path, to)),
        2 => (path(), path()).prop_map(|(from, to)| Op::Link(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => (path(), 0_u32..0o10000).prop_map(|(path, mode)| Op::Chmod(path, mode)),
        1 => (path(), 0_u32..70_000).prop_map(|(path, uid)| Op::Chown(path, uid)),
        1 => (path(), any::<u8>()).prop_map(|(path, value)| Op::Xattr(path, value)),
        1 => path().prop_map(Op::Fifo),
        1 => path().prop_map(Op::Touch),
    ]
}

/// Does it; what does not work is what a container would also be refused.
fn run(root: &Path, op: &Op) {
    let at = |path: &String| root.join(path);
    let is_link = |path: &PathBuf| path.is_symlink();
    match op {
        Op::Write(path, bytes) if !is_link(&at(path)) && !fifo(&at(path)) => _ = fs::write(at(path), bytes),
        Op::Mkdir(path) => _ = fs::create_dir_all(at(path)),
        Op::Remove(path) => _ = fs::remove_dir_all(at(path)).or_else(|_| fs::remove_file(at(path))),
        Op::Symlink(path, to) => _ = std::os::unix::fs::symlink(to, at(path)),
        Op::Link(from, to) => _ = fs::hard_link(at(from), at(to)),
        Op::Rename(from, to) => _ = fs::rename(at(from), at(to)),
        Op::Chmod(path, mode) if !is_link(&at(path)) => {
            _ = fs::set_permissions(at(path), fs::Permissions::from_mode(*mode));
        }
        Op::Chown(path, uid) => _ = std::os::unix::fs::lchown(at(path), Some(*uid), Some(uid / 2)),
        Op::Xattr(path, value) if !is_link(&at(path)) && !fifo(&at(path)) => {
            _ = rustix::fs::setxattr(at(path), "user.test", &[*value], rustix::fs::XattrFlags::empty());
        }
        Op::Fifo(path) => {
            let path = CString::new(at(path).into_os_string().into_encoded_bytes()).unwrap();
            _ = rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o644),
                0,
            );
        }
        Op::Touch(path) if !is_link(&at(path)) && at(path).is_file() => {
            let when = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(77);
            _ = fs::File::options().write(true).open(at(path)).and_then(|file| file.set_modified(when));
        }
        _ => {}
    }
}

fn fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

/// What docker compares of each path.
type Seen = BTreeMap<PathBuf, (bool, (u32, u32, u32), u64, (i64, i64))>;

fn look(root: &Path, path: &Path, out: &mut Seen) {
    for entry in fs::read_dir(root.join(path)).unwrap() {
        let path = path.join(entry.unwrap().file_name());
        let meta = fs::symlink_metadata(root.join(&path)).unwrap();
        let size = if meta.is_dir() { 0 } else { meta.size() };
        let seen = (meta.is_dir(), (meta.mode(), meta.uid(), meta.gid()), size, (meta.mtime(), meta.mtime_nsec()));
        out.insert(path.clone(), seen);
        if meta.is_dir() {
            look(root, &path, out);
        }
    }
}

/// The comparison of two whole trees.
fn compared(old: &Seen, new: &Seen) -> BTreeMap<PathBuf, ChangeKind> {
    let mut out = BTreeMap::new();
    for (path, seen) in new {
        match old.get(path) {
            // A file was there: nothing beneath it was.
            Some(before) if path.parent().is_some_and(|dir| dir.as_os_str().is_empty() || old[dir].0) => {
                if before != seen {
                    out.insert(path.clone(), ChangeKind::Modified);
                }
            }
            _ => _ = out.insert(path.clone(), ChangeKind::Added),
        }
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        let dir = path.parent().unwrap();
        // Only the topmost of what went is told, and nothing of a directory that became a file.
        if dir.as_os_str().is_empty() || new.get(dir).is_some_and(|seen| seen.0) {
            out.insert(path.clone(), ChangeKind::Deleted);
        }
    }
    for path in out.keys().cloned().collect::<Vec<_>>() {
        for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
            out.entry(dir.to_owned()).or_insert(ChangeKind::Modified);
        }
    }
    out
}

fn place(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/", fd.as_fd().as_raw_fd()))
}

fn ground() -> (tempfile::TempDir, Snapshots) {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::open(dir.path()).unwrap();
    (dir, snapshots)
}

/// Adds a layer on top of others.
fn add(snapshots: &Snapshots, below: &[Digest], archive: &[u8]) -> Vec<Digest> {
    let stage = snapshots.stage(below.last()).unwrap();
    let ground: Vec<_> = below.iter().map(|id| StagedOrVisible::Visible(*id)).collect();
    let unpacked = stage.unpack(archive, &ground, Limits::default()).unwrap();
    let layer = stage.finish(&unpacked).unwrap();
    let chain_id = layer.chain_id();
    snapshots.publish([layer]).unwrap();
    [below, &[chain_id]].concat()
}

fn base_of(snapshots: &Snapshots, ops: &[Op]) -> Base {
    let tree = tempfile::tempdir().unwrap();
    ops.iter().for_each(|op| run(tree.path(), op));
    let archive = pack(fs::File::open(tree.path()).unwrap().as_fd(), Vec::new()).unwrap();
    Base::Layers(add(snapshots, &[], &archive))
}

fn rootfs<'a>(base: &'a Base, slot: &'a str) -> Rootfs<'a> {
    Rootfs { base, slot, ephemeral: false, userns: None }
}

fn changed<'a>(base: &'a Base, slot: &'a str) -> Changed<'a> {
    Changed { base, slot, owner: None, mountpoints: &[] }
}

fn same(one: impl AsFd, other: impl AsFd) -> Option<String> {
    let open = |fd: &dyn AsFd| fs::File::open(place(fd.as_fd())).unwrap();
    hull_archive::differs(open(&one).as_fd(), open(&other).as_fd()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_committed_layer_makes_the_same_tree_and_the_list_is_exact(
        before in proptest::collection::vec(op(), 0..20),
        then in proptest::collection::vec(op(), 0..12),
        later in proptest::collection::vec(op(), 0..12),
    ) {
        let (_dir, snapshots) = ground();
        let mut base = base_of(&snapshots, &before);
        // Twice: the second time there are whiteouts and opaque directories in the layers below.
        for (slot, ops) in [("one", &then), ("two", &later)] {
            let container = snapshots.prepare(&rootfs(&base, slot)).unwrap().mount;
            let (mut old, mut new) = (Seen::new(), Seen::new());
            look(&place(&container), Path::new(""), &mut old);
            ops.iter().for_each(|op| run(&place(&container), op));
            look(&place(&container), Path::new(""), &mut new);
            let told = snapshots.changes(&changed(&base, slot)).unwrap();
            let told: BTreeMap<PathBuf, ChangeKind> = told
                .into_iter()
                .map(|(path, kind)| (PathBuf::from(String::from_utf8(path[1..].to_vec()).unwrap()), kind))
                .collect();
            prop_assert_eq!(told, compared(&old, &new));

            let mut exported = Vec::new();
            snapshots.pack_merged(&changed(&base, slot), &mut exported).unwrap();
            let tree = tempfile::tempdir().unwrap();
            let root = fs::File::open(tree.path()).unwrap();
            unpack(&exported[..], root.as_fd(), hull_archive::Lowers::default(), Limits::default()).unwrap();
            prop_assert_eq!(same(&container, &root), None);

            let mut layer = Vec::new();
            snapshots.pack_changes(&changed(&base, slot), &mut layer).unwrap();
            let above = Base::Layers(add(&snapshots, base.layers(), &layer));
            let again = snapshots.prepare(&rootfs(&above, &format!("{slot}-again"))).unwrap().mount;
            prop_assert_eq!(same(&container, &again), None);
            base = above;
        }
    }
}

#[test]
fn nothing_changed_is_no_entry_and_mount_points_do_not_count() {
    let (_dir, snapshots) = ground();
    let base = base_of(&snapshots, &[Op::Mkdir("etc".into()), Op::Write("etc/a".into(), b"1".to_vec())]);
    let mountpoints = ["dev", "dev/pts", "etc/hosts", "proc", "sys"];
    let of = Changed { mountpoints: &mountpoints, ..changed(&base, "one") };
    assert!(snapshots.changes(&of).unwrap().is_empty(), "it never started");
    assert_eq!(snapshots.pack_changes(&of, std::io::sink()).unwrap(), 0);
    let mount = snapshots.prepare(&rootfs(&base, "one")).unwrap().mount;
    let root = place(&mount);
    fs::create_dir_all(root.join("dev/pts")).unwrap();
    fs::create_dir(root.join("proc")).unwrap();
    fs::write(root.join("etc/hosts"), "").unwrap();
    assert_eq!(snapshots.changes(&of).unwrap(), BTreeMap::new());
    assert_eq!(snapshots.pack_changes(&of, std::io::sink()).unwrap(), 0);
    // A person's own file beside one of them counts, and so does what is in one of them.
    fs::write(root.join("etc/own"), "x").unwrap();
    fs::write(root.join("proc/left"), "x").unwrap();
    let told: Vec<String> =
        snapshots.changes(&of).unwrap().into_keys().map(|path| String::from_utf8(path).unwrap()).collect();
    assert_eq!(told, ["/etc", "/etc/own", "/proc", "/proc/left"]);
}

#[test]
fn owners_of_a_user_namespace_are_translated() {
    let (_dir, snapshots) = ground();
    let base = base_of(&snapshots, &[Op::Mkdir("d".into()), Op::Chown("d".into(), 5)]);
    let mount = snapshots.prepare(&rootfs(&base, "one")).unwrap().mount;
    run(&place(&mount), &Op::Chown("d".into(), 100_005));
    run(&place(&mount), &Op::Write("f".into(), vec![]));
    run(&place(&mount), &Op::Chown("f".into(), 100_007));
    let owner = |uid: u32, gid: u32| (uid.checked_sub(100_000).unwrap_or(uid), gid);
    let mut layer = Vec::new();
    snapshots.pack_changes(&Changed { owner: Some(&owner), ..changed(&base, "one") }, &mut layer).unwrap();
    let mut reader = hull_archive::tar::Reader::new(&layer[..], Limits::default());
    let mut owners = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        owners.insert(String::from_utf8(entry.path).unwrap(), entry.uid);
    }
    assert_eq!(owners, BTreeMap::from([("d/".to_owned(), 5), ("f".to_owned(), 7)]));
}

#[test]
fn a_tree_of_any_depth_is_listed_with_few_descriptors() {
    let (dir, snapshots) = ground();
    let base = base_of(&snapshots, &[]);
    drop(snapshots.prepare(&rootfs(&base, "deep")).unwrap());
    let upper = dir.path().join("snapshots/deep/upper");
    let deep: PathBuf = std::iter::repeat_n("d", 1500).collect();
    // Longer than one call takes: half of it at a time.
    let half: PathBuf = std::iter::repeat_n("d", 750).collect();
    fs::create_dir_all(upper.join(&half)).unwrap();
    let middle = fs::File::open(upper.join(&half)).unwrap();
    fs::create_dir_all(place(&middle).join(&half)).unwrap();
    let told = snapshots.changes(&changed(&base, "deep")).unwrap();
    assert_eq!(told.len(), 1500);
    assert!(told.contains_key(&[b"/", deep.as_os_str().as_encoded_bytes()].concat()[..]));
    let packed = snapshots.pack_changes(&changed(&base, "deep"), std::io::sink()).unwrap();
    assert_eq!(packed, 1500);
}

#[test]
fn what_would_read_as_a_whiteout_is_refused_and_the_host_image_has_no_list() {
    let (_dir, snapshots) = ground();
    let base = base_of(&snapshots, &[]);
    let mount = snapshots.prepare(&rootfs(&base, "one")).unwrap().mount;
    fs::write(place(&mount).join(".wh.passwd"), "").unwrap();
    let error = snapshots.pack_changes(&changed(&base, "one"), std::io::sink()).unwrap_err();
    assert!(error.to_string().contains(".wh.passwd"), "{error}");
    let host = snapshots.changes(&changed(&Base::Host, "one"));
    assert!(matches!(host, Err(Error::InMemory)));
}

#[test]
fn a_damaged_layer_is_found_and_made_whole() {
    let (dir, snapshots) = ground();
    let tree = tempfile::tempdir().unwrap();
    for op in
        [Op::Mkdir("a/b".into()), Op::Write("a/f".into(), b"text".to_vec()), Op::Symlink("a/l".into(), "f".into())]
    {
        run(tree.path(), &op);
    }
    let archive = pack(fs::File::open(tree.path()).unwrap().as_fd(), Vec::new()).unwrap();
    let chain = add(&snapshots, &[], &archive);
    let fs_dir = dir.path().join("layers").join(chain[0].hex()).join("fs");
    let verify = || snapshots.verify(&chain[0], &archive[..], &[], Limits::default()).unwrap();
    assert_eq!(verify().differs, None);
    let when = fs::metadata(fs_dir.join("a/f")).unwrap().modified().unwrap();
    type Damage<'a> = (&'a dyn Fn(), &'a str);
    let damages: [Damage<'_>; 5] = [
        // One bit, the time as before.
        (
            &|| {
                fs::write(fs_dir.join("a/f"), "texu").unwrap();
                fs::File::options().write(true).open(fs_dir.join("a/f")).unwrap().set_modified(when).unwrap();
            },
            "has other content",
        ),
        (&|| fs::remove_dir(fs_dir.join("a/b")).unwrap(), "same names"),
        (&|| fs::write(fs_dir.join("a/more"), "").unwrap(), "same names"),
        (&|| fs::set_permissions(fs_dir.join("a/f"), fs::Permissions::from_mode(0o777)).unwrap(), "mode"),
        (&|| fs::remove_file(fs_dir.parent().unwrap().join("layer.json")).unwrap(), "missing"),
    ];
    for (damage, why) in damages {
        damage();
        let found = verify();
        assert!(found.differs.as_ref().is_some_and(|told| told.contains(why)), "{why}: {:?}", found.differs);
        snapshots.replace(found.whole).unwrap();
        assert_eq!(verify().differs, None, "{why}");
    }
    snapshots.sweep().unwrap();
    assert_eq!(fs::read_dir(dir.path().join("trash")).unwrap().count(), 0);
}
