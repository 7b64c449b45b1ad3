//! Unpacking: what honest layers become, and what hostile ones do not reach.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::tar::{Mtime, Writer};

fn entry(kind: EntryKind, path: &str, link: &str) -> Entry {
    Entry { path: path.into(), kind, link: link.into(), mode: 0o755, ..Entry::default() }
}

fn dir(path: &str) -> Entry {
    entry(EntryKind::Directory, path, "")
}

fn sym(path: &str, target: &str) -> Entry {
    entry(EntryKind::Symlink, path, target)
}

fn hard(path: &str, target: &str) -> Entry {
    entry(EntryKind::HardLink, path, target)
}

/// A file that holds `evil`.
fn file(path: &str) -> Entry {
    Entry { size: 4, mode: 0o644, ..entry(EntryKind::File, path, "") }
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.append(entry, &b"evil"[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// A layer's root beside a canary that nothing may touch.
struct Ground {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/canary"), "safe").unwrap();
        Self { dir, root }
    }

    fn unpack_on(&self, entries: &[Entry], lowers: Lowers<'_>) -> Result<Extracted, Error> {
        let bytes = tar(entries);
        let root = File::open(&self.root).unwrap();
        let mut reader = Reader::new(&bytes[..], Limits::default());
        let result = Extractor::new(root.as_fd(), lowers, Limits::default()).all(&mut reader);
        self.assert_safe();
        result
    }

    fn unpack(&self, entries: &[Entry]) -> Result<Extracted, Error> {
        self.unpack_on(entries, Lowers::default())
    }

    fn assert_safe(&self) {
        let outside = self.dir.path().join("outside");
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "safe");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::metadata(outside.join("canary")).unwrap().nlink(), 1);
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 2);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn outside(&self, name: &str) -> String {
        self.dir.path().join("outside").join(name).to_str().unwrap().to_owned()
    }
}

fn is_whiteout(path: &Path) -> bool {
    let meta = fs::symlink_metadata(path).unwrap();
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn is_opaque(path: &Path) -> bool {
    attrs::is_opaque(File::open(path).unwrap().as_fd())
}

#[test]
fn names_that_lead_out_are_refused() {
    let ground = Ground::new();
    for name in ["../outside/new", "a/../../outside/new", "..", "a/..", "./.."] {
        for kind in [EntryKind::File, EntryKind::Directory, EntryKind::Symlink, EntryKind::HardLink] {
            assert!(ground.unpack(&[entry(kind, name, "x")]).is_err(), "{name}");
        }
    }
}

#[test]
fn an_absolute_name_is_meant_beneath_the_root() {
    let ground = Ground::new();
    let outside = ground.outside("new");
    ground.unpack(&[file(&outside)]).unwrap();
    assert!(ground.path(&outside[1..]).is_file());
}

#[test]
fn a_file_through_a_link_stays_beneath_the_root() {
    let ground = Ground::new();
    let absolute = ground.outside("");
    for target in ["../outside", "../../../../../../..", &absolute, "/proc/self/root", "/"] {
        let ground = Ground::new();
        // Whether this is refused or lands inside does not matter; the ground checks the outside.
        _ = ground.unpack(&[sym("link", target), file("link/canary"), dir("link/d"), sym("link/s", "x")]);
        _ = ground.unpack(&[sym("a", "link"), sym("link", target), hard("h", "a/canary"), file("h")]);
    }
}

#[test]
fn an_absolute_link_inside_the_image_is_followed_there() {
    let ground = Ground::new();
    ground.unpack(&[dir("run"), dir("var"), sym("var/run", "/run"), file("var/run/pid")]).unwrap();
    assert!(ground.path("run/pid").is_file());
}

#[test]
fn a_last_link_is_replaced_and_never_written_through() {
    let ground = Ground::new();
    let canary = ground.outside("canary");
    symlink(&canary, ground.path("f")).unwrap();
    symlink(ground.outside(""), ground.path("d")).unwrap();
    symlink(&canary, ground.path("n")).unwrap();
    let node = Entry { device: (1, 3), ..entry(EntryKind::CharDevice, "n", "") };
    ground.unpack(&[file("f"), Entry { mode: 0o777, uid: 9, ..dir("d") }, node]).unwrap();
    assert_eq!(fs::read_to_string(ground.path("f")).unwrap(), "evil");
    assert!(ground.path("d").symlink_metadata().unwrap().is_dir());
    assert!(ground.path("n").symlink_metadata().unwrap().file_type().is_char_device());
}

#[test]
fn hard_links_reach_nothing_outside() {
    let ground = Ground::new();
    let canary = ground.outside("canary");
    assert!(ground.unpack(&[hard("h", &canary)]).is_err());
    assert!(ground.unpack(&[hard("h", "../outside/canary")]).is_err());
    assert!(ground.unpack(&[sym("s", &canary), hard("h", "s"), file("h")]).is_ok(), "the link itself is linked");
    assert!(ground.unpack(&[hard("h", "/proc/self/exe")]).is_err());
    assert!(ground.unpack(&[dir("d"), hard("h", "d")]).is_err());
    assert!(ground.unpack(&[hard("h", "")]).is_err());
}

#[test]
fn hard_links_share_one_file() {
    let ground = Ground::new();
    let extracted = ground.unpack(&[file("a"), hard("d/b", "a"), hard("d/b", "./a"), hard("a", "a")]).unwrap();
    assert_eq!(fs::metadata(ground.path("a")).unwrap().nlink(), 2);
    assert_eq!(extracted.bytes, 4);
}

#[test]
fn whiteouts_become_overlays() {
    let ground = Ground::new();
    ground.unpack(&[dir("d"), file("d/.wh.gone"), file("d/e/.wh..wh..opq"), file("d/e/new")]).unwrap();
    assert!(is_whiteout(&ground.path("d/gone")) && is_opaque(&ground.path("d/e")) && !is_opaque(&ground.path("d")));
    assert!(ground.path("d/e/new").is_file());
}

#[test]
fn a_whiteout_hides_what_lies_below_and_not_what_its_own_layer_brings() {
    let ground = Ground::new();
    ground.unpack(&[file("a"), file(".wh.a"), dir("d"), file("d/x"), file(".wh.d")]).unwrap();
    assert!(ground.path("a").is_file() && ground.path("d/x").is_file() && is_opaque(&ground.path("d")));
    let ground = Ground::new();
    ground.unpack(&[file(".wh.a"), file("a"), file(".wh.d"), dir("d"), file("d/x")]).unwrap();
    assert!(ground.path("a").is_file() && ground.path("d/x").is_file() && is_opaque(&ground.path("d")));
}

#[test]
fn whiteouts_with_bad_names_or_through_links_do_no_harm() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.."] {
        assert!(Ground::new().unpack(&[file(name)]).is_err(), "{name}");
    }
    let ground = Ground::new();
    let outside = ground.outside("");
    _ = ground.unpack(&[sym("l", &outside), file("l/.wh.canary"), file("l/.wh..wh..opq")]);
    _ = ground.unpack(&[sym("m", "../outside"), file("m/.wh.canary"), file("m/.wh..wh..opq")]);
    assert!(!is_opaque(Path::new(&outside)));
    Ground::new().unpack(&[file(".wh..wh.plnk"), file(".wh..wh.aufs")]).unwrap();
}

#[test]
fn one_kind_of_entry_replaces_another() {
    let ground = Ground::new();
    ground.unpack(&[dir("x"), file("x/a"), dir("x/b"), file("x/b/c"), file("x")]).unwrap();
    assert!(ground.path("x").is_file());
    ground.unpack(&[dir("x"), file("x/a")]).unwrap();
    assert!(ground.path("x/a").is_file() && is_opaque(&ground.path("x")));
    ground.unpack(&[sym("x", "nowhere"), file("y"), sym("y", "x")]).unwrap();
    assert_eq!(fs::read_link(ground.path("x")).unwrap(), Path::new("nowhere"));
    // The cached parent `p` must not be used after its replacement.
    ground.unpack(&[dir("p"), file("p/a"), dir("q"), sym("p", "q"), file("p/b")]).unwrap();
    assert!(ground.path("q/b").is_file());
}

#[test]
fn metadata_is_kept() {
    let ground = Ground::new();
    let mtime = Mtime { secs: 1_000_000_000, nanos: 5 };
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let xattrs = vec![(b"user.k".to_vec(), b"v".to_vec()), (b"security.capability".to_vec(), capability.clone())];
    let some = |entry: Entry| Entry { uid: 1000, gid: 50, mtime, ..entry };
    ground
        .unpack(&[
            Entry { mode: 0o6755, xattrs, ..some(file("setuid")) },
            Entry { mode: 0o1777, ..some(dir("d")) },
            some(file("d/later")),
            some(sym("s", "d")),
            Entry { mode: 0o640, device: (8, 1), ..some(entry(EntryKind::BlockDevice, "disk", "")) },
            Entry { mode: 0o600, ..some(entry(EntryKind::Fifo, "fifo", "")) },
            Entry { mode: 0o2755, gid: 7, ..dir("g") },
            Entry { mode: 0o644, ..file("g/inherits-nothing") },
        ])
        .unwrap();
    for (name, mode) in [("setuid", 0o6755), ("d", 0o1777), ("disk", 0o640), ("fifo", 0o600)] {
        let meta = fs::symlink_metadata(ground.path(name)).unwrap();
        let seen = (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
        assert_eq!(seen, (mode, 1000, 50, 1_000_000_000, 5), "{name}");
    }
    let link = fs::symlink_metadata(ground.path("s")).unwrap();
    assert_eq!((link.uid(), link.mtime()), (1000, 1_000_000_000));
    assert_eq!(fs::metadata(ground.path("g/inherits-nothing")).unwrap().gid(), 0);
    let mut value = [0; 20];
    let file = File::open(ground.path("setuid")).unwrap();
    assert_eq!(rustix::fs::fgetxattr(&file, "security.capability", &mut value), Ok(20));
    assert_eq!(value[..], capability[..]);
}

#[test]
fn a_layer_cannot_set_the_hosts_attributes() {
    let ground = Ground::new();
    let names =
        ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "security.selinux", "bad"];
    let xattrs = names.iter().map(|name| (name.as_bytes().to_vec(), b"y".to_vec())).collect();
    let extracted = ground.unpack(&[Entry { xattrs, ..dir("d") }]).unwrap();
    assert_eq!(extracted.skipped_xattrs, 5);
    let mut list = [0; 512];
    let bytes = rustix::fs::flistxattr(File::open(ground.path("d")).unwrap(), &mut list).unwrap();
    assert!(!list[..bytes].windows(8).any(|part| part == b"overlay."));
}

#[test]
fn missing_directories_look_as_in_the_layers_below() {
    let (below, ground) = (Ground::new(), Ground::new());
    below.unpack(&[Entry { mode: 0o700, uid: 5, ..dir("a") }, dir("a/b"), file("a/b/old"), dir("gone")]).unwrap();
    let lower = File::open(&below.root).unwrap();
    ground
        .unpack_on(&[file("a/b/new"), file("other/new"), hard("a/copy", "a/b/old")], Lowers::new(vec![lower.as_fd()]))
        .unwrap();
    let meta = fs::metadata(ground.path("a")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, 5));
    assert_eq!(fs::metadata(ground.path("other")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_to_string(ground.path("a/copy")).unwrap(), "evil", "a hard link into a lower layer is a copy");
    let hidden = Ground::new();
    let result = hidden.unpack_on(&[file(".wh.a"), hard("h", "a/b/old")], Lowers::new(vec![lower.as_fd()]));
    assert!(result.is_ok() || !hidden.path("h").exists());
}

#[test]
fn a_link_in_the_layers_below_leads_nowhere_outside() {
    let (below, ground) = (Ground::new(), Ground::new());
    symlink(ground.outside(""), below.path("l")).unwrap();
    symlink(ground.outside("canary"), below.path("f")).unwrap();
    let lower = File::open(&below.root).unwrap();
    _ = ground.unpack_on(&[file("l/x"), hard("h", "f"), hard("g", "l/canary")], Lowers::new(vec![lower.as_fd()]));
    assert!(!ground.path("g").exists());
}

#[test]
fn deep_trees_are_bounded_and_can_be_removed() {
    let ground = Ground::new();
    let level = "d/".repeat(400);
    // Links lead deeper than one name could.
    let mut entries = vec![dir(&level), sym("l0", &level)];
    for at in 0..8 {
        entries.push(dir(&format!("l{at}/{level}")));
        entries.push(sym(&format!("l{}", at + 1), &format!("l{at}/{level}")));
    }
    _ = ground.unpack(&entries);
    let root = File::open(ground.dir.path()).unwrap();
    remove_tree(root.as_fd(), b"root").unwrap();
    assert_eq!(fs::read_dir(ground.dir.path()).unwrap().count(), 1, "only the outside is left");
}

#[test]
fn removing_does_not_follow_links() {
    let ground = Ground::new();
    symlink(ground.outside(""), ground.path("l")).unwrap();
    symlink(ground.outside(""), ground.root.join("..").join("root/m")).unwrap();
    let root = File::open(ground.dir.path()).unwrap();
    remove_tree(root.as_fd(), b"root").unwrap();
    remove_tree(root.as_fd(), b"root").unwrap();
    fs::create_dir(&ground.root).unwrap();
    ground.assert_safe();
}

#[test]
fn limits_hold() {
    let ground = Ground::new();
    let run = |limits: Limits, entries: &[Entry]| {
        let bytes = tar(entries);
        let root = File::open(&ground.root).unwrap();
        Extractor::new(root.as_fd(), Lowers::default(), limits).all(&mut Reader::new(&bytes[..], limits))
    };
    let small = Limits { entries: 2, bytes: 8192, name: 300, depth: 3, metadata: 2048, ..Limits::default() };
    let long = "n/".repeat(160);
    let rows = [
        (vec![dir("a"), dir("b"), dir("c")], "entries"),
        (vec![Entry { size: 1 << 40, ..file("big") }], "bytes"),
        (vec![dir(&long)], "bytes in a name"),
        (vec![dir("a/b/c/d")], "levels of directories"),
        (
            vec![Entry { xattrs: vec![(b"user.x".to_vec(), vec![0; 4096])], ..dir("x") }],
            "bytes of extended headers for one entry",
        ),
    ];
    for (entries, what) in rows {
        let mut entries = entries;
        if let Some(big) = entries.iter_mut().find(|entry| entry.size > 4) {
            // A header that promises more than the archive holds.
            let mut bytes = tar(&[file("big")]);
            bytes[124..136].copy_from_slice(b"20000000000\0");
            bytes[148..156].copy_from_slice(b"        ");
            let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            big.size = 0;
            let root = File::open(&ground.root).unwrap();
            let result =
                Extractor::new(root.as_fd(), Lowers::default(), small).all(&mut Reader::new(&bytes[..], small));
            assert!(matches!(result, Err(Error::Limit { what: "bytes", .. })), "{result:?}");
            continue;
        }
        match run(small, &entries) {
            Err(Error::Limit { what: said, .. }) => assert_eq!(said, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}
