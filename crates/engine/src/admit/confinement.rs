//! Capabilities, seccomp, labels, devices, ulimits, sysctls: docker's spellings → typed wishes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_confine::caps::{self, CapSet};
use hull_confine::devices::{self, Mapping, Rule};
use hull_confine::lsm::{AppArmor, Seccomp, SecurityOptions};
use hull_confine::{paths, rlimits, sysctl};
use hull_launch::spec::{Lsm, NamespaceWish, NamespaceWishes, OomScore, Process, RlimitWish, SeccompWish};
use hull_types::Fault;
use hull_wire as wire;

use super::text::shown;
use super::{Context, command};

/// `RLIMIT_NOFILE`.
const NOFILE: u32 = 7;

/// `--security-opt`, with what this host cannot do refused.
pub(super) fn security_options(context: &Context<'_>, host: &wire::HostConfig) -> Result<SecurityOptions, Fault> {
    let options = SecurityOptions::parse(&host.security_opt)?;
    if let Seccomp::File(path) = &options.seccomp {
        return Err(Fault::invalid(format!("seccomp: {} is no profile", shown(path)))
            .hint("the API takes the profile's JSON itself; the command line reads the file"));
    }
    if let AppArmor::Named(profile) = &options.apparmor
        && !context.host.lsm.apparmor
    {
        return Err(Fault::invalid(format!(
            "the AppArmor profile {} cannot be applied: AppArmor is not active on this host",
            shown(profile)
        )));
    }
    Ok(options)
}

/// The command with its confinement.
pub(super) fn process(
    context: &Context<'_>,
    config: &wire::ContainerConfig,
    host: &wire::HostConfig,
    options: &SecurityOptions,
) -> Result<Process, Fault> {
    let capabilities = caps::resolve(&host.cap_add, &host.cap_drop, host.privileged, context.host.capabilities)?;
    Ok(Process {
        argv: command::argv(config),
        env: command::environment(config),
        cwd: PathBuf::from(&config.working_dir),
        user: config.user.clone(),
        groups: host.group_add.clone(),
        tty: config.tty,
        stdin: config.open_stdin,
        capabilities: capabilities.0,
        seccomp: seccomp(host.privileged, capabilities, &options.seccomp)?,
        no_new_privileges: options.no_new_privileges.unwrap_or(false),
        lsm: labels(context, host.privileged, options),
        rlimits: limits(context.host.open_files, &host.resources.ulimits)?,
        oom_score_adj: score(host.oom_score_adj),
        umask: umask(host.umask)?,
    })
}

fn umask(asked: Option<u32>) -> Result<Option<u32>, Fault> {
    match asked {
        Some(bits) if bits > 0o777 => {
            Err(Fault::invalid(format!("`HostConfig.Umask` {bits} is not a file mode: at most 511 (octal 0777)")))
        }
        other => Ok(other),
    }
}

/// A profile of the user is read now, so that a bad one is refused before there is a container.
fn seccomp(privileged: bool, caps: CapSet, asked: &Seccomp) -> Result<SeccompWish, Fault> {
    match asked {
        Seccomp::Json(text) => {
            let _ = caps;
            hull_confine::seccomp::Profile::parse(text)?;
            Ok(SeccompWish::Profile(text.clone()))
        }
        _ if privileged => Ok(SeccompWish::Unconfined),
        Seccomp::Unconfined => Ok(SeccompWish::Unconfined),
        Seccomp::Builtin | Seccomp::File(_) => Ok(SeccompWish::Default),
    }
}

fn labels(context: &Context<'_>, privileged: bool, options: &SecurityOptions) -> Lsm {
    let host = context.host;
    let apparmor = match &options.apparmor {
        AppArmor::Unconfined => None,
        AppArmor::Named(profile) => Some(profile.clone()),
        AppArmor::Default if privileged => None,
        AppArmor::Default => host.apparmor_default.clone(),
    };
    let selinux = host.lsm.selinux && !options.label.disable && !privileged;
    let process = if selinux { options.label.process(&host.selinux_label) } else { None };
    Lsm { apparmor, selinux_process: process, selinux_mount: None }
}

/// What was asked for must be granted; the default is only tried.
fn limits(open_files: u64, asked: &[wire::Ulimit]) -> Result<Vec<RlimitWish>, Fault> {
    let soft = open_files.min(1024);
    let mut all = vec![RlimitWish { resource: NOFILE, soft, hard: open_files, required: false }];
    for ulimit in asked {
        let limit = rlimits::Rlimit::from_wire(&ulimit.name, ulimit.soft, ulimit.hard)?;
        all.retain(|other| other.resource != limit.resource);
        all.push(RlimitWish { resource: limit.resource, soft: limit.soft, hard: limit.hard, required: true });
    }
    Ok(all)
}

/// 0 is the default and stays untouched unless the engine itself runs with another score.
fn score(asked: i64) -> Option<OomScore> {
    let value = i32::try_from(asked).ok()?;
    Some(OomScore { value, required: value != 0 })
}

/// `--device`.
pub(super) fn devices(host: &wire::HostConfig) -> Result<Vec<Mapping>, Fault> {
    let one = |device: &wire::DeviceMapping| {
        let mapping = Mapping::from_wire(&device.path_on_host, &device.path_in_container, &device.cgroup_permissions)?;
        std::fs::metadata(&mapping.host).map_err(|error| {
            Fault::invalid(format!(
                "error gathering device information while adding custom device {}",
                shown(&mapping.host)
            ))
            .cause(plain(&error))
        })?;
        Ok(mapping)
    };
    host.resources.devices.iter().map(one).collect()
}

/// COMPAT(docker 28): by these words its CLI ends with 127.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

/// `--device-cgroup-rule`.
pub(super) fn device_rules(host: &wire::HostConfig) -> Result<Vec<Rule>, Fault> {
    let rules = &host.resources.device_cgroup_rules;
    rules.iter().map(|rule| devices::parse_rule(rule).map_err(Fault::from)).collect()
}

/// `--sysctl`: only what the container's own namespaces confine.
pub(super) fn sysctls(
    host: &wire::HostConfig,
    namespaces: &NamespaceWishes,
) -> Result<BTreeMap<String, String>, Fault> {
    let private =
        sysctl::Private { ipc: namespaces.ipc != NamespaceWish::Host, net: namespaces.net != NamespaceWish::Host };
    let one = |(key, value): (&String, &String)| Ok((sysctl::check(key, value, private)?, value.clone()));
    host.sysctls.iter().map(one).collect()
}

/// Masked and read-only paths: the defaults unless the request names others; none if privileged.
pub(super) fn system_paths(
    context: &Context<'_>,
    host: &wire::HostConfig,
    options: &SecurityOptions,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    if host.privileged || options.system_paths_unconfined {
        return (Vec::new(), Vec::new());
    }
    let given = |asked: &Option<Vec<String>>, default: fn(&Context<'_>) -> Vec<String>| {
        let list = asked.clone().unwrap_or_else(|| default(context));
        list.into_iter().filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
    };
    (given(&host.masked_paths, masked), given(&host.readonly_paths, |_| paths::readonly()))
}

fn masked(context: &Context<'_>) -> Vec<String> {
    let mut all = paths::masked();
    let throttle = paths::thermal_throttle(&context.host.cpus);
    all.extend(throttle.into_iter().filter(|path| std::path::Path::new(path).exists()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits_of_the_user_replace_the_default_and_are_required() {
        let asked = wire::Ulimit { name: "nofile".into(), soft: 10, hard: 20 };
        let limits = limits(4096, std::slice::from_ref(&asked)).unwrap();
        assert_eq!(limits, [RlimitWish { resource: 7, soft: 10, hard: 20, required: true }]);
        assert!(!super::limits(4096, &[]).unwrap()[0].required);
        let bad = wire::Ulimit { name: "files".into(), soft: 1, hard: 1 };
        assert!(super::limits(4096, &[bad]).is_err());
    }

    #[test]
    fn privileged_has_no_filter_unless_it_brings_one() {
        let caps = CapSet::EMPTY;
        assert_eq!(seccomp(true, caps, &Seccomp::Builtin), Ok(SeccompWish::Unconfined));
        assert_eq!(seccomp(false, caps, &Seccomp::Builtin), Ok(SeccompWish::Default));
        assert_eq!(seccomp(false, caps, &Seccomp::Unconfined), Ok(SeccompWish::Unconfined));
        assert!(seccomp(true, caps, &Seccomp::Json("{".into())).is_err());
    }

    #[test]
    fn sysctls_need_a_namespace_of_their_own() {
        let host = |key: &str| wire::HostConfig {
            sysctls: BTreeMap::from([(key.to_owned(), "1".to_owned())]),
            ..wire::HostConfig::default()
        };
        let own = NamespaceWishes::default();
        let shared = NamespaceWishes { net: NamespaceWish::Host, ..NamespaceWishes::default() };
        assert!(sysctls(&host("net.core.somaxconn"), &own).is_ok());
        assert!(sysctls(&host("net.core.somaxconn"), &shared).is_err());
        assert!(sysctls(&host("kernel.panic"), &own).is_err());
    }
}
