//! From a published view to docker's documents: `inspect` and `ps`.

use std::collections::BTreeMap;

use hull_launch::spec::{MountKind, MountWish, Propagation, Readonly};
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::health::Status;
use crate::container::record::State;
use crate::container::step::Phase;
use crate::container::{Container, View};
use crate::core::{Core, blocking};
use crate::networks::show;

/// `GET /containers/{id}/json`.
pub(crate) fn inspect(core: &Core, container: &Container, size: bool) -> Result<wire::ContainerInspectResponse, Fault> {
    let view = container.view();
    let definition = &view.definition;
    let dir = core.container_dir(&definition.id);
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let spec = &definition.spec;
    let mut argv = spec.process.argv.iter().cloned();
    let size_rw = if size { Some(used(core, &view)?) } else { None };
    Ok(wire::ContainerInspectResponse {
        id: definition.id.to_string(),
        created: definition.created,
        path: argv.next().unwrap_or_default(),
        args: argv.collect(),
        state: state(&view),
        image: definition.image.clone(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: if spec.log.keeps() { file("log") } else { String::new() },
        name: definition.name.slashed(),
        restart_count: view.state.restarts.into(),
        driver: "overlay2".into(),
        platform: "linux".into(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: spec.process.lsm.apparmor.clone().unwrap_or_default(),
        exec_ids: core.execs.of(&definition.id),
        host_config: definition.host_config.clone(),
        graph_driver: wire::GraphDriver { name: "overlay2".into(), data: BTreeMap::new() },
        size_rw,
        size_root_fs: size_rw.map(|own| own + image_size(core, &definition.image)),
        mounts: mounts(core, &spec.mounts),
        config: definition.config.clone(),
        network_settings: show::settings(&core.networks, &view),
    })
}

fn state(view: &View) -> wire::ContainerState {
    let state = &view.state;
    let running = state.phase.is_live() && state.phase != Phase::Starting;
    wire::ContainerState {
        status: state.phase.status().into(),
        // COMPAT(docker 28): a restarting container counts as running.
        running: running || state.phase == Phase::Backoff,
        paused: state.phase == Phase::Paused,
        restarting: state.phase == Phase::Backoff,
        oom_killed: state.oom_killed,
        dead: false,
        pid: if running { state.pid.into() } else { 0 },
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: state.started,
        finished_at: state.finished,
        health: state.health.as_ref().map(|health| health.shown()),
    }
}

/// `GET /containers/json`, one row.
pub(crate) fn summary(core: &Core, view: &View, size: bool) -> Result<wire::ContainerSummary, Fault> {
    let definition = &view.definition;
    let size_rw = if size { Some(used(core, view)?) } else { None };
    Ok(wire::ContainerSummary {
        id: definition.id.to_string(),
        names: vec![definition.name.slashed()],
        image: definition.config.image.clone(),
        image_id: definition.image.clone(),
        command: command(&definition.spec.process.argv),
        created: definition.created.secs(),
        ports: show::summary_ports(view),
        size_rw,
        size_root_fs: size_rw.map(|own| own + image_size(core, &definition.image)),
        labels: definition.config.labels.clone(),
        state: view.state.phase.status().into(),
        status: status_text(view, Timestamp::now()),
        host_config: wire::SummaryHostConfig {
            network_mode: definition.host_config.network_mode.clone(),
            annotations: definition.host_config.annotations.clone(),
        },
        network_settings: wire::SummaryNetworkSettings { networks: show::settings(&core.networks, view).networks },
        mounts: mounts(core, &definition.spec.mounts),
        health: Some(match &view.state.health {
            None => wire::SummaryHealth { status: "none".into(), failing_streak: 0 },
            Some(health) => {
                let shown = health.shown();
                wire::SummaryHealth { status: shown.status, failing_streak: shown.failing_streak }
            }
        }),
    })
}

/// COMPAT(docker 28): as `ps` shows it, arguments with blanks in quotes.
fn command(argv: &[String]) -> String {
    let mut words = argv.iter();
    let mut text = words.next().cloned().unwrap_or_default();
    for word in words {
        text.push(' ');
        match word.contains(' ') {
            true => text.extend(["'", word, "'"]),
            false => text.push_str(word),
        }
    }
    text
}

/// docker's human words: `Up 5 minutes`, `Exited (0) 3 hours ago`.
pub(crate) fn status_text(view: &View, now: Timestamp) -> String {
    let state = &view.state;
    let since = |then: Timestamp| human(now.nanos().saturating_sub(then.nanos()).max(0) / 1_000_000_000);
    match state.phase {
        Phase::Created | Phase::Starting => "Created".into(),
        Phase::Running | Phase::Stopping(_) => format!("Up {}{}", since(state.started), health_text(state)),
        Phase::Paused => format!("Up {} (Paused)", since(state.started)),
        Phase::Backoff => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished)),
        Phase::Exited if state.finished.is_never() => "Created".into(),
        Phase::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished)),
        Phase::Removing | Phase::Gone => "Removal In Progress".into(),
    }
}

fn health_text(state: &State) -> String {
    match state.health.as_ref().map(|health| health.status) {
        None => String::new(),
        Some(Status::Starting) => " (health: starting)".into(),
        Some(status) => format!(" ({})", status.word()),
    }
}

/// COMPAT(docker 28): go-units' HumanDuration.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

fn used(core: &Core, view: &View) -> Result<i64, Fault> {
    let slot = view.definition.id.to_string();
    let bytes = blocking(|| core.parts.snapshots.usage(&slot))?;
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn image_size(core: &Core, id: &str) -> i64 {
    let image = id.parse().ok().and_then(|id| core.images.get(&id));
    image.map_or(0, |image| i64::try_from(image.size).unwrap_or(i64::MAX))
}

fn mounts(core: &Core, wishes: &[MountWish]) -> Vec<wire::MountPoint> {
    wishes.iter().map(|wish| mount(core, wish)).collect()
}

fn mount(core: &Core, wish: &MountWish) -> wire::MountPoint {
    let destination = wish.target.to_string_lossy().into_owned();
    match &wish.kind {
        MountKind::Bind { source, readonly, propagation, .. } => wire::MountPoint {
            kind: "bind".into(),
            source: source.to_string_lossy().into_owned(),
            destination,
            mode: if *readonly == Readonly::No { String::new() } else { "ro".into() },
            rw: *readonly == Readonly::No,
            propagation: propagation_word(*propagation).into(),
            ..Default::default()
        },
        MountKind::Volume { name, anonymous, readonly, .. } => wire::MountPoint {
            kind: "volume".into(),
            name: name.clone(),
            source: core.parts.volumes.mountpoint(name).to_string_lossy().into_owned(),
            destination,
            driver: "local".into(),
            mode: match readonly {
                Readonly::No if *anonymous => String::new(),
                Readonly::No => "z".into(),
                _ => "ro".into(),
            },
            rw: *readonly == Readonly::No,
            ..Default::default()
        },
        MountKind::Image { reference, .. } => wire::MountPoint {
            kind: "image".into(),
            name: reference.clone(),
            destination,
            rw: false,
            propagation: "rprivate".into(),
            ..Default::default()
        },
        MountKind::Tmpfs { .. } => {
            wire::MountPoint { kind: "tmpfs".into(), destination, rw: true, ..Default::default() }
        }
    }
}

fn propagation_word(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "private",
        Propagation::RPrivate => "rprivate",
        Propagation::Shared => "shared",
        Propagation::RShared => "rshared",
        Propagation::Slave => "slave",
        Propagation::RSlave => "rslave",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (172_800, "2 days"),
            (86_400 * 14, "2 weeks"),
            (86_400 * 60, "2 months"),
            (86_400 * 365 * 2, "2 years"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }
}
