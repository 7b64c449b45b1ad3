//! The disk that stays: a small Debian with its kernel, and the initrd that finds it.
//!
//! One directory holds all of it and appears whole, by a rename; `recipe` in it says what it was made
//! from, so that a change here makes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::guest::HANDOVER;
use crate::{apt, sh};

/// Kernel, initrd and root disk.
pub struct Base {
    /// `vmlinuz`.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
    /// An ext4 file system.
    pub disk: PathBuf,
}

/// The release whose kernel and packages are used: Linux 6.1.
const RELEASE: &str = "bookworm";

/// Packages in the guest.
const PACKAGES: &str = "apparmor,bsdutils,busybox-static,dbus,e2fsprogs,hostname,iproute2,iptables,kmod,mount,nfs-kernel-server,nftables,procps,python3,\
    strace,systemd,util-linux,zstd";

/// What the kernel needs before it can mount the root, in the order of their dependencies.
const MODULES: [&str; 6] =
    ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"];

/// Fetches the kernel's package next to the tree, with the tree's own package lists.
const FETCH_KERNEL: &str = r#"cd "$1/.." && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" &&
    name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1) &&
    apt-get download -qq -o APT::Sandbox::User=root "$name" && mv "$name"_*.deb kernel.deb"#;

/// What making it takes.
const NEEDS: &[apt::Need] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("mkfs.ext4", "e2fsprogs"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
];

/// Makes it if it is missing or of another recipe.
pub fn make(dir: &Path) -> Result<Base> {
    let home = dir.join("base");
    let base = Base { kernel: home.join("vmlinuz"), initrd: home.join("initrd"), disk: home.join("disk") };
    let recipe = [RELEASE, PACKAGES, FETCH_KERNEL, HANDOVER, &MODULES.join(" ")].join("\n");
    if fs::read_to_string(home.join("recipe")).is_ok_and(|old| old == recipe) {
        return Ok(base);
    }
    apt::ensure(NEEDS)?;
    sh::need_root("making the virtual machine's disk")?;
    let work = tempfile::tempdir_in(dir)?;
    let made = work.path().join("base");
    fs::create_dir(&made)?;
    let root = work.path().join("root");
    let release = debian(work.path(), &root, &made)?;
    initrd(&root, &release, &work.path().join("initrd"), &made.join("initrd"))?;
    disk(&root, &made.join("disk"), "6G")?;
    fs::write(made.join("recipe"), recipe)?;
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::rename(made, &home)?;
    Ok(base)
}

/// An ext4 file system with the content of `tree`.
pub fn disk(tree: &Path, image: &Path, size: &str) -> Result<()> {
    let (tree, image) = (tree.to_string_lossy(), image.to_string_lossy());
    sh::read(&mut sh::cmd("mkfs.ext4", &["-q", "-m", "0", "-d", &tree, &image, size])).map(drop)
}

/// The tree with the kernel's modules in it, and `vmlinuz`; returns the kernel's release.
fn debian(work: &Path, root: &Path, made: &Path) -> Result<String> {
    let include = format!("--include={PACKAGES}");
    let hook = format!("--customize-hook={FETCH_KERNEL}");
    let mut make = sh::cmd("mmdebstrap", &["--quiet", "--variant=essential", &include, &hook, RELEASE]);
    sh::run(make.arg(root))?;
    let unpacked = work.join("kernel");
    sh::run(sh::cmd("dpkg-deb", &["-x"]).arg(work.join("kernel.deb")).arg(&unpacked))?;
    let release = only_entry(&unpacked.join("lib/modules"))?;
    fs::copy(unpacked.join(format!("boot/vmlinuz-{release}")), made.join("vmlinuz"))?;
    fs::create_dir_all(root.join("usr/lib/modules"))?;
    fs::rename(unpacked.join("lib/modules").join(&release), root.join("usr/lib/modules").join(&release))?;
    sh::run(sh::cmd("chroot", &[]).arg(root).args(["depmod", &release]))?;
    Ok(release)
}

fn initrd(root: &Path, release: &str, tree: &Path, out: &Path) -> Result<()> {
    for d in ["bin", "dev", "modules", "root"] {
        fs::create_dir_all(tree.join(d))?;
    }
    fs::copy(sh::which("busybox").context("no busybox")?, tree.join("bin/busybox"))?;
    let all = sh::read(sh::cmd("find", &[]).arg(root.join("usr/lib/modules").join(release)).args(["-name", "*.ko"]))?;
    let (first, rest) = HANDOVER.split_once('\n').context("an empty script")?;
    let mut script = format!("{first}\n");
    for module in MODULES {
        // One that is not there is built into the kernel.
        let Some(path) = all.lines().find(|p| p.ends_with(&format!("/{module}.ko"))) else { continue };
        fs::copy(path, tree.join("modules").join(format!("{module}.ko")))?;
        script.push_str(&format!("/bin/busybox insmod /modules/{module}.ko\n"));
    }
    script.push_str(rest);
    let init = tree.join("init");
    fs::write(&init, script)?;
    sh::run(sh::cmd("chmod", &["755"]).arg(&init))?;
    let pack = "set -o pipefail; find . | cpio --quiet -o -H newc | gzip -1 >\"$1\"";
    sh::run(sh::cmd("bash", &["-c", pack, "bash"]).arg(out).current_dir(tree))
}

fn only_entry(dir: &Path) -> Result<String> {
    let entry = fs::read_dir(dir)?.flatten().next().with_context(|| format!("{} is empty", dir.display()))?;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
