//! Fixtures, and starts against the real kernel.

use std::path::PathBuf;

use hull_launch::spec::{
    LogWish, Lsm, NamespaceWishes, Process, Resolver, SeccompWish, Shm, Spec, Stop,
};

/// A plain wish.
pub(crate) fn spec() -> Spec {
    Spec {
        process: Process {
            argv: vec!["/bin/true".into()],
            env: vec!["PATH=/bin".into()],
            cwd: PathBuf::from("/"),
            user: String::new(),
            groups: Vec::new(),
            tty: false,
            stdin: false,
            capabilities: 0,
            seccomp: SeccompWish::Unconfined,
            no_new_privileges: false,
            lsm: Lsm::default(),
            rlimits: Vec::new(),
            oom_score_adj: None,
            umask: None,
        },
        hostname: "box".into(),
        domainname: None,
        namespaces: NamespaceWishes::default(),
        privileged: false,
        writable_cgroups: false,
        init: false,
        readonly_root: false,
        mounts: Vec::new(),
        shm: Shm::Own { size: 1 << 20 },
        devices: Vec::new(),
        device_rules: Vec::new(),
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        sysctls: Default::default(),
        limits: Default::default(),
        cgroup_parent: None,
        resolver: Resolver::default(),
        stop: Stop { signal: 15, timeout: 10 },
        log: LogWish { driver: "json-file".into(), max_bytes: None },
    }
}
