//! All flags together: the body of `POST /containers/create`.

use std::collections::BTreeMap;

use hull_types::{Fault, GoDuration, Name, Signal};
use hull_wire::{ContainerConfig, ContainerCreateRequest, HealthConfig, HostConfig, LogConfig, Resources};

use super::flags::{ContainerFlags, HealthFlags, IsolationFlags, LifeFlags};
use super::security::Security;
use super::{bytes, env, malformed, mounts, networks, pairs, ports, resources, security};
use crate::cli::parse::shortened;

/// Which streams the client attaches to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// The request for `image` and its arguments. `detached` is `run -d` and `create` has none attached by itself.
pub(crate) fn request(
    flags: &ContainerFlags,
    image: &str,
    command: &[String],
    detached: bool,
) -> Result<ContainerCreateRequest, Fault> {
    refuse(flags)?;
    let streams = streams(flags, detached)?;
    let security = security::security(&flags.isolation.security_opt)?;
    let config = config(flags, streams, image, command)?;
    let host_config = host(flags, security)?;
    Ok(ContainerCreateRequest { config, host_config, networking_config: networks::config(&flags.network)? })
}

/// What the streams are: as `-a` says, else output if in the foreground, and input with `-i`.
pub(crate) fn streams(flags: &ContainerFlags, detached: bool) -> Result<Streams, Fault> {
    let mut out = Streams::default();
    for word in &flags.process.attach {
        match word.to_lowercase().as_str() {
            "stdin" => out.stdin = true,
            "stdout" => out.stdout = true,
            "stderr" => out.stderr = true,
            _ => return Err(malformed("attach", word, "it must be stdin, stdout or stderr")),
        }
    }
    if !flags.process.attach.is_empty() {
        if detached {
            return Err(Fault::invalid("`--attach` and `--detach` exclude each other"));
        }
        return Ok(out);
    }
    if !detached {
        out = Streams { stdin: flags.process.interactive, stdout: true, stderr: true };
    }
    Ok(out)
}

/// Flags that exclude each other, or that hull cannot honour.
fn refuse(flags: &ContainerFlags) -> Result<(), Fault> {
    let (life, isolation) = (&flags.life, &flags.isolation);
    let restart = resources::restart(&life.restart)?;
    if life.rm && !matches!(restart.name.as_str(), "" | "no") {
        return Err(Fault::invalid("`--restart` and `--rm` exclude each other"));
    }
    match life.pull.as_str() {
        "always" | "missing" | "never" => {}
        other => return Err(malformed("pull", other, "it must be always, missing or never")),
    }
    if let Some(name) = &life.name {
        name.parse::<Name>()?;
    }
    if let Some(name) = flags.network.hostname.as_deref().filter(|name| !is_hostname(name)) {
        return Err(malformed("hostname", name, "it has up to 64 letters, digits, `-`, `_` and `.`"));
    }
    if flags.resources.gpus.is_some() {
        let why = "`--gpus` is not supported: this version has no device drivers";
        return Err(Fault::unsupported(why).hint("give single devices with --device"));
    }
    if let Some(other) = isolation.runtime.as_deref().filter(|name| !matches!(*name, "" | "hull")) {
        let other = shortened(other);
        return Err(Fault::unsupported(format!("`--runtime {other}` is not supported: `hull` is the only runtime")));
    }
    if isolation.use_api_socket {
        return Err(Fault::unsupported("`--use-api-socket` is not supported"));
    }
    Ok(())
}

/// What the kernel keeps (64 bytes) of what a host name is made of.
fn is_hostname(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.len() <= 64 && name.bytes().all(fits)
}

fn config(flags: &ContainerFlags, streams: Streams, image: &str, command: &[String]) -> Result<ContainerConfig, Fault> {
    let process = &flags.process;
    let (exposed_ports, _) = ports::ports(&flags.network.publish, &flags.network.expose)?;
    let (_, volumes) = mounts::volumes(&flags.storage.volume)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(ContainerConfig {
        hostname: text(&flags.network.hostname),
        domainname: text(&flags.network.domainname),
        user: text(&process.user),
        attach_stdin: streams.stdin,
        attach_stdout: streams.stdout,
        attach_stderr: streams.stderr,
        exposed_ports,
        tty: process.tty,
        open_stdin: process.interactive,
        stdin_once: process.interactive && streams.stdin,
        env: env::environment(&process.env_file, &process.env)?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: health(&flags.health)?,
        image: image.to_owned(),
        volumes,
        working_dir: text(&process.workdir),
        entrypoint: process.entrypoint.clone().map(|word| vec![word]),
        mac_address: text(&flags.network.mac_address),
        labels: labels(&flags.life)?,
        stop_signal: stop_signal(flags.life.stop_signal.as_deref())?,
        stop_timeout: flags.life.stop_timeout,
        ..ContainerConfig::default()
    })
}

fn labels(life: &LifeFlags) -> Result<BTreeMap<String, String>, Fault> {
    let mut all = env::label_lines(&life.label_file)?;
    all.extend(life.label.iter().cloned());
    pairs::map("label", &all, true)
}

fn stop_signal(text: Option<&str>) -> Result<String, Fault> {
    let Some(text) = text else { return Ok(String::new()) };
    let known = text.parse::<Signal>();
    known.map_err(|_| malformed("stop-signal", text, "there is no such signal"))?;
    Ok(text.to_owned())
}

fn host(flags: &ContainerFlags, security: Security) -> Result<HostConfig, Fault> {
    let (network, isolation, life) = (&flags.network, &flags.isolation, &flags.life);
    let (storage, process) = (&flags.storage, &flags.process);
    let (_, port_bindings) = ports::ports(&network.publish, &[])?;
    let (binds, _) = mounts::volumes(&storage.volume)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let extra_hosts = network.add_host.iter().map(|item| extra_host(item)).collect::<Result<_, _>>()?;
    Ok(HostConfig {
        binds,
        container_id_file: text(&life.cidfile),
        log_config: LogConfig { kind: text(&life.log_driver), config: pairs::map("log-opt", &life.log_opt, false)? },
        network_mode: networks::mode(network)?,
        port_bindings,
        restart_policy: resources::restart(&life.restart)?,
        auto_remove: life.rm,
        volume_driver: text(&storage.volume_driver),
        volumes_from: storage.volumes_from.clone(),
        annotations: annotations(flags)?,
        cap_add: isolation.cap_add.clone(),
        cap_drop: isolation.cap_drop.clone(),
        cgroupns_mode: text(&isolation.cgroupns),
        dns: network.dns.clone(),
        dns_options: network.dns_option.clone(),
        dns_search: network.dns_search.clone(),
        extra_hosts,
        group_add: process.group_add.clone(),
        ipc_mode: text(&isolation.ipc),
        links: network.link.clone(),
        oom_score_adj: flags.resources.oom_score_adj.unwrap_or(0),
        pid_mode: text(&isolation.pid),
        privileged: isolation.privileged,
        publish_all_ports: network.publish_all,
        readonly_rootfs: storage.read_only,
        security_opt: security.options,
        storage_opt: pairs::map("storage-opt", &storage.storage_opt, false)?,
        tmpfs: mounts::tmpfs_map(&storage.tmpfs)?,
        uts_mode: text(&isolation.uts),
        userns_mode: text(&isolation.userns),
        shm_size: storage.shm_size.as_deref().map_or(Ok(0), |size| bytes("shm-size", size))?,
        sysctls: pairs::map("sysctl", &isolation.sysctl, false)?,
        runtime: text(&isolation.runtime),
        isolation: text(&isolation.isolation),
        resources: Resources {
            cgroup_parent: text(&isolation.cgroup_parent),
            ..resources::resources(&flags.resources)?
        },
        mounts: storage.mount.iter().map(|item| mounts::mount(item)).collect::<Result<_, _>>()?,
        masked_paths: security.bare_paths.then(Vec::new),
        readonly_paths: security.bare_paths.then(Vec::new),
        init: process.init.then_some(true),
        ..HostConfig::default()
    })
}

/// docker's annotations, and hull's own for what the API has no field for.
fn annotations(flags: &ContainerFlags) -> Result<BTreeMap<String, String>, Fault> {
    let mut out = pairs::map("annotation", &flags.life.annotation, false)?;
    if let Some(wish) = time(&flags.isolation)? {
        out.insert("hull.time".to_owned(), wish);
    }
    if let Some(word) = &flags.health.health_on_failure {
        out.insert("hull.health.on-failure".to_owned(), word.clone());
    }
    Ok(out)
}

/// `private,boottime=24h`.
fn time(isolation: &IsolationFlags) -> Result<Option<String>, Fault> {
    let mut wish = match isolation.time.as_deref() {
        None if isolation.time_offset.is_empty() => return Ok(None),
        None | Some("new" | "private") => "private".to_owned(),
        Some(other) if other.contains(',') => return Err(malformed("time", other, "it is host, new or container:X")),
        Some(other) => other.to_owned(),
    };
    for offset in &isolation.time_offset {
        let (clock, span) = offset.split_once('=').unwrap_or((offset, ""));
        if !matches!(clock, "monotonic" | "boottime") || span.parse::<GoDuration>().is_err() {
            return Err(malformed("time-offset", offset, "write it as monotonic=1h or boottime=-30m"));
        }
        wish.push_str(&format!(",{clock}={span}"));
    }
    Ok(Some(wish))
}

/// `host:ip` or `host=ip`, sent as `host:ip`.
fn extra_host(text: &str) -> Result<String, Fault> {
    let pair = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = pair.filter(|(name, address)| !name.is_empty() && !address.is_empty()) else {
        return Err(malformed("add-host", text, "write it as host:ip"));
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
        return Err(malformed("add-host", text, "the address is no IP address"));
    }
    Ok(format!("{name}:{address}"))
}

fn health(flags: &HealthFlags) -> Result<Option<HealthConfig>, Fault> {
    let nanos = |name: &str, value: &Option<String>| match value {
        None => Ok(0),
        Some(text) => match text.parse::<GoDuration>() {
            Ok(span) if span.nanos() >= 0 => Ok(span.nanos()),
            _ => Err(malformed(name, text, "it must be a duration such as 1m30s")),
        },
    };
    let config = HealthConfig {
        test: flags.health_cmd.iter().flat_map(|cmd| ["CMD-SHELL".to_owned(), cmd.clone()]).collect(),
        interval: nanos("health-interval", &flags.health_interval)?,
        timeout: nanos("health-timeout", &flags.health_timeout)?,
        start_period: nanos("health-start-period", &flags.health_start_period)?,
        start_interval: nanos("health-start-interval", &flags.health_start_interval)?,
        retries: flags.health_retries.unwrap_or(0),
    };
    if config.retries < 0 {
        return Err(malformed("health-retries", &config.retries.to_string(), "it must not be negative"));
    }
    let asked = config != HealthConfig::default();
    if flags.no_healthcheck {
        if asked || flags.health_on_failure.is_some() {
            return Err(Fault::invalid("`--no-healthcheck` excludes the `--health-*` flags"));
        }
        return Ok(Some(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() }));
    }
    Ok(asked.then_some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> ContainerFlags {
        let mut flags = ContainerFlags::default();
        flags.life.pull = "missing".into();
        flags.life.restart = "no".into();
        flags
    }

    #[test]
    fn the_request_carries_every_flag() {
        let mut f = flags();
        f.process.interactive = true;
        f.process.tty = true;
        f.process.entrypoint = Some(String::new());
        f.network.add_host = vec!["a=10.0.0.1".into(), "b:::1".into()];
        f.health.health_cmd = Some("true".into());
        f.life.label = vec!["x".into()];
        f.isolation.time_offset = vec!["boottime=24h".into()];
        f.isolation.security_opt = vec!["systempaths=unconfined".into()];
        let got = request(&f, "busybox", &["sh".into()], false).unwrap();
        assert!(got.config.stdin_once && got.config.attach_stdin && got.config.tty);
        assert_eq!(got.config.entrypoint, Some(vec![String::new()]));
        assert_eq!(got.config.cmd, Some(vec!["sh".into()]));
        assert_eq!(got.config.labels["x"], "");
        assert_eq!(got.host_config.extra_hosts, ["a:10.0.0.1", "b:::1"]);
        assert_eq!(got.host_config.annotations["hull.time"], "private,boottime=24h");
        assert_eq!(got.host_config.masked_paths, Some(vec![]));
        assert_eq!(got.config.healthcheck.unwrap().test, ["CMD-SHELL", "true"]);
    }

    #[test]
    fn contradictions_are_refused() {
        type Change = fn(&mut ContainerFlags);
        let table: [(Change, &str); 11] = [
            (|f| (f.life.rm, f.life.restart) = (true, "always".into()), "--restart"),
            (|f| (f.life.rm, f.life.restart) = (true, "sometimes".into()), "sometimes"),
            (|f| f.life.name = Some("a/b".into()), "name"),
            (|f| f.network.hostname = Some("bad host".into()), "--hostname"),
            (|f| f.resources.gpus = Some("all".into()), "--gpus"),
            (|f| f.isolation.runtime = Some("runc".into()), "--runtime runc"),
            (|f| f.life.pull = "x".into(), "--pull"),
            (|f| f.process.attach = vec!["out".into()], "--attach"),
            (|f| (f.health.no_healthcheck, f.health.health_retries) = (true, Some(1)), "--no-healthcheck"),
            (|f| f.life.stop_signal = Some("FROB".into()), "--stop-signal"),
            (|f| f.network.add_host = vec!["a:b".into()], "--add-host"),
        ];
        for (change, want) in table {
            let mut f = flags();
            change(&mut f);
            let fault = request(&f, "busybox", &[], false).expect_err(want);
            assert!(fault.summary.contains(want), "{fault}");
        }
        let mut f = flags();
        f.process.attach = vec!["stdout".into()];
        assert!(request(&f, "busybox", &[], true).is_err());
    }
}
