//! What the engine says of itself and of its host: `info` and `version`.

use std::collections::BTreeMap;

use hull_types::{Platform, Timestamp};
use hull_wire as wire;

use crate::container::step::Phase;
use crate::core::Core;

/// `GET /info`.
pub(crate) fn info(core: &Core) -> wire::SystemInfo {
    let (mut running, mut paused, mut stopped) = (0, 0, 0);
    for container in core.registry.all() {
        match container.view().state.phase {
            Phase::Paused => paused += 1,
            Phase::Running | Phase::Stopping(_) | Phase::Backoff => running += 1,
            _ => stopped += 1,
        }
    }
    let support = core.parts.cgroups.support();
    let settings = core.settings.now();
    let uname = rustix::system::uname();
    let text = |bytes: &std::ffi::CStr| bytes.to_string_lossy().into_owned();
    let release = os_release();
    let (cgroup_driver, cgroup_version) = cgroups(core);
    wire::SystemInfo {
        id: core.facts.instance.clone(),
        containers: running + paused + stopped,
        containers_running: running,
        containers_paused: paused,
        containers_stopped: stopped,
        images: i64::try_from(core.images.list().len()).unwrap_or(0),
        driver: "overlay2".into(),
        driver_status: vec![["Pools".into(), if core.facts.pools { "on" } else { "off" }.into()]],
        plugins: wire::PluginsInfo {
            volume: vec!["local".into()],
            network: ["bridge", "host", "ipvlan", "macvlan", "null"].map(String::from).into(),
            authorization: Vec::new(),
            log: ["journald", "json-file", "local", "none", "syslog"].map(String::from).into(),
        },
        memory_limit: support.memory_limit,
        swap_limit: support.swap_limit,
        cpu_cfs_period: support.cpu_cfs,
        cpu_cfs_quota: support.cpu_cfs,
        cpu_shares: support.cpu_shares,
        cpu_set: support.cpuset,
        pids_limit: support.pids,
        ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward") == "1",
        n_fd: i64::try_from(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)).unwrap_or(0),
        oom_kill_disable: support.oom_kill_disable,
        system_time: Timestamp::now().to_string(),
        logging_driver: if settings.log_driver.is_empty() { "json-file".into() } else { settings.log_driver.clone() },
        debug: settings.debug,
        labels: settings.labels.clone(),
        experimental_build: settings.experimental,
        registry_config: Some(core.transfers.shown()),
        index_server_address: "https://index.docker.io/v1/".into(),
        http_proxy: proxy("http_proxy"),
        https_proxy: proxy("https_proxy"),
        no_proxy: proxy("no_proxy"),
        cgroup_driver,
        cgroup_version,
        n_events_listener: i64::try_from(core.events.listeners()).unwrap_or(0),
        kernel_version: text(uname.release()),
        operating_system: release.get("PRETTY_NAME").cloned().unwrap_or_else(|| "Linux".into()),
        os_version: release.get("VERSION_ID").cloned().unwrap_or_default(),
        os_type: "linux".into(),
        architecture: text(uname.machine()),
        ncpu: i64::try_from(support.cpu_count).unwrap_or(1),
        mem_total: memory_total(),
        docker_root_dir: core.facts.root.to_string_lossy().into_owned(),
        name: text(uname.nodename()),
        server_version: core.facts.version.clone(),
        runtimes: BTreeMap::from([("hull".to_owned(), wire::Runtime::default())]),
        default_runtime: "hull".into(),
        swarm: wire::SwarmInfo { local_node_state: "inactive".into(), ..Default::default() },
        live_restore_enabled: settings.stop_containers.is_none(),
        firewall_backend: Some(wire::FirewallInfo { driver: "nftables".into(), info: Vec::new() }),
        security_options: security(core),
        warnings: warnings(core),
        ..Default::default()
    }
}

/// What the registries' client goes by; a password in it is not shown.
fn proxy(name: &str) -> String {
    let value = std::env::var(name.to_uppercase()).or_else(|_| std::env::var(name)).unwrap_or_default();
    match (value.split_once("://"), value.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://xxxxx:xxxxx@{host}"),
        _ => value,
    }
}

fn cgroups(core: &Core) -> (String, String) {
    let delegated = core.parts.cgroups.is_delegated();
    let version = match core.parts.cgroups.version() {
        hull_cgroup::Version::V2 => "2",
        _ => "1",
    };
    (if delegated { "systemd" } else { "cgroupfs" }.into(), version.into())
}

fn security(core: &Core) -> Vec<String> {
    let mut options = vec!["name=seccomp,profile=builtin".to_owned()];
    let lsm = &core.parts.host.lsm;
    if lsm.apparmor {
        options.push("name=apparmor".into());
    }
    if lsm.selinux {
        options.push("name=selinux".into());
    }
    if core.parts.cgroups.version() == hull_cgroup::Version::V2 {
        options.push("name=cgroupns".into());
    }
    options
}

fn warnings(core: &Core) -> Vec<String> {
    let support = core.parts.cgroups.support();
    let mut warnings = Vec::new();
    let missing = [
        (support.memory_limit, "memory limit"),
        (support.swap_limit, "swap limit"),
        (support.cpu_cfs, "CPU quota"),
        (support.cpu_shares, "CPU shares"),
        (support.cpuset, "cpuset"),
        (support.pids, "pids limit"),
        (support.blkio_rates, "block I/O rates"),
    ];
    warnings.extend(missing.iter().filter(|(there, _)| !there).map(|(_, what)| format!("WARNING: No {what} support")));
    if core.keeper.is_gone() {
        warnings.push("WARNING: the keeper is gone: nothing can be started until the engine is restarted".into());
    }
    warnings
}

/// `GET /version`.
pub(crate) fn version(core: &Core) -> wire::SystemVersion {
    let dotted = |(major, minor): (u16, u16)| format!("{major}.{minor}");
    let host = Platform::host();
    let facts = &core.facts;
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut details = BTreeMap::from([
        ("ApiVersion".to_owned(), dotted(wire::API_VERSION)),
        ("MinAPIVersion".to_owned(), dotted(wire::MIN_API_VERSION)),
        ("Arch".to_owned(), host.architecture.clone()),
        ("Os".to_owned(), host.os.clone()),
        ("KernelVersion".to_owned(), kernel.clone()),
    ]);
    if !facts.commit.is_empty() {
        details.insert("GitCommit".into(), facts.commit.clone());
    }
    wire::SystemVersion {
        platform: wire::VersionPlatform { name: "hull".into() },
        components: vec![wire::Component { name: "Engine".into(), version: facts.version.clone(), details }],
        version: facts.version.clone(),
        api_version: dotted(wire::API_VERSION),
        min_api_version: dotted(wire::MIN_API_VERSION),
        git_commit: facts.commit.clone(),
        go_version: String::new(),
        os: host.os,
        arch: host.architecture,
        kernel_version: kernel,
        experimental: core.settings.now().experimental,
        build_time: facts.built.clone(),
    }
}

fn os_release() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect()
}

fn memory_total() -> i64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the field is an `unsigned long`, whose width differs")]
    let bytes = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit));
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
