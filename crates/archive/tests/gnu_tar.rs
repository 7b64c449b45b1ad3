//! hull and GNU tar must agree: what one packs, the other unpacks to the same tree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use hull_archive::{Limits, Lowers, pack, unpack};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// One thing in a generated tree.
#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    /// Data at an offset, and a hole up to the size.
    Sparse(u64, u64),
    Directory,
    Symlink(String),
    /// To the n-th node made before, if that is a file.
    Hard(usize),
    Fifo,
    Device(u32, u32),
}

#[derive(Clone, Debug)]
struct Made {
    path: Vec<String>,
    node: Node,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    xattr: Option<Vec<u8>>,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,3}",
        1 => "[a-zA-Z0-9 _.@=\n\\\\-]{1,40}",
        1 => "[äöü漢]{1,20}",
        1 => "n{80,120}",
    ]
    .prop_filter("a name that means something else", |name| name != "." && name != ".." && !name.starts_with(".wh."))
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..2000).prop_map(Node::File),
        1 => (0_u64..1 << 22, 0_u64..1 << 22).prop_map(|(at, more)| Node::Sparse(at, at + 4096 + more)),
        4 => Just(Node::Directory),
        2 => "[a-z/.]{1,150}".prop_map(Node::Symlink),
        2 => (0_usize..30).prop_map(Node::Hard),
        1 => Just(Node::Fifo),
        1 => (1_u32..255, 0_u32..255).prop_map(|(major, minor)| Node::Device(major, minor)),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let owner = prop_oneof![Just((0, 0)), (0_u32..70_000, 0_u32..70_000), Just((3_000_000, 4_000_000_000))];
    let mtime = (prop_oneof![0_i64..4_000_000_000, -1000_i64..0], prop_oneof![Just(0_i64), 1_i64..1_000_000_000]);
    let xattr = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60));
    (proptest::collection::vec(name(), 1..5), node(), 0_u32..0o10000, owner, mtime, xattr)
        .prop_map(|(path, node, mode, owner, mtime, xattr)| Made { path, node, mode, owner, mtime, xattr })
}

/// Makes the tree; whatever collides with something made before is left out.
fn build(root: &Path, nodes: &[Made]) {
    let mut files: Vec<std::path::PathBuf> = Vec::new();
    for made in nodes {
        let path = made.path.iter().fold(root.to_owned(), |path, name| path.join(name));
        if path.symlink_metadata().is_ok() || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        let mode = Mode::from_raw_mode(0o600);
        match &made.node {
            Node::File(bytes) => {
                if fs::write(&path, bytes).is_err() {
                    continue;
                }
                files.push(path.clone());
            }
            Node::Sparse(at, size) => {
                let Ok(file) = File::create(&path) else { continue };
                file.write_at(b"data", *at).unwrap();
                file.set_len((*size).max(at + 4)).unwrap();
            }
            Node::Directory => {
                if fs::create_dir(&path).is_err() {
                    continue;
                }
            }
            Node::Symlink(target) => {
                if symlink(target, &path).is_err() {
                    continue;
                }
            }
            Node::Hard(at) => {
                if let Some(first) = files.get(*at) {
                    _ = fs::hard_link(first, &path);
                }
                continue;
            }
            Node::Fifo => rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap(),
            Node::Device(major, minor) => {
                let device = rustix::fs::makedev(*major, *minor);
                rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, device).unwrap();
            }
        }
        std::os::unix::fs::lchown(&path, Some(made.owner.0), Some(made.owner.1)).unwrap();
        if !matches!(made.node, Node::Symlink(_)) {
            fs::set_permissions(&path, fs::Permissions::from_mode(made.mode)).unwrap();
        }
        if let (Some(value), Node::File(_) | Node::Directory) = (&made.xattr, &made.node) {
            rustix::fs::lsetxattr(&path, "user.test", value, XattrFlags::empty()).unwrap();
        }
    }
    // Last, since making entries changes their directories; deepest first.
    let mut paths: Vec<_> = nodes.iter().map(|made| (made.path.clone(), made.mtime)).collect();
    paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    for (path, (secs, nanos)) in paths {
        let path = path.iter().fold(root.to_owned(), |path, name| path.join(name));
        let time = Timespec { tv_sec: secs, tv_nsec: nanos };
        let times = Timestamps { last_access: time, last_modification: time };
        _ = rustix::fs::utimensat(CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Everything about a tree that an archive carries. Hard links are named by their first path.
fn describe(root: &Path) -> BTreeMap<String, String> {
    fn walk(path: &Path, name: &str, inodes: &mut BTreeMap<u64, String>, out: &mut BTreeMap<String, String>) {
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        let content = if kind.is_file() {
            let bytes = fs::read(path).unwrap();
            format!("{} {:x?}", bytes.len(), hull_types::Digest::of(&bytes))
        } else if kind.is_symlink() {
            format!("{:?}", fs::read_link(path).unwrap())
        } else {
            format!("{}", meta.rdev())
        };
        let first =
            if kind.is_dir() { name.to_owned() } else { inodes.entry(meta.ino()).or_insert(name.to_owned()).clone() };
        let mut value = [0; 256];
        let xattr = rustix::fs::lgetxattr(path, "user.test", &mut value).map(|bytes| value[..bytes].to_vec());
        let line = format!(
            "{:o} {}:{} {}.{:09} {content} first={first:?} {:?}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            xattr.ok()
        );
        out.insert(name.to_owned(), line);
        if kind.is_dir() {
            let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for child in names {
                walk(&path.join(&child), &format!("{name}/{}", child.to_string_lossy()), inodes, out);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(root, "", &mut BTreeMap::new(), &mut out);
    out
}

fn gnu(arguments: &[&str], directory: &Path, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            stdin.write_all(input).unwrap();
        });
        stdout.read_to_end(&mut out).unwrap();
    });
    assert!(child.wait().unwrap().success());
    out
}

fn hull(bytes: &[u8], directory: &Path) {
    let root = File::open(directory).unwrap();
    unpack(bytes, root.as_fd(), Lowers::default(), Limits::default()).unwrap_or_else(|error| panic!("{error}"));
}

fn three() -> (tempfile::TempDir, [std::path::PathBuf; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["tree", "theirs", "ours"].map(|name| dir.path().join(name));
    paths.iter().for_each(|path| fs::create_dir(path).unwrap());
    (dir, paths)
}

/// GNU tar reads back what it cannot have read twice: names with a newline and so on are fine.
const FORMATS: &[&[&str]] = &[
    &["--format=pax", "--xattrs"],
    &["--format=pax", "--xattrs", "--sparse"],
    &["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.1"],
    &["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.0"],
    &["--format=gnu"],
    &["--format=gnu", "--sparse"],
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_unpack_the_same_tree(nodes in proptest::collection::vec(made(), 1..25), format in 0..FORMATS.len()) {
        let (_dir, [tree, theirs, ours]) = three();
        build(&tree, &nodes);
        let bytes = gnu(&[FORMATS[format], &["-c", "-f", "-", "."]].concat(), &tree, b"");
        gnu(&["--warning=no-timestamp", "-x", "-p", "--xattrs", "--same-owner", "--numeric-owner", "-f", "-"], &theirs, &bytes);
        hull(&bytes, &ours);
        prop_assert_eq!(describe(&ours), describe(&theirs));
    }

    #[test]
    fn gnu_tar_reads_what_hull_packs(nodes in proptest::collection::vec(made(), 1..25)) {
        let (_dir, [tree, theirs, ours]) = three();
        build(&tree, &nodes);
        let root = File::open(&tree).unwrap();
        let bytes = pack(root.as_fd(), Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        gnu(&["--warning=no-timestamp", "-x", "-p", "--xattrs", "--same-owner", "--numeric-owner", "-f", "-"], &theirs, &bytes);
        hull(&bytes, &ours);
        prop_assert_eq!(describe(&theirs), describe(&tree));
        prop_assert_eq!(describe(&ours), describe(&tree));
    }
}
