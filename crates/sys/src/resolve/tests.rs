use super::*;
use rustix::fs::{CWD, symlinkat};

struct Tree {
    dir: tempfile::TempDir,
    root: OwnedFd,
}

/// root/ {etc/passwd, abs -> /etc/passwd, up -> ../../../etc/passwd, dangling -> /made/later, loop -> loop}
fn tree() -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "inside").unwrap();
    std::fs::write(dir.path().join("passwd"), "outside").unwrap();
    let link = |to: &str, name: &str| symlinkat(to, CWD, root.join(name)).unwrap();
    link("/etc/passwd", "abs");
    link("../../../etc/passwd", "up");
    link("/made/later", "dangling");
    link("loop", "loop");
    link("/proc/self/root/etc/passwd", "magic");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&root, flags, Mode::empty()).unwrap();
    Tree { dir, root }
}

fn content(fd: OwnedFd) -> String {
    std::io::read_to_string(std::fs::File::from(fd)).unwrap()
}

#[test]
fn paths_stay_beneath_the_root_by_openat2_and_by_walking() {
    let tree = tree();
    for path in ["/etc/passwd", "etc/passwd", "abs", "up", "../../etc/passwd", "/etc/../etc/./passwd"] {
        let fd = open_in_root(&tree.root, path, OFlags::RDONLY).unwrap();
        assert_eq!(content(fd), "inside", "{path}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = walk::open_for_test(tree.root.as_fd(), Path::new(path), flags, Mode::empty());
        assert_eq!(content(fd.unwrap()), "inside", "{path}");
    }
    for (path, errno) in
        [("../passwd", Errno::NOENT), ("loop", Errno::LOOP), ("etc/passwd/x", Errno::NOTDIR), ("magic", Errno::NOENT)]
    {
        let error = open_in_root(&tree.root, path, OFlags::RDONLY).unwrap_err();
        assert_eq!(error.errno, errno, "{path}");
        let walked = walk::open_for_test(tree.root.as_fd(), Path::new(path), OFlags::RDONLY, Mode::empty());
        assert_eq!(walked.unwrap_err(), errno, "{path}");
    }
    assert_eq!(std::fs::read_to_string(tree.dir.path().join("passwd")).unwrap(), "outside");
}

#[test]
fn magic_links_are_refused() {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for path in ["/proc/self/fd/0", "/proc/self/exe", "/proc/self/root/etc", "/proc/self/cwd"] {
        let error = open_in_root(&root, path, OFlags::PATH).unwrap_err();
        assert_eq!(error.errno, Errno::LOOP, "{path}");
        let walked = walk::open_for_test(root.as_fd(), Path::new(path), OFlags::PATH, Mode::empty());
        assert_eq!(walked.unwrap_err(), Errno::LOOP, "{path}");
    }
}

#[test]
fn missing_directories_are_made_beneath_the_root() {
    let tree = tree();
    mkdir_in_root(&tree.root, "/a/b/../c/d", 0o755).unwrap();
    mkdir_in_root(&tree.root, "/dangling/x", 0o755).unwrap();
    mkfile_in_root(&tree.root, "/f/g/h", 0o644).unwrap();
    let root = tree.dir.path().join("root");
    assert!(root.join("a/c/d").is_dir());
    assert!(root.join("made/later/x").is_dir());
    assert!(root.join("f/g/h").is_file());
    assert!(!Path::new("/made").exists());
    assert_eq!(mkdir_in_root(&tree.root, "/etc/passwd/x", 0o755).unwrap_err().errno, Errno::NOTDIR);
}
