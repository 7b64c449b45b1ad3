//! `spec [-b BUNDLE] [--rootless]`: a config.json to begin with, as runc writes it.

use serde_json::{Value, json};

use crate::cli::{Flag, Globals, SPEC, Words};
use crate::error::{Doing, Error, Result};

pub const FLAGS: &[Flag] = &[Flag::value("bundle").or("b"), Flag::bool("rootless"), Flag::bool("help").or("h")];

/// Writes it; never over another one.
pub fn run(_: &Globals, words: &Words) -> Result<i32> {
    let directory = std::path::Path::new(words.value("bundle").filter(|path| !path.is_empty()).unwrap_or("."));
    let path = directory.join("config.json");
    let mut text = String::from_utf8(pretty(&document(words.is("rootless")))).unwrap_or_default();
    text.push('\n');
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Usage("File config.json exists. Remove it first".to_owned()));
        }
        file => file.doing(|| format!("create {path:?}"))?,
    };
    std::io::Write::write_all(&mut file, text.as_bytes()).doing(|| format!("write {path:?}"))?;
    Ok(0)
}

fn pretty(value: &Value) -> Vec<u8> {
    use serde::Serialize as _;
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    // Into memory nothing fails.
    _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter));
    out
}

fn document(rootless: bool) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": SPEC,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "runc",
        "mounts": mounts(rootless),
        "linux": linux(rootless),
    })
}

fn mounts(rootless: bool) -> Value {
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    let mut sys = vec!["nosuid", "noexec", "nodev", "ro"];
    if rootless {
        sys.insert(0, "rbind");
    } else {
        pts.push("gid=5");
    }
    let (sys_type, sys_source) = if rootless { ("none", "/sys") } else { ("sysfs", "sysfs") };
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/sys", "type": sys_type, "source": sys_source, "options": sys },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
          "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
    ])
}

fn linux(rootless: bool) -> Value {
    let mut kinds = vec!["pid", "network", "ipc", "uts", "mount", "cgroup"];
    if rootless {
        kinds.retain(|kind| *kind != "network");
        kinds.push("user");
    }
    let namespaces: Vec<Value> = kinds.into_iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({
        "namespaces": namespaces,
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
            "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            "/sys/devices/virtual/powercap"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    });
    if rootless {
        let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
        linux["uidMappings"] = map(rustix::process::geteuid().as_raw());
        linux["gidMappings"] = map(rustix::process::getegid().as_raw());
    } else {
        linux["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    }
    linux
}
