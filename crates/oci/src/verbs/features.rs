//! `features`: what this runtime does on this host, in runtime-spec's form.

use hull_confine::caps::CapSet;
use serde_json::json;

use crate::bundle::mount_options;
use crate::cli::{Globals, SPEC, VERSION, Words, say};
use crate::error::Result;

/// Prints it.
pub fn run(_: &Globals, _: &Words) -> Result<i32> {
    let has = |path: &str| std::path::Path::new(path).exists();
    let cgroups = crate::cgroups::host().ok().map(|(_, unified)| unified);
    let capabilities: Vec<&str> = CapSet::through(hull_sys::caps::last()).names().collect();
    let namespaces: Vec<&str> = [
        ("cgroup", "cgroup"),
        ("ipc", "ipc"),
        ("mount", "mnt"),
        ("network", "net"),
        ("pid", "pid"),
        ("time", "time"),
        ("user", "user"),
        ("uts", "uts"),
    ]
    .into_iter()
    .filter(|(_, file)| has(&format!("/proc/self/ns/{file}")))
    .map(|(name, _)| name)
    .collect();
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities,
            "cgroup": {
                "v1": cgroups == Some(false),
                "v2": cgroups == Some(true),
                "systemd": cgroups == Some(true) && crate::systemd::is_running(),
                "systemdUser": false,
                "rdma": has("/sys/fs/cgroup/rdma"),
            },
            "seccomp": {
                "enabled": has("/proc/sys/kernel/seccomp/actions_avail"),
                "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
                "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
                "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
                "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
                    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
                "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
            },
            "apparmor": { "enabled": crate::bundle::apparmor_active() },
            "selinux": { "enabled": crate::bundle::selinux_active() },
            "intelRdt": { "enabled": false },
            "memoryPolicy": {},
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
        },
        "annotations": {
            "io.github.hull-engine.version": VERSION,
            "org.opencontainers.runc.checkpoint.enabled": "false",
        },
        "potentiallyUnsafeConfigAnnotations": [],
    });
    say(&format!("{}\n", serde_json::to_string_pretty(&features).unwrap_or_default()))?;
    Ok(0)
}
