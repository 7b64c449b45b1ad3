//! The disk that stays: a small Debian with its kernel, and the initrd that finds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::dir;
use crate::sh;

/// Kernel, initrd and root disk.
pub struct Base {
    /// `vmlinuz`.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
    /// An ext4 file system.
    pub disk: PathBuf,
}

/// Packages in the guest.
const PACKAGES: &str =
    "busybox-static,iproute2,nftables,strace,python3-minimal,util-linux,mount,hostname,bsdutils,kmod,zstd,procps";

/// What the kernel needs before it can mount the root, in the order of their dependencies.
const MODULES: [&str; 6] =
    ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"];

/// Makes what is missing; the result is kept.
pub fn make() -> Result<Base> {
    let dir = dir();
    fs::create_dir_all(&dir)?;
    let base = Base { kernel: dir.join("vmlinuz"), initrd: dir.join("initrd"), disk: dir.join("base.ext4") };
    if [&base.kernel, &base.initrd, &base.disk].iter().all(|p| p.is_file()) {
        return Ok(base);
    }
    sh::need_root("making the virtual machine's disk")?;
    let work = tempfile::tempdir_in(&dir)?;
    let package = kernel_package(work.path())?;
    let root = work.path().join("root");
    let (root_text, include) = (root.to_string_lossy().into_owned(), format!("--include={PACKAGES}"));
    sh::run(&mut sh::cmd("mmdebstrap", &["--quiet", "--variant=essential", &include, "bookworm", &root_text]))?;
    let unpacked = work.path().join("kernel");
    sh::run(&mut sh::cmd("dpkg", &["-x", &package.to_string_lossy(), &unpacked.to_string_lossy()]))?;
    let release = only_entry(&unpacked.join("lib/modules"))?;
    fs::copy(unpacked.join(format!("boot/vmlinuz-{release}")), &base.kernel)?;
    fs::create_dir_all(root.join("usr/lib/modules"))?;
    fs::rename(unpacked.join("lib/modules").join(&release), root.join("usr/lib/modules").join(&release))?;
    sh::run(&mut sh::cmd("chroot", &[&root_text, "depmod", &release]))?;
    initrd(&root, &release, &work.path().join("initrd"), &base.initrd)?;
    let disk = work.path().join("disk");
    sh::run(&mut sh::cmd("mkfs.ext4", &["-q", "-d", &root_text, &disk.to_string_lossy(), "6G"]))?;
    fs::rename(disk, &base.disk)?;
    Ok(base)
}

fn kernel_package(work: &Path) -> Result<PathBuf> {
    let depends = sh::read(&mut sh::cmd("apt-cache", &["depends", "linux-image-cloud-amd64"]))?;
    let name =
        depends.split_whitespace().find(|w| w.starts_with("linux-image-")).filter(|w| w.ends_with("-cloud-amd64"));
    let name = depends
        .lines()
        .filter_map(|l| l.trim().strip_prefix("Depends: "))
        .find(|p| p.starts_with("linux-image-"))
        .or(name)
        .context("Debian's cloud kernel is not in the package lists; run apt-get update")?;
    sh::run(sh::cmd("apt-get", &["download", "-qq", name]).current_dir(work))?;
    let file = fs::read_dir(work)?.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "deb"));
    file.context("apt-get downloaded nothing")
}

fn initrd(root: &Path, release: &str, tree: &Path, out: &Path) -> Result<()> {
    for d in ["bin", "dev", "proc", "sys", "root", "modules"] {
        fs::create_dir_all(tree.join(d))?;
    }
    fs::copy(sh::which("busybox").context("no busybox")?, tree.join("bin/busybox"))?;
    let all = sh::read(&mut sh::cmd(
        "find",
        &[&root.join("usr/lib/modules").join(release).to_string_lossy(), "-name", "*.ko"],
    ))?;
    let mut load = String::new();
    for module in MODULES {
        let Some(path) = all.lines().find(|p| p.ends_with(&format!("/{module}.ko"))) else { continue };
        fs::copy(path, tree.join("modules").join(format!("{module}.ko")))?;
        load.push_str(&format!("/bin/busybox insmod /modules/{module}.ko\n"));
    }
    let init = tree.join("init");
    fs::write(&init, format!("{}\n{load}{}", "#!/bin/busybox sh", super::guest::HANDOVER))?;
    sh::run(&mut sh::cmd("chmod", &["755", &init.to_string_lossy()]))?;
    let archive =
        sh::cmd("sh", &["-c", "find . | cpio --quiet -o -H newc | gzip -1", "sh"]).current_dir(tree).output()?;
    Ok(fs::write(out, archive.stdout)?)
}

fn only_entry(dir: &Path) -> Result<String> {
    let entry = fs::read_dir(dir)?.flatten().next().with_context(|| format!("{} is empty", dir.display()))?;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
