//! `cargo xtask oracle fetch|start|stop`: Docker's own engine, to be asked and to be measured beside. `oracle peers`: newer crun and
//! runc than the system's, to be measured beside.
//!
//! Debian's packages are unpacked beneath target/oracle, nothing is installed; the daemon runs in mount and
//! network namespaces of its own, without bridge and firewall rules. `DOCKER_HOST` as printed leads to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{apt, busybox, sh};

const PACKAGES: [&str; 5] = ["docker.io", "docker-cli", "containerd", "docker-buildx", "docker-compose"];
/// What shows that the packages of this version are there.
const PARTS: [&str; 2] = ["usr/sbin/dockerd", "usr/libexec/docker/cli-plugins/docker-compose"];
const PEERS: [&str; 8] =
    ["crun", "runc", "libc6", "libblake3-0", "libcap2", "libjson-c5", "libseccomp2", "libsystemd0"];
const NEEDS: &[apt::Need] = &[("runc", "runc"), ("busybox", "busybox-static"), ("unshare", "util-linux")];

/// Fetches, starts or stops it.
pub fn run(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("fetch") => fetch(),
        Some("peers") => fetch_peers(),
        Some("start") => start(),
        Some("stop") => stop(),
        _ => bail!("`oracle fetch`, `start`, `stop` or `peers`"),
    }
}

/// The socket of a running oracle.
pub fn host() -> Option<String> {
    let socket = dir().join("docker.sock");
    std::os::unix::net::UnixStream::connect(&socket).is_ok().then(|| format!("unix://{}", socket.display()))
}

/// The process of a running oracle.
pub fn pid() -> Option<String> {
    host()?;
    Some(fs::read_to_string(dir().join("docker.pid")).ok()?.trim().to_owned())
}

fn dir() -> PathBuf {
    sh::target().join("oracle")
}

/// What `fetch` unpacks.
pub fn root() -> PathBuf {
    dir().join("root")
}

/// Unpacks it beneath target/oracle/root, once: the whole of it or nothing.
pub fn fetch() -> Result<()> {
    let dir = dir();
    let root = dir.join("root");
    let whole = |root: &Path| PARTS.iter().all(|part| root.join(part).is_file());
    if whole(&root) {
        return Ok(());
    }
    let part = dir.join("part");
    unpack(&dir, &part, &PACKAGES).context("Debian's mirror did not bring Docker's daemon (docker.io in sid)")?;
    if root.exists() {
        // Of a version that fetched less.
        fs::remove_dir_all(&root)?;
    }
    fs::rename(&part, &root)?;
    Ok(())
}

/// crun or runc of Debian unstable, if `oracle peers` was run.
pub fn peer(name: &str) -> Option<PathBuf> {
    let root = dir().join("peers");
    [root.join("usr/bin").join(name), root.join("usr/sbin").join(name)].into_iter().find(|path| path.is_file())
}

/// Their libraries are newer than the system's: they are told to use those beside them.
fn fetch_peers() -> Result<()> {
    apt::ensure(&[("patchelf", "patchelf")])?;
    let (part, root) = (dir().join("peers-part"), dir().join("peers"));
    if !root.is_dir() {
        unpack(&dir(), &part, &PEERS)?;
        fs::rename(&part, &root)?;
    }
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    for peer in ["crun", "runc"] {
        let path = peer_path(peer)?;
        let mut patch = sh::cmd("patchelf", &["--force-rpath", "--set-rpath", &libraries.to_string_lossy()]);
        sh::run(patch.args(["--set-interpreter", &loader.to_string_lossy()]).arg(&path))?;
        println!(
            "{}: {}",
            path.display(),
            sh::read(&mut sh::cmd(&path, &["--version"]))?.lines().next().unwrap_or_default()
        );
    }
    Ok(())
}

fn peer_path(name: &str) -> Result<PathBuf> {
    peer(name).with_context(|| format!("Debian's package of {name} has no program of that name"))
}

fn start() -> Result<()> {
    sh::need_root("running dockerd")?;
    apt::ensure(NEEDS)?;
    fetch()?;
    let dir = dir();
    let root = dir.join("root");
    if host().is_none() {
        daemon(&dir, &root)?;
    }
    let host = host().with_context(|| format!("dockerd did not come up; see {}", dir.join("log").display()))?;
    let docker = root.join("usr/bin/docker");
    if sh::read(&mut sh::cmd(&docker, &["-H", &host, "image", "inspect", "busybox"])).is_err() {
        let work = tempfile::tempdir()?;
        let tar = busybox::tar(work.path())?;
        sh::run(&mut sh::cmd(&docker, &["-H", &host, "import", &tar.to_string_lossy(), "busybox"]))?;
    }
    println!("export DOCKER_HOST={host}\nexport PATH={}:$PATH", root.join("usr/bin").display());
    Ok(())
}

fn stop() -> Result<()> {
    let pid = fs::read_to_string(dir().join("docker.pid")).context("no oracle was started")?;
    sh::run(&mut sh::cmd("kill", &[pid.trim()]))
}

/// From Debian unstable, which has Docker 28; its package list is kept apart from the system's.
fn unpack(dir: &Path, root: &Path, packages: &[&str]) -> Result<()> {
    let (lists, debs) = (dir.join("lists"), root.join("debs"));
    for d in [lists.join("partial"), debs.clone(), root.to_path_buf(), dir.join("cache/archives/partial")] {
        fs::create_dir_all(d)?;
    }
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(dir.join("sid.list"), format!("deb [signed-by={key}] http://deb.debian.org/debian sid main\n"))?;
    let apart = [
        format!("-oDir::Etc::sourcelist={}", dir.join("sid.list").display()),
        "-oDir::Etc::sourceparts=/dev/null".to_string(),
        format!("-oDir::State::lists={}", lists.display()),
        format!("-oDir::Cache={}", dir.join("cache").display()),
    ];
    sh::run(sh::cmd("apt-get", &["update", "-qq"]).args(&apart))?;
    for package in packages {
        sh::run(sh::cmd("apt-get", &["download", "-qq", package]).args(&apart).current_dir(&debs))?;
    }
    for deb in fs::read_dir(&debs)?.flatten() {
        sh::run(&mut sh::cmd("dpkg", &["-x", &deb.path().to_string_lossy(), &root.to_string_lossy()]))?;
    }
    Ok(())
}

fn daemon(dir: &Path, root: &Path) -> Result<()> {
    let script =
        "ip link set lo up; umount /sys/fs/cgroup/unified 2>/dev/null; mount -t tmpfs tmpfs /run; exec dockerd \"$@\"";
    let path = format!("{0}/usr/bin:{0}/usr/sbin:{1}", root.display(), std::env::var("PATH").unwrap_or_default());
    let log = fs::File::create(dir.join("log"))?;
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    sh::cmd("setsid", &["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, "dockerd"])
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("docker.pid")])
        .args(["-H", &format!("unix://{}", at("docker.sock"))])
        .args(["--storage-driver", "overlay2", "--feature", "containerd-snapshotter=false"])
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    for _ in 0..200 {
        if host().is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("dockerd did not answer within 20 s; see {}", at("log"))
}
