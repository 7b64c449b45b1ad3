//! Lengths and characters: no field may hold what no kernel interface, file or screen can take.

use hull_types::Fault;
use hull_wire as wire;

/// The kernel's limit for one argument or variable (`MAX_ARG_STRLEN`), with its end.
const ARGUMENT: usize = 128 * 1024 - 1;
/// `PATH_MAX`.
const PATH: usize = 4095;
/// `HOST_NAME_MAX`.
const HOST_NAME: usize = 64;
/// Names of users, networks, drivers and the like.
const WORD: usize = 255;
/// How many entries a list may have.
const ENTRIES: usize = 10_000;

/// Checks every text of the request.
pub(super) fn check(request: &wire::ContainerCreateRequest) -> Result<(), Fault> {
    let (config, host) = (&request.config, &request.host_config);
    for (field, text, longest) in [
        ("Hostname", &config.hostname, HOST_NAME),
        ("Domainname", &config.domainname, HOST_NAME),
        ("User", &config.user, WORD),
        ("WorkingDir", &config.working_dir, PATH),
        ("Image", &config.image, PATH),
        ("StopSignal", &config.stop_signal, WORD),
        ("HostConfig.ContainerIDFile", &host.container_id_file, PATH),
        ("HostConfig.NetworkMode", &host.network_mode, WORD),
        ("HostConfig.IpcMode", &host.ipc_mode, WORD),
        ("HostConfig.PidMode", &host.pid_mode, WORD),
        ("HostConfig.UTSMode", &host.uts_mode, WORD),
        ("HostConfig.UsernsMode", &host.userns_mode, PATH),
        ("HostConfig.CgroupnsMode", &host.cgroupns_mode, WORD),
        ("HostConfig.CgroupParent", &host.resources.cgroup_parent, PATH),
        ("HostConfig.CpusetCpus", &host.resources.cpuset_cpus, PATH),
        ("HostConfig.CpusetMems", &host.resources.cpuset_mems, PATH),
    ] {
        plain(field, text, longest)?;
    }
    words(config)?;
    lists(host)
}

/// Arguments and variables may hold anything but NUL.
fn words(config: &wire::ContainerConfig) -> Result<(), Fault> {
    let none = Vec::new();
    for (field, list) in [
        ("Cmd", config.cmd.as_ref().unwrap_or(&none)),
        ("Entrypoint", config.entrypoint.as_ref().unwrap_or(&none)),
        ("Env", &config.env),
    ] {
        words_of(field, list)?;
    }
    count("Volumes", config.volumes.len())?;
    config.volumes.keys().try_for_each(|path| plain("Volumes", path, PATH))?;
    count("Labels", config.labels.len())?;
    for (key, value) in &config.labels {
        plain("Labels", key, PATH)?;
        if value.len() > ARGUMENT || value.contains('\0') {
            return Err(Fault::invalid(format!("the label {} is too long or contains NUL", shown(key))));
        }
    }
    Ok(())
}

/// A list of arguments or variables.
pub(super) fn words_of(field: &str, list: &[String]) -> Result<(), Fault> {
    count(field, list.len())?;
    for word in list {
        if word.len() > ARGUMENT {
            return Err(too_long(field, word.len(), ARGUMENT));
        }
        if word.contains('\0') {
            return Err(Fault::invalid(format!("`{field}` contains a NUL byte: {}", shown(word))));
        }
    }
    Ok(())
}

fn lists(host: &wire::HostConfig) -> Result<(), Fault> {
    for (field, list) in [
        ("HostConfig.Binds", &host.binds),
        ("HostConfig.VolumesFrom", &host.volumes_from),
        ("HostConfig.CapAdd", &host.cap_add),
        ("HostConfig.CapDrop", &host.cap_drop),
        ("HostConfig.Dns", &host.dns),
        ("HostConfig.DnsOptions", &host.dns_options),
        ("HostConfig.DnsSearch", &host.dns_search),
        ("HostConfig.ExtraHosts", &host.extra_hosts),
        ("HostConfig.GroupAdd", &host.group_add),
        ("HostConfig.DeviceCgroupRules", &host.resources.device_cgroup_rules),
    ] {
        count(field, list.len())?;
        list.iter().try_for_each(|text| plain(field, text, 3 * PATH))?;
    }
    count("HostConfig.Mounts", host.mounts.len())?;
    for mount in &host.mounts {
        plain("HostConfig.Mounts.Source", &mount.source, PATH)?;
        plain("HostConfig.Mounts.Target", &mount.target, PATH)?;
        plain("HostConfig.Mounts.Type", &mount.kind, WORD)?;
    }
    for (field, map) in [
        ("HostConfig.Tmpfs", &host.tmpfs),
        ("HostConfig.Sysctls", &host.sysctls),
        ("HostConfig.Annotations", &host.annotations),
        ("HostConfig.LogConfig.Config", &host.log_config.config),
    ] {
        count(field, map.len())?;
        for (key, value) in map {
            plain(field, key, PATH)?;
            plain(field, value, ARGUMENT)?;
        }
    }
    for (field, paths) in
        [("HostConfig.MaskedPaths", &host.masked_paths), ("HostConfig.ReadonlyPaths", &host.readonly_paths)]
    {
        for path in paths.iter().flatten() {
            plain(field, path, PATH)?;
            if !path.starts_with('/') {
                return Err(Fault::invalid(format!("`{field}` must be absolute paths: {}", shown(path))));
            }
        }
    }
    for device in &host.resources.devices {
        plain("HostConfig.Devices", &device.path_on_host, PATH)?;
        plain("HostConfig.Devices", &device.path_in_container, PATH)?;
    }
    Ok(())
}

fn count(field: &str, entries: usize) -> Result<(), Fault> {
    if entries > ENTRIES {
        return Err(Fault::invalid(format!("`{field}` has {entries} entries, more than {ENTRIES}")));
    }
    Ok(())
}

/// A text of one line: no control characters, no longer than `longest` bytes.
pub(super) fn plain(field: &str, text: &str, longest: usize) -> Result<(), Fault> {
    if text.len() > longest {
        return Err(too_long(field, text.len(), longest));
    }
    if text.contains(char::is_control) {
        return Err(Fault::invalid(format!("`{field}` contains a control character: {}", shown(text))));
    }
    Ok(())
}

fn too_long(field: &str, length: usize, longest: usize) -> Fault {
    Fault::invalid(format!("`{field}` is {length} bytes long, more than {longest}"))
}

/// The text as a sentence shows it: quoted, at most 80 characters, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(80).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

/// The same without quotes, for docker's sentences.
pub(super) fn bare(text: &str) -> String {
    shown(text).trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_texts_are_refused_in_one_short_line() {
        let huge = "a".repeat(1 << 20);
        for text in [huge.as_str(), "a\nb", "a\0", "\u{1b}[31m", "\u{7f}"] {
            let fault = plain("Hostname", text, HOST_NAME).expect_err("must be refused");
            assert!(fault.summary.len() < 200 && !fault.summary.contains(char::is_control), "{fault}");
            assert!(fault.summary.contains("`Hostname`"), "{fault}");
        }
        assert!(words_of("Cmd", &["a\nb".into(), String::new()]).is_ok());
        assert!(words_of("Cmd", &["a\0".into()]).is_err());
        assert!(words_of("Env", &[huge]).is_err());
    }
}
