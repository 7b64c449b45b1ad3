//! `--pid`, `--ipc`, `--uts`, `--network`, `--cgroupns`, `--userns` and the time namespace.

use hull_launch::spec::{NamespaceWish, NamespaceWishes, Shm, TimeOffsets, Userns};
use hull_types::{Fault, GoDuration};
use hull_wire as wire;

use super::text::{bare, shown};
use super::{Context, host_config, userns};

/// docker has no option for clocks: an annotation asks for them.
pub(super) const TIME: &str = "hull.time";

/// The wish for each kind, and `/dev/shm`, which goes with the IPC namespace.
pub(super) fn wishes(
    context: &Context<'_>,
    config: &wire::ContainerConfig,
    host: &wire::HostConfig,
) -> Result<(NamespaceWishes, Shm), Fault> {
    let (time, time_offsets) = time(context, host)?;
    let wishes = NamespaceWishes {
        pid: mode(context, "PID", &host.pid_mode, &["private"])?,
        uts: mode(context, "UTS", &host.uts_mode, &["private"])?,
        ipc: mode(context, "IPC", &host.ipc_mode, &["private", "shareable", "none"])?,
        ipc_shareable: host.ipc_mode == "shareable",
        net: network(context, config, host)?,
        cgroup: mode(context, "cgroup namespace", &host.cgroupns_mode, &["private"])?,
        time,
        time_offsets,
        user: user(context, host)?,
    };
    conflicts(context, config, host, &wishes)?;
    let size = u64::try_from(host.shm_size).unwrap_or(0);
    let shm = match (&wishes.ipc, host.ipc_mode.as_str()) {
        (_, "none") => Shm::None,
        (NamespaceWish::New, _) if size == 0 => Shm::Own { size: host_config::SHM_SIZE },
        (NamespaceWish::New, _) => Shm::Own { size },
        (NamespaceWish::Host | NamespaceWish::Container(_), _) => Shm::Shared,
    };
    Ok((wishes, shm))
}

/// Empty and the words in `new` are a new namespace; `host` and `container:X` as they say.
fn mode(context: &Context<'_>, kind: &str, text: &str, new: &[&str]) -> Result<NamespaceWish, Fault> {
    if text.is_empty() || new.contains(&text) {
        return Ok(NamespaceWish::New);
    }
    if text == "host" {
        return Ok(NamespaceWish::Host);
    }
    match text.strip_prefix("container:") {
        Some(who) => other(context, kind, who).map(NamespaceWish::Container),
        None => Err(Fault::invalid(format!("invalid {kind} mode: {}", bare(text)))
            .hint("it is `host`, `container:<name or id>`, or left out for a new one")),
    }
}

fn other(context: &Context<'_>, kind: &str, who: &str) -> Result<String, Fault> {
    if who.is_empty() {
        return Err(Fault::invalid(format!("invalid {kind} mode: container name or ID expected after 'container:'")));
    }
    let (id, spec) = context.containers.container(who)?;
    // COMPAT(docker 28): only a container that said so shares its IPC namespace.
    if kind == "IPC" && !spec.namespaces.ipc_shareable && spec.namespaces.ipc == NamespaceWish::New {
        return Err(Fault::invalid(format!(
            "cannot join IPC namespace of container {}: non-shareable IPC",
            id.short()
        ))
        .hint("start that one with `--ipc shareable`"));
    }
    Ok(id.to_string())
}

/// A bridge network is a namespace of its own, which is then wired to it.
fn network(
    context: &Context<'_>,
    config: &wire::ContainerConfig,
    host: &wire::HostConfig,
) -> Result<NamespaceWish, Fault> {
    match host.network_mode.as_str() {
        _ if config.network_disabled => Ok(NamespaceWish::New),
        "" | "default" | "bridge" | "none" => Ok(NamespaceWish::New),
        "host" => Ok(NamespaceWish::Host),
        text => match text.strip_prefix("container:") {
            Some(who) => other(context, "network", who).map(NamespaceWish::Container),
            None => context.networks.network(text).map(|_| NamespaceWish::New),
        },
    }
}

fn user(context: &Context<'_>, host: &wire::HostConfig) -> Result<Userns, Fault> {
    match host.userns_mode.strip_prefix("container:") {
        Some(who) => {
            let id = other(context, "user namespace", who)?;
            let (_, spec) = context.containers.container(&id)?;
            // Standing in the namespace of one that has none of its own is standing in the host's.
            Ok(if spec.namespaces.user == Userns::Host { Userns::Host } else { Userns::Container(id) })
        }
        None => userns::parse(&host.userns_mode),
    }
}

/// `hull.time`: `host`, `private`, `container:X`, with `,monotonic=1h,boottime=2h` after `private`.
fn time(context: &Context<'_>, host: &wire::HostConfig) -> Result<(NamespaceWish, Option<TimeOffsets>), Fault> {
    let Some(text) = host.annotations.get(TIME) else {
        return Ok((NamespaceWish::Host, None));
    };
    let mut parts = text.split(',');
    let wish = mode(context, "time", parts.next().unwrap_or_default(), &["private"])?;
    let mut offsets = TimeOffsets::default();
    let mut given = false;
    for part in parts {
        let bad = || Fault::invalid(format!("invalid annotation `{TIME}`: {}", shown(part)));
        let (clock, offset) = part.split_once('=').ok_or_else(bad)?;
        let offset = offset.parse::<GoDuration>()?.nanos();
        match clock {
            "monotonic" => offsets.monotonic = offset,
            "boottime" => offsets.boottime = offset,
            _ => return Err(bad()),
        }
        given = true;
    }
    if given && wish != NamespaceWish::New {
        return Err(Fault::invalid(format!("annotation `{TIME}`: offsets need a time namespace of its own")));
    }
    Ok((wish, given.then_some(offsets)))
}

/// What cannot go together, in docker's words where it has them.
fn conflicts(
    context: &Context<'_>,
    config: &wire::ContainerConfig,
    host: &wire::HostConfig,
    wishes: &NamespaceWishes,
) -> Result<(), Fault> {
    let joins_network = matches!(wishes.net, NamespaceWish::Container(_));
    let shared_uts = wishes.uts != NamespaceWish::New;
    for (conflict, why) in [
        (shared_uts && !config.hostname.is_empty(), "hostname and the UTS mode"),
        (shared_uts && !config.domainname.is_empty(), "domainname and the UTS mode"),
        (joins_network && !config.hostname.is_empty(), "hostname and the network mode"),
        (joins_network && !host.dns.is_empty(), "dns and the network mode"),
        (joins_network && !host.extra_hosts.is_empty(), "custom host-to-IP mapping and the network mode"),
    ] {
        if conflict {
            return Err(Fault::invalid(format!("conflicting options: {why}")));
        }
    }
    users(context, host, wishes)
}

fn users(context: &Context<'_>, host: &wire::HostConfig, wishes: &NamespaceWishes) -> Result<(), Fault> {
    if wishes.user == Userns::Host {
        return Ok(());
    }
    if host.privileged {
        return Err(Fault::invalid("privileged mode is incompatible with user namespaces")
            .hint("use `--userns host` with `--privileged`"));
    }
    let same = |id: &str| wishes.user == Userns::Container(id.to_owned());
    // The file system of a pid namespace can only be mounted by its owner.
    if let NamespaceWish::Container(id) = &wishes.pid
        && !same(id)
        && context.containers.container(id).is_ok()
    {
        return Err(Fault::invalid(format!(
            "a container in a user namespace cannot join the PID namespace of {} outside it",
            &id[..12.min(id.len())]
        ))
        .hint("join its user namespace as well: `--userns container:X`"));
    }
    Ok(())
}
