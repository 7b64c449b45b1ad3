//! The smallest real image: the system's static busybox as a root file system tar.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a tar with busybox, all its applets, and the passwd and group files that the tests name.
/// Made once per checkout, by rename, so that tests in parallel share it.
pub fn busybox_tar() -> PathBuf {
    let dir =
        std::env::var_os("HULL_TEST_DIR").map_or_else(|| crate::hull_binary().with_file_name("testkit"), PathBuf::from);
    let done = dir.join("busybox.tar");
    if done.is_file() {
        return done;
    }
    fs::create_dir_all(&dir).expect("a directory for test images");
    let scratch = tempfile::tempdir_in(&dir).expect("a scratch directory");
    busybox_tree(scratch.path());
    let part = tempfile::NamedTempFile::new_in(&dir).expect("a scratch file").into_temp_path();
    let status = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(scratch.path())
        .arg("-cf")
        .arg(&part)
        .arg(".")
        .status()
        .expect("tar is installed");
    assert!(status.success(), "tar failed");
    part.persist(&done).expect("rename in one directory");
    done
}

/// Makes the same tree in a directory.
pub fn busybox_tree(root: &Path) {
    for d in ["bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "usr", "var/run"] {
        fs::create_dir_all(root.join(d)).expect("mkdir");
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .find(|p| Path::new(p).is_file())
        .expect("busybox-static is installed");
    fs::copy(busybox, root.join("bin/busybox")).expect("copy");
    let list = Command::new(busybox).arg("--list").output().expect("busybox --list");
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|a| *a != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).expect("symlink");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n1234:x:4321:4321::/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    fs::write(root.join("etc/passwd"), passwd).expect("passwd");
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\nmore:x:2001:app\nnogroup:x:65534:\n")
        .expect("group");
}
