use super::*;
use hull_sys::resolve::open_in_root;
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::Path;

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn read(mount: &MountFd, path: &str) -> String {
    let file = open_in_root(mount, path, OFlags::RDONLY).unwrap();
    std::io::read_to_string(std::fs::File::from(file)).unwrap()
}

struct Layers {
    dir: tempfile::TempDir,
    lowers: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

/// `count` lowers, each with a file `which` (its index, 0 is the topmost) and a file of its own.
fn layers(count: usize) -> Layers {
    // On a file system that takes trusted.* attributes: a tmpfs in no namespace would vanish.
    let dir = tempfile::tempdir().unwrap();
    let mut lowers = Vec::new();
    for index in 0..count {
        let path = dir.path().join(index.to_string());
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("which"), index.to_string()).unwrap();
        std::fs::write(path.join(format!("only-{index}")), "x").unwrap();
        lowers.push(open(&path));
    }
    let [upper, work] = ["upper", "work"].map(|name| {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        open(&dir.path().join(name))
    });
    Layers { dir, lowers, upper, work }
}

#[test]
fn the_way_follows_from_the_release() {
    for (release, way) in [
        ("5.15.0-91-generic", Way::MountCall),
        ("6.1.0-44-cloud-amd64", Way::MountCall),
        ("6.5.0", Way::AppendPath),
        ("6.12.3+deb13", Way::AppendPath),
        ("6.13", Way::AppendFd),
        ("6.18.44-fc", Way::DetachedLayers),
        ("7.0.0", Way::DetachedLayers),
        ("garbage", Way::MountCall),
    ] {
        assert_eq!(Way::of_release(release), way, "{release}");
    }
}

/// Every way that this kernel can go gives the same tree.
#[test]
fn each_way_stacks_the_lowers_and_writes_to_the_upper() {
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    type Make = fn(&Overlay<'_>) -> Result<MountFd>;
    let mut ways: Vec<(&str, Make)> = vec![("mount(2)", |o| private::overlay(o))];
    if Way::of_this_kernel() >= Way::AppendPath {
        ways.push(("path", |o| configure(o, set_path)));
    }
    if Way::of_this_kernel() >= Way::AppendFd {
        ways.push(("fd", |o| configure(o, set_fd)));
    }
    for (name, make) in ways {
        let layers = layers(60);
        let lowers: Vec<_> = layers.lowers.iter().map(|fd| fd.as_fd()).collect();
        let made = make(&Overlay {
            lowers: &lowers,
            upper: Some(layers.upper.as_fd()),
            work: Some(layers.work.as_fd()),
            volatile: true,
            attrs: crate::NODEV,
            ..Overlay::default()
        })
        .unwrap();
        assert_eq!(read(&made, "/which"), "0", "{name}");
        assert_eq!(read(&made, "/only-59"), "x", "{name}");
        let flags = OFlags::CREATE | OFlags::WRONLY;
        hull_sys::resolve::open_in_root_mode(&made, "/new", flags, Mode::RUSR).unwrap();
        assert!(layers.dir.path().join("upper/new").exists(), "{name}");
        assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before, "{name}");
    }
}

#[test]
fn one_lower_without_an_upper_is_a_read_only_clone() {
    let layers = layers(1);
    let made = overlay(&Overlay { lowers: &[layers.lowers[0].as_fd()], ..Overlay::default() }).unwrap();
    assert_eq!(read(&made, "/which"), "0");
    let error = open_in_root(&made, "/which", OFlags::WRONLY).unwrap_err();
    assert_eq!(error.errno, rustix::io::Errno::ROFS);
}

#[test]
fn idmapped_layers_show_ids_as_mapped() {
    let userns = hull_sys::namespace::new_user(&[(0, 100_000, 65536)], &[(0, 100_000, 65536)]).unwrap();
    type Make = fn(&Overlay<'_>) -> Result<MountFd>;
    let ways: [(&str, Make); 2] =
        [("default", |o| overlay(o)), ("mount(2)", |o| as_owner_of(o.work.unwrap(), || private::overlay(o)))];
    for (name, make) in ways {
        let layers = layers(2);
        let map = |fd: &OwnedFd| {
            let clone = crate::bind(fd, false).unwrap();
            clone.idmap(userns.as_fd(), false).unwrap();
            clone
        };
        let lowers: Vec<_> = layers.lowers.iter().map(map).collect();
        // The upper and the work directory must lie in one mount.
        let both = map(&open(layers.dir.path()));
        let [upper, work] =
            ["upper", "work"].map(|path| open_in_root(&both, path, OFlags::PATH | OFlags::DIRECTORY).unwrap());
        let detached: Vec<_> = lowers.iter().chain([&both]).map(|m| m.as_fd()).collect();
        let made = make(&Overlay {
            lowers: &detached[..2],
            upper: Some(upper.as_fd()),
            work: Some(work.as_fd()),
            detached: &detached,
            ..Overlay::default()
        })
        .unwrap();
        let file = open_in_root(&made, "/which", OFlags::PATH).unwrap();
        assert_eq!(rustix::fs::fstat(&file).unwrap().st_uid, 100_000, "{name}");
        let flags = rustix::fs::fstatvfs(open_in_root(&made, "/", OFlags::RDONLY).unwrap()).unwrap().f_flag;
        assert!(!flags.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{name}: read-only");
    }
}

#[test]
fn an_impossible_overlay_is_refused() {
    assert!(matches!(overlay(&Overlay::default()), Err(Error::NoLowers)));
    let root = open(Path::new("/"));
    let lowers = vec![root.as_fd(); MAX_LOWERS + 1];
    let refused = overlay(&Overlay { lowers: &lowers, ..Overlay::default() });
    assert!(matches!(refused, Err(Error::TooManyLowers { .. })));
    let refused = overlay(&Overlay { lowers: &lowers[..1], upper: Some(root.as_fd()), ..Overlay::default() });
    assert!(matches!(refused, Err(Error::NoWork)));
}
