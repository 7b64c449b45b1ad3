//! Single values of `HostConfig`: their ranges, their conflicts, and their defaults for inspect.

use hull_launch::spec::{NamespaceWish, NamespaceWishes, Shm, Spec};
use hull_types::{ContainerId, Fault};
use hull_wire as wire;

use super::Context;
use super::text::{bare, shown};

/// docker's default for `--shm-size`.
pub(super) const SHM_SIZE: u64 = 64 << 20;

/// Ranges and conflicts.
pub(super) fn check(host: &wire::HostConfig) -> Result<(), Fault> {
    restart_policy(&host.restart_policy)?;
    let restarts = !matches!(host.restart_policy.name.as_str(), "" | "no");
    if host.auto_remove && restarts {
        return Err(Fault::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if host.shm_size < 0 {
        return Err(Fault::invalid(format!("SHM size can not be less than 0: {}", host.shm_size)));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Fault::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    let [rows, columns] = host.console_size;
    if rows > u32::from(u16::MAX) || columns > u32::from(u16::MAX) {
        return Err(Fault::invalid(format!("the console size {rows}x{columns} is too large")));
    }
    Ok(())
}

/// Also of `update`.
pub(super) fn restart_policy(policy: &wire::RestartPolicy) -> Result<(), Fault> {
    let retries = policy.maximum_retry_count;
    let invalid = |why: &str| Err(Fault::invalid(format!("invalid restart policy: {why}")));
    match policy.name.as_str() {
        "on-failure" if retries < 0 => invalid("maximum retry count cannot be negative"),
        "on-failure" => Ok(()),
        "" | "no" | "always" | "unless-stopped" if retries != 0 => {
            invalid("maximum retry count can only be used with 'on-failure'")
        }
        "" | "no" | "always" | "unless-stopped" => Ok(()),
        other => invalid(&format!(
            "unknown policy '{}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            bare(other)
        )),
    }
}

/// The host name when none was asked for: the host's where it is shared, else the short id.
pub(super) fn name_host(
    context: &Context<'_>,
    id: &ContainerId,
    config: &mut wire::ContainerConfig,
    namespaces: &NamespaceWishes,
) {
    if !config.hostname.is_empty() {
        return;
    }
    config.hostname = match &namespaces.uts {
        NamespaceWish::Host => context.host.hostname.clone(),
        NamespaceWish::Container(other) => match context.containers.container(other) {
            Ok((_, spec)) => spec.hostname.clone(),
            Err(_) => id.short().to_owned(),
        },
        // COMPAT(docker 28): with the host's network the container bears the host's name.
        NamespaceWish::New if namespaces.net == NamespaceWish::Host => context.host.hostname.clone(),
        NamespaceWish::New => id.short().to_owned(),
    };
}

/// A path below the cgroup file system: relative, without `..`.
pub(super) fn cgroup_parent(host: &wire::HostConfig) -> Result<Option<String>, Fault> {
    let parent = host.resources.cgroup_parent.trim_matches('/');
    if parent.is_empty() {
        return Ok(None);
    }
    if parent.split('/').any(|part| matches!(part, "" | "." | "..") || part.starts_with("cgroup.")) {
        return Err(Fault::invalid(format!("invalid cgroup parent {}", shown(parent)))
            .hint("give a path such as `/team/batch`, without `.` and `..`"));
    }
    Ok(Some(parent.to_owned()))
}

/// What inspect shows: the request with docker's defaults filled in.
pub(super) fn with_defaults(asked: &wire::HostConfig, spec: &Spec) -> wire::HostConfig {
    let mut host = asked.clone();
    let fill = |field: &mut String, value: &str| {
        if field.is_empty() {
            value.clone_into(field);
        }
    };
    // COMPAT(docker 28): what its CLI means by these.
    if host.network_mode == "default" {
        host.network_mode.clear();
    }
    fill(&mut host.network_mode, crate::networks::DEFAULT);
    host.resources.memory_swappiness = host.resources.memory_swappiness.filter(|value| *value != -1);
    host.resources.pids_limit = host.resources.pids_limit.filter(|limit| *limit != 0);
    fill(&mut host.ipc_mode, "private");
    fill(&mut host.cgroupns_mode, "private");
    fill(&mut host.log_config.kind, "json-file");
    fill(&mut host.restart_policy.name, "no");
    fill(&mut host.runtime, "hull");
    if let Shm::Own { size } = spec.shm {
        host.shm_size = i64::try_from(size).unwrap_or(i64::MAX);
    }
    let texts =
        |paths: &[std::path::PathBuf]| Some(paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>());
    // COMPAT(docker 28): of a privileged container neither is said.
    host.masked_paths = texts(&spec.masked_paths).filter(|_| !asked.privileged);
    host.readonly_paths = texts(&spec.readonly_paths).filter(|_| !asked.privileged);
    host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_as_dockers() {
        let rows: &[(&str, i64, Option<&str>)] = &[
            ("", 0, None),
            ("no", 0, None),
            ("always", 0, None),
            ("unless-stopped", 0, None),
            ("on-failure", 0, None),
            ("on-failure", 5, None),
            ("on-failure", -1, Some("cannot be negative")),
            ("always", 3, Some("can only be used with 'on-failure'")),
            ("never", 0, Some("unknown policy")),
        ];
        for (name, retries, error) in rows {
            let policy = wire::RestartPolicy { name: (*name).to_owned(), maximum_retry_count: *retries };
            let got = restart_policy(&policy).err().map(|fault| fault.summary);
            assert_eq!(got.is_some(), error.is_some(), "{name} {retries}: {got:?}");
            assert!(got.unwrap_or_default().contains(error.unwrap_or_default()));
        }
    }

    #[test]
    fn ranges() {
        let host = wire::HostConfig::default;
        for (bad, word) in [
            (wire::HostConfig { shm_size: -1, ..host() }, "SHM"),
            (wire::HostConfig { oom_score_adj: 1001, ..host() }, "oom"),
            (wire::HostConfig { oom_score_adj: -1001, ..host() }, "oom"),
            (wire::HostConfig { console_size: [70_000, 1], ..host() }, "console"),
        ] {
            assert!(check(&bad).unwrap_err().summary.contains(word));
        }
        let both = wire::HostConfig {
            auto_remove: true,
            restart_policy: wire::RestartPolicy { name: "always".into(), maximum_retry_count: 0 },
            ..host()
        };
        assert!(check(&both).unwrap_err().summary.contains("AutoRemove"));
    }

    #[test]
    fn a_cgroup_parent_stays_below() {
        let parent = |text: &str| {
            let mut host = wire::HostConfig::default();
            host.resources.cgroup_parent = text.to_owned();
            cgroup_parent(&host)
        };
        assert_eq!(parent(""), Ok(None));
        assert_eq!(parent("/a/b/"), Ok(Some("a/b".to_owned())));
        for bad in ["../x", "a/../../b", "a//b", ".", "cgroup.procs"] {
            assert!(parent(bad).is_err(), "{bad}");
        }
    }
}
