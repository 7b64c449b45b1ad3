//! What may be made and used through a socket that may change what bears its label: nothing that reaches further than what
//! bears it. Whoever has such a socket is not root on the host, unlike whoever has one for everything.
//!
//! Of a container's `HostConfig` all is refused but what is listed here, so that a new field is refused until somebody has
//! thought about it.

use hull_engine::Engine;
use hull_types::Fault;
use hull_wire as wire;
use serde_json::Value;

use super::Call;
use super::label::Label;
use crate::http::{Body, Method};

/// Reaches no further than the container, whatever it is.
const FREE: [&str; 34] = [
    "Annotations",
    "AutoRemove",
    "BlkioWeight",
    "CapDrop",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "NanoCpus",
    "PidsLimit",
    "PortBindings",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "RestartPolicy",
    "ShmSize",
    "Tmpfs",
    "Ulimits",
    "Umask",
    // Looked at one by one.
    "Binds",
    "Mounts",
    "VolumesFrom",
];

/// `POST /containers/create`: the label is added, and what the container uses bears it.
pub(super) fn creation(label: &Label, engine: &Engine, call: &mut Call) -> Result<(), Fault> {
    let mut request: wire::ContainerCreateRequest = call.json()?;
    label.put_on(&mut request.config.labels)?;
    if let Some(name) = call.target.query.get("name") {
        label.name_is_free(engine, name)?;
    }
    if is_host(engine, &request.config.image) {
        return Err(refused("the machine's own files as an image"));
    }
    let host = &mut request.host_config;
    host_config(host)?;
    let log = &host.log_config;
    if !matches!(log.kind.as_str(), "json-file" | "local" | "none") && (!log.kind.is_empty() || !log.config.is_empty())
    {
        return Err(refused("a log driver that tells others, or options without a driver"));
    }
    if host.masked_paths.is_some() || host.readonly_paths.is_some() {
        return Err(refused("`MaskedPaths` or `ReadonlyPaths`"));
    }
    for bind in &host.binds {
        // Without a colon it is a volume without a name.
        bind.split_once(':').map_or(Ok(()), |(volume, _)| label.has_volume(engine, volume))?;
    }
    for mount in host.mounts.iter().filter(|mount| mount.kind == "volume" && !mount.source.is_empty()) {
        label.has_volume(engine, &mount.source)?;
    }
    for entry in &mut host.volumes_from {
        let (who, mode) = entry.split_once(':').map_or((&**entry, None), |(who, mode)| (who, Some(mode)));
        let other = label.container(engine, who).map_err(as_invalid)?;
        is_confined(engine, &other)?;
        *entry = mode.map_or_else(|| other.id.clone(), |mode| format!("{}:{mode}", other.id));
    }
    match host.network_mode.strip_prefix("container:") {
        Some(who) => {
            let other = label.container(engine, who).map_err(as_invalid)?;
            is_confined(engine, &other)?;
            host.network_mode = format!("container:{}", other.id);
        }
        None => label.has_network(engine, &host.network_mode)?,
    }
    for (name, end) in &request.networking_config.endpoints_config {
        label.has_network(engine, name)?;
        if end.as_ref().is_some_and(|end| !end.links.is_empty()) {
            return Err(refused("`Links`"));
        }
    }
    put(call, &request)
}

/// `POST /volumes/create`: the label is added; it shows nothing else than what is put into it.
pub(super) fn volume(label: &Label, engine: &Engine, call: &mut Call) -> Result<(), Fault> {
    let mut request: wire::VolumeCreateRequest = call.json()?;
    label.put_on(&mut request.labels)?;
    if !request.driver_opts.is_empty() {
        return Err(refused("a volume with `DriverOpts`"));
    }
    if !request.name.is_empty() && engine.volume_inspect(&request.name).is_ok_and(|found| !label.is_of(&found.labels)) {
        return Err(Fault::conflict("a volume of this name cannot be made through this socket: the name is taken"));
    }
    put(call, &request)
}

/// What is done in a container: only in one that could have been made here.
pub(super) fn inside(
    engine: &Engine,
    found: &wire::ContainerInspectResponse,
    call: &Call,
    verb: &[&str],
) -> Result<(), Fault> {
    match (call.head.method, verb) {
        (Method::Post, ["exec"]) => {
            if call.json::<wire::ExecConfig>()?.privileged {
                return Err(refused("`Privileged`"));
            }
            is_confined(engine, found)
        }
        (_, ["attach" | "archive" | "export", ..]) => is_confined(engine, found),
        _ => Ok(()),
    }
}

/// Whether a container that is there reaches no further than one that could be made here.
pub(super) fn is_confined(engine: &Engine, found: &wire::ContainerInspectResponse) -> Result<(), Fault> {
    let host = &found.host_config;
    let bare = |paths: &Option<Vec<String>>| paths.as_ref().is_none_or(Vec::is_empty);
    if is_host(engine, &found.image) || bare(&host.masked_paths) || bare(&host.readonly_paths) {
        return Err(refused("to go into a container without docker's confinement"));
    }
    if host.binds.iter().any(|bind| bind.starts_with('/') && bind.contains(':')) || host.network_mode == "host" {
        return Err(refused("to go into a container with directories or the network of the host"));
    }
    host_config(host)
}

/// What does not depend on what else is there.
fn host_config(host: &wire::HostConfig) -> Result<(), Fault> {
    let encode = |host: &wire::HostConfig| {
        serde_json::to_value(host).map_err(|error| Fault::internal("cannot look at the request").cause(error))
    };
    let (asked, usual) = (encode(host)?, encode(&wire::HostConfig::default())?);
    for (key, value) in asked.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let allowed = match key.as_str() {
            "IpcMode" => matches!(text, "" | "none" | "private" | "shareable"),
            "CgroupnsMode" => matches!(text, "" | "private"),
            "UsernsMode" => matches!(text, "" | "auto"),
            "NetworkMode" => text != "host",
            "Runtime" => matches!(text, "" | "hull" | "runc"),
            "SecurityOpt" => host.security_opt.iter().all(|option| is_no_new_privileges(option)),
            "LogConfig" | "MaskedPaths" | "ReadonlyPaths" => true,
            key => FREE.contains(&key) || usual.get(key) == Some(value) || is_nothing(value),
        };
        if !allowed {
            return Err(refused(&format!("`{key}`")));
        }
    }
    let kinds = host.mounts.iter().find(|mount| !matches!(mount.kind.as_str(), "volume" | "tmpfs"));
    if let Some(mount) = kinds {
        let kind: String = mount.kind.chars().take(32).flat_map(char::escape_debug).collect();
        return Err(refused(&format!("a mount of type `{kind}`")));
    }
    let driver =
        |mount: &wire::Mount| mount.volume_options.as_ref().is_some_and(|options| options.driver_config.is_some());
    if host.mounts.iter().any(driver) {
        return Err(refused("a volume with a `DriverConfig`"));
    }
    Ok(())
}

fn is_no_new_privileges(option: &str) -> bool {
    matches!(option, "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true")
}

/// As if it had not been said.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

/// Whether that is `hull/host`, whose files are this machine's.
fn is_host(engine: &Engine, image: &str) -> bool {
    engine.image_inspect(image).is_ok_and(|found| found.repo_tags.iter().any(|tag| tag == "hull/host:latest"))
}

fn put(call: &mut Call, request: &impl serde::Serialize) -> Result<(), Fault> {
    let body =
        serde_json::to_vec(request).map_err(|error| Fault::internal("cannot write the request anew").cause(error))?;
    call.body = Body::Whole(body.into());
    Ok(())
}

pub(super) fn refused(what: &str) -> Fault {
    let why = format!("this socket is limited to a label, and {what} would reach further: that is not allowed");
    Fault::new(hull_types::Kind::Forbidden, why)
}

/// COMPAT(docker 28): its CLI pulls the image when a creation answers 404.
fn as_invalid(fault: Fault) -> Fault {
    Fault { kind: hull_types::Kind::Invalid, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_further_than_the_container_is_refused() {
        let asked = |text: &str| host_config(&serde_json::from_str(text).expect(text));
        for fine in [
            "{}",
            r#"{"Memory": 1000000, "NetworkMode": "lan", "RestartPolicy": {"Name": "always"}, "Init": true}"#,
            r#"{"Binds": ["data:/d:ro"], "Mounts": [{"Type": "volume", "Target": "/x"}, {"Type": "tmpfs", "Target": "/t"}]}"#,
            r#"{"SecurityOpt": ["no-new-privileges"], "CapDrop": ["ALL"], "UsernsMode": "auto", "IpcMode": "private"}"#,
            // As docker's CLI sends it.
            r#"{"CapAdd": null, "Devices": [], "OomKillDisable": false, "MemorySwappiness": -1, "Privileged": false}"#,
        ] {
            assert_eq!(asked(fine), Ok(()), "{fine}");
        }
        for (further, named) in [
            (r#"{"Privileged": true}"#, "`Privileged`"),
            (r#"{"CapAdd": ["NET_ADMIN"]}"#, "`CapAdd`"),
            (r#"{"Devices": [{"PathOnHost": "/dev/sda"}]}"#, "`Devices`"),
            (r#"{"DeviceCgroupRules": ["a *:* rwm"]}"#, "`DeviceCgroupRules`"),
            (r#"{"PidMode": "host"}"#, "`PidMode`"),
            (r#"{"PidMode": "container:x"}"#, "`PidMode`"),
            (r#"{"IpcMode": "host"}"#, "`IpcMode`"),
            (r#"{"IpcMode": "container:x"}"#, "`IpcMode`"),
            (r#"{"UTSMode": "host"}"#, "`UTSMode`"),
            (r#"{"UsernsMode": "host"}"#, "`UsernsMode`"),
            (r#"{"CgroupnsMode": "host"}"#, "`CgroupnsMode`"),
            (r#"{"CgroupParent": "/x"}"#, "`CgroupParent`"),
            (r#"{"NetworkMode": "host"}"#, "`NetworkMode`"),
            (r#"{"SecurityOpt": ["seccomp=unconfined"]}"#, "`SecurityOpt`"),
            (r#"{"SecurityOpt": ["no-new-privileges=false"]}"#, "`SecurityOpt`"),
            (r#"{"Sysctls": {"net.ipv4.ip_forward": "1"}}"#, "`Sysctls`"),
            (r#"{"OomScoreAdj": -1000}"#, "`OomScoreAdj`"),
            (r#"{"Links": ["other:x"]}"#, "`Links`"),
            (r#"{"VolumeDriver": "x"}"#, "`VolumeDriver`"),
            (r#"{"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}"#, "type `bind`"),
            (r#"{"Mounts": [{"Type": "image", "Source": "i", "Target": "/x"}]}"#, "type `image`"),
            (
                r#"{"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind"}}}}]}"#,
                "`DriverConfig`",
            ),
        ] {
            let fault = asked(further).expect_err(further);
            assert!(fault.summary.contains(named), "{further}: {fault}");
        }
    }
}
