//! A root file system from the system's static busybox, as a tar that `hull import` takes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sh;

/// Makes `<dir>/busybox.tar` and returns its path.
pub fn tar(dir: &Path) -> Result<PathBuf> {
    let busybox = sh::which("busybox").context("no busybox on this machine")?;
    let tree = dir.join("busybox");
    for d in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var"] {
        fs::create_dir_all(tree.join(d))?;
    }
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(&busybox, tree.join("bin/busybox"))?;
    for applet in sh::read(&mut sh::cmd(&busybox, &["--list"]))?.lines().filter(|a| *a != "busybox") {
        symlink("busybox", tree.join("bin").join(applet))?;
    }
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    let out = dir.join("busybox.tar");
    let (tree, file) = (tree.to_string_lossy(), out.to_string_lossy());
    sh::run(&mut sh::cmd("tar", &["--owner=0", "--group=0", "--numeric-owner", "-C", &tree, "-cf", &file, "."]))?;
    Ok(out)
}
