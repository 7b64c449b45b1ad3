//! Whole requests: what is admitted, and that no field is silently ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hull_cgroup::Host;
use hull_confine::caps::CapSet;
use hull_confine::lsm::Active;
use hull_image::{ImageConfig, RunConfig};
use hull_launch::spec::{MountKind, NamespaceWish, Readonly, Shm, Spec, Userns};
use hull_network::Definition;
use hull_types::{ContainerId, Fault, Kind};
use hull_wire as wire;
use serde_json::{Value, json};

use super::{Admitted, Context, Lookup, create};
use crate::networks::plan::Find;
use crate::prepare::HostFacts;

/// One other container, named `other`.
struct Others(ContainerId, Arc<Spec>);

impl Lookup for Others {
    fn container(&self, who: &str) -> Result<(ContainerId, Arc<Spec>), Fault> {
        if who == "other" || who == self.0.as_str() {
            return Ok((self.0, Arc::clone(&self.1)));
        }
        Err(Fault::not_found(format!("No such container: {who}")))
    }
}

/// Only the default network.
struct NoNetworks;

impl Find for NoNetworks {
    fn network(&self, who: &str) -> Result<Arc<Definition>, Fault> {
        if who != "bridge" && who != "b1" {
            return Err(Fault::not_found(format!("network {who} not found")));
        }
        let net: hull_network::Net = "172.17.0.0/16".parse().expect("a network");
        let gateway = hull_network::ipam::first(net);
        let subnet = hull_network::Subnet { net, gateway, range: None, reserved: BTreeMap::new() };
        Ok(Arc::new(Definition { subnets: vec![subnet], ..Definition::bridge("b1", "bridge", "br0") }))
    }

    fn hears_loopback6(&self) -> bool {
        true
    }
}

fn facts() -> HostFacts {
    HostFacts {
        capabilities: CapSet::KNOWN,
        lsm: Active::default(),
        apparmor_default: None,
        selinux_label: String::new(),
        hostname: "machine".into(),
        release: "6.1.0".into(),
        cpus: "0".into(),
        open_files: 4096,
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        config: RunConfig {
            cmd: vec!["sh".into()],
            env: vec!["A=image".into()],
            exposed_ports: BTreeMap::from([("9/tcp".into(), Default::default())]),
            ..RunConfig::default()
        },
        ..ImageConfig::default()
    }
}

/// Admits a request given as JSON beside a container that shares its IPC namespace.
fn admit(request: Value) -> Result<Admitted, Fault> {
    let host = facts();
    let cgroups = Host::detect().expect("a cgroup file system");
    let none = Others(ContainerId::new_random(), Arc::new(crate::prepare::plain_spec()));
    let context = Context { host: &host, cgroups: &cgroups, containers: &none, networks: &NoNetworks };
    let sharing = wire::decode::<wire::ContainerCreateRequest>(
        json!({"Image": "x", "HostConfig": {"IpcMode": "shareable", "Binds": ["theirs:/theirs"], "UsernsMode": "auto"}})
            .to_string()
            .as_bytes(),
    )?;
    let other = create(&context, &none.0, &image(), &sharing)?;
    let others = Others(none.0, Arc::new(other.spec));
    let context = Context { containers: &others, ..context };
    let request = wire::decode(request.to_string().as_bytes())?;
    create(&context, &ContainerId::new_random(), &image(), &request)
}

fn host(fields: Value) -> Result<Admitted, Fault> {
    admit(json!({"Image": "x", "HostConfig": fields}))
}

#[test]
fn a_plain_request_gets_dockers_defaults() {
    let admitted = admit(json!({"Image": "x"})).unwrap();
    let spec = &admitted.spec;
    assert_eq!(spec.process.argv, ["sh"]);
    assert_eq!(spec.process.capabilities, hull_confine::caps::DEFAULT.0);
    assert_eq!(spec.shm, Shm::Own { size: 64 << 20 });
    assert_eq!(spec.namespaces, Default::default());
    assert_eq!((spec.stop.signal, spec.stop.timeout), (15, 10));
    assert_eq!(spec.hostname.len(), 12);
    assert!(spec.process.env.contains(&format!("HOSTNAME={}", spec.hostname)));
    assert!(spec.process.env.iter().any(|pair| pair.starts_with("PATH=/usr/local/sbin:")));
    let host = &admitted.host_config;
    assert_eq!((host.network_mode.as_str(), host.restart_policy.name.as_str()), ("bridge", "no"));
    assert_eq!((host.shm_size, host.log_config.kind.as_str()), (64 << 20, "json-file"));
    assert!(host.masked_paths.as_ref().unwrap().contains(&"/proc/kcore".to_owned()));
}

#[test]
fn a_stored_spec_reads_back_as_it_was() {
    let admitted = host(json!({"Memory": 64 << 20, "Binds": ["vv:/v", "/etc:/e:ro"], "UsernsMode": "auto"})).unwrap();
    let text = serde_json::to_string(&admitted.spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), admitted.spec);
}

/// A value of each field of `HostConfig` that is not its default.
fn samples() -> BTreeMap<&'static str, Value> {
    let rate = || json!([{"Path": "/dev/null", "Rate": 5}]);
    BTreeMap::from([
        ("Annotations", json!({"hull.time": "private"})),
        ("AutoRemove", json!(true)),
        ("Binds", json!(["vv:/v"])),
        ("BlkioDeviceReadBps", rate()),
        ("BlkioDeviceReadIOps", rate()),
        ("BlkioDeviceWriteBps", rate()),
        ("BlkioDeviceWriteIOps", rate()),
        ("BlkioWeight", json!(5)),
        ("BlkioWeightDevice", json!([{"Path": "/dev/null", "Weight": 5}])),
        ("CapAdd", json!(["NET_ADMIN"])),
        ("CapDrop", json!(["CHOWN"])),
        ("Cgroup", json!("x")),
        ("CgroupParent", json!("/x")),
        ("CgroupnsMode", json!("host")),
        ("ConsoleSize", json!([5, 5])),
        ("ContainerIDFile", json!("/x")),
        ("CpuCount", json!(1)),
        ("CpuPercent", json!(1)),
        ("CpuPeriod", json!(50_000)),
        ("CpuQuota", json!(50_000)),
        ("CpuRealtimePeriod", json!(-1)),
        ("CpuRealtimeRuntime", json!(1)),
        ("CpuShares", json!(512)),
        ("CpusetCpus", json!("0")),
        ("CpusetMems", json!("0")),
        ("DeviceCgroupRules", json!(["c 1:3 r"])),
        ("DeviceRequests", json!([{"Driver": "x"}])),
        ("Devices", json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}])),
        ("Dns", json!(["1.1.1.1"])),
        ("DnsOptions", json!(["ndots:1"])),
        ("DnsSearch", json!(["x"])),
        ("ExtraHosts", json!(["x:1.1.1.1"])),
        ("GroupAdd", json!(["5"])),
        ("IOMaximumBandwidth", json!(1)),
        ("IOMaximumIOps", json!(1)),
        ("Init", json!(true)),
        ("IpcMode", json!("host")),
        ("Isolation", json!("hyperv")),
        ("KernelMemory", json!(1)),
        ("KernelMemoryTCP", json!(1)),
        ("Links", json!(["a:b"])),
        ("LogConfig", json!({"Type": "local"})),
        ("MaskedPaths", json!(["/proc/x"])),
        ("Memory", json!(64 << 20)),
        ("MemoryReservation", json!(64 << 20)),
        ("MemorySwap", json!(1)),
        ("MemorySwappiness", json!(200)),
        ("Mounts", json!([{"Type": "tmpfs", "Target": "/t"}])),
        ("NanoCpus", json!(500_000_000)),
        ("NetworkMode", json!("host")),
        ("OomKillDisable", json!(true)),
        ("OomScoreAdj", json!(5)),
        ("PidMode", json!("host")),
        ("PidsLimit", json!(5)),
        ("PortBindings", json!({"80/tcp": [{"HostPort": "80"}]})),
        ("Privileged", json!(true)),
        ("PublishAllPorts", json!(true)),
        ("ReadonlyPaths", json!(["/proc/x"])),
        ("ReadonlyRootfs", json!(true)),
        ("RestartPolicy", json!({"Name": "always"})),
        ("Runtime", json!("runc")),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("ShmSize", json!(5)),
        ("StorageOpt", json!({"size": "1G"})),
        ("Sysctls", json!({"net.core.somaxconn": "5"})),
        ("Tmpfs", json!({"/t": ""})),
        ("UTSMode", json!("host")),
        ("Umask", json!(0o077)),
        ("Ulimits", json!([{"Name": "nofile", "Soft": 5, "Hard": 5}])),
        ("UsernsMode", json!("auto")),
        ("VolumeDriver", json!("nfs")),
        ("VolumesFrom", json!(["other"])),
    ])
}

/// Fields that the engine reads from the stored request, or that only clients use.
const RECORDED: [&str; 4] = ["AutoRemove", "ConsoleSize", "ContainerIDFile", "RestartPolicy"];
/// Refused or discarded with a sentence in docker's own words, which do not bear the field's name.
const DOCKERS_WORDS: [&str; 12] = [
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CpuRealtimeRuntime",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "CpusetMems",
    "CpusetCpus",
];

#[test]
fn no_field_of_host_config_is_silently_ignored() {
    let all = serde_json::to_value(wire::HostConfig {
        annotations: BTreeMap::from([("a".into(), "b".into())]),
        storage_opt: BTreeMap::from([("a".into(), "b".into())]),
        tmpfs: BTreeMap::from([("a".into(), "b".into())]),
        sysctls: BTreeMap::from([("a".into(), "b".into())]),
        runtime: "x".into(),
        mounts: vec![wire::Mount::default()],
        init: Some(true),
        umask: Some(0),
        resources: wire::Resources { kernel_memory: 1, kernel_memory_tcp: 1, ..Default::default() },
        ..Default::default()
    })
    .unwrap();
    let samples = samples();
    // Sorted: the order of a JSON object's keys depends on features of the whole build.
    let fields: BTreeSet<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, samples.keys().copied().collect::<BTreeSet<_>>(), "a sample for each field");
    let normal = |mut spec: Spec| {
        spec.hostname.clear();
        spec.process.env.clear();
        spec
    };
    let plain = host(json!({})).unwrap();
    let (plain, no_ports) = (normal(plain.spec), plain.network);
    for (field, value) in samples {
        match host(json!({field: value})) {
            Ok(admitted) => {
                let honoured = normal(admitted.spec) != plain
                    || admitted.network != no_ports
                    || RECORDED.contains(&field)
                    || (DOCKERS_WORDS.contains(&field) && !admitted.warnings.is_empty());
                assert!(honoured, "{field} changes nothing");
            }
            Err(fault) => {
                let named = fault.summary.contains(field) || DOCKERS_WORDS.contains(&field);
                assert!(named, "{field} is refused without its name: {fault}");
                assert_ne!(fault.kind, Kind::Internal, "{fault}");
            }
        }
    }
}

#[test]
fn malformed_requests_are_refused_in_one_sentence() {
    let huge = "x".repeat(1 << 20);
    let rows: Vec<Value> = vec![
        json!({"Hostname": huge}),
        json!({"Hostname": "a\nb"}),
        json!({"Domainname": "a\0"}),
        json!({"User": huge}),
        json!({"User": "a\tb"}),
        json!({"WorkingDir": "relative"}),
        json!({"WorkingDir": format!("/{huge}")}),
        json!({"Env": ["=x"]}),
        json!({"Env": [huge]}),
        json!({"Cmd": ["a\0b"]}),
        json!({"StopSignal": "SIGNOPE"}),
        json!({"StopTimeout": -5}),
        json!({"ExposedPorts": {"x": {}}}),
        json!({"Volumes": {"/": {}}}),
        json!({"Volumes": {"relative": {}}}),
        json!({"MacAddress": "02:42:ac:11:00"}),
        json!({"MacAddress": "03:42:ac:11:00:02"}),
        json!({"Healthcheck": {"Test": ["CMD"]}}),
        json!({"Healthcheck": {"Test": ["true"]}}),
        json!({"Healthcheck": {"Interval": 5}}),
        json!({"HostConfig": {"Annotations": {"hull.health.on-failure": "kill"}}}),
        json!({"NetworkingConfig": {"EndpointsConfig": {"mynet": {}}}}),
        json!({"NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["a"]}}}}),
        json!({"HostConfig": {"Memory": 1000}}),
        json!({"HostConfig": {"Memory": -5}}),
        json!({"HostConfig": {"CpuShares": -1}}),
        json!({"HostConfig": {"CapAdd": ["NOPE"]}}),
        json!({"HostConfig": {"NetworkMode": "mynet"}}),
        json!({"HostConfig": {"NetworkMode": "container:nobody"}}),
        json!({"HostConfig": {"NetworkMode": "container:"}}),
        json!({"HostConfig": {"PidMode": "x"}}),
        json!({"HostConfig": {"UTSMode": "host"}, "Hostname": "h"}),
        json!({"HostConfig": {"NetworkMode": "container:other"}, "Hostname": "h"}),
        json!({"HostConfig": {"NetworkMode": "container:other", "Dns": ["1.1.1.1"]}}),
        json!({"HostConfig": {"Privileged": true, "UsernsMode": "auto"}}),
        json!({"HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}}}),
        json!({"HostConfig": {"Binds": ["/a:/x", "/b:/x"]}}),
        json!({"HostConfig": {"Binds": ["/a:/x:idmap"]}}),
        json!({"HostConfig": {"Tmpfs": {"/x": "bogus"}}}),
        json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nonexistent", "Target": "/x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "bogus", "Target": "/x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Source": "/x", "Target": "/x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "volume", "Source": "ab", "Target": "x"}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "../x"}}]}}),
        json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/x", "BindOptions": {"ReadOnlyForceRecursive": true}}]}}),
        json!({"HostConfig": {"SecurityOpt": ["seccomp=/etc/profile.json"]}}),
        json!({"HostConfig": {"SecurityOpt": ["apparmor=mine"]}}),
        json!({"HostConfig": {"SecurityOpt": ["seccomp={"]}}),
        json!({"HostConfig": {"Sysctls": {"kernel.panic": "1"}}}),
        json!({"HostConfig": {"Sysctls": {"net.core.somaxconn": "1"}, "NetworkMode": "host"}}),
        json!({"HostConfig": {"Devices": [{"PathOnHost": "/dev/nonexistent"}]}}),
        json!({"HostConfig": {"Ulimits": [{"Name": "nope", "Soft": 1, "Hard": 1}]}}),
        json!({"HostConfig": {"Annotations": {"hull.tim": "private"}}}),
        json!({"HostConfig": {"Annotations": {"hull.time": "host,monotonic=1s"}}}),
        json!({"HostConfig": {"LogConfig": {"Type": "gelf"}}}),
        json!({"HostConfig": {"IpcMode": "container:nobody"}}),
    ];
    for mut request in rows {
        request["Image"] = json!("x");
        let shown: String = request.to_string().chars().take(200).collect();
        let fault = admit(request).expect_err(&shown);
        assert!(!matches!(fault.kind, Kind::Internal), "{shown}: {fault}");
        assert!(fault.summary.len() < 500 && !fault.summary.contains(char::is_control), "{shown}: {fault}");
    }
}

#[test]
fn namespaces_as_asked() {
    let spec = |fields: Value| host(fields).unwrap().spec;
    let joined =
        spec(json!({"PidMode": "container:other", "IpcMode": "container:other", "UsernsMode": "container:other",
        "NetworkMode": "container:other", "UTSMode": "container:other", "CgroupnsMode": "container:other"}));
    let wish = &joined.namespaces;
    for one in [&wish.pid, &wish.ipc, &wish.net, &wish.uts, &wish.cgroup] {
        assert!(matches!(one, NamespaceWish::Container(_)), "{wish:?}");
    }
    assert!(matches!(wish.user, Userns::Container(_)));
    assert_eq!(joined.shm, Shm::Shared);
    assert_eq!(spec(json!({"IpcMode": "none"})).shm, Shm::None);
    assert_eq!(spec(json!({"NetworkMode": "host"})).hostname, "machine");
    for none in ["", "default", "bridge", "none"] {
        assert_eq!(spec(json!({"NetworkMode": none})).namespaces.net, NamespaceWish::New, "{none}");
    }
}

#[test]
fn mounts_of_all_kinds_and_their_volumes() {
    let admitted = admit(json!({
        "Image": "x",
        "Volumes": {"/anon": {}, "/named": {}},
        "HostConfig": {
            "Binds": ["named:/named:nocopy", "/etc:/etc2:ro"],
            "Mounts": [{"Type": "volume", "Source": "labelled", "Target": "/l", "ReadOnly": true,
                        "VolumeOptions": {"Labels": {"a": "b"}}}],
            "VolumesFrom": ["other:ro"],
            "Tmpfs": {"/t": "size=1m"}
        }
    }))
    .unwrap();
    let at = |path: &str| {
        let mounts = &admitted.spec.mounts;
        &mounts.iter().find(|mount| mount.target == std::path::Path::new(path)).expect(path).kind
    };
    assert!(matches!(at("/named"), MountKind::Volume { nocopy: true, anonymous: false, .. }));
    assert!(matches!(at("/anon"), MountKind::Volume { anonymous: true, name, .. } if name.len() == 64));
    assert!(matches!(at("/etc2"), MountKind::Bind { readonly: Readonly::Tree, create: true, .. }));
    assert!(matches!(at("/theirs"), MountKind::Volume { readonly: Readonly::Tree, anonymous: false, .. }));
    assert!(matches!(at("/t"), MountKind::Tmpfs { .. }));
    let labelled = admitted.volumes.iter().find(|volume| volume.name == "labelled").unwrap();
    assert_eq!(labelled.labels["a"], "b");
    let mut names: Vec<(&str, bool)> =
        admitted.volumes.iter().map(|volume| (volume.name.as_str(), volume.anonymous)).collect();
    names.sort_by_key(|(_, anonymous)| *anonymous);
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[2].1);
}

#[test]
fn a_privileged_container_is_not_confined() {
    let spec = host(json!({"Privileged": true})).unwrap().spec;
    assert!(spec.masked_paths.is_empty() && spec.readonly_paths.is_empty());
    assert_eq!(spec.process.seccomp, hull_launch::spec::SeccompWish::Unconfined);
    assert_eq!(spec.process.capabilities, CapSet::KNOWN.0);
}

#[test]
fn an_exec_inherits_what_it_does_not_change() {
    let host_facts = facts();
    let cgroups = Host::detect().expect("a cgroup file system");
    let admitted =
        admit(json!({"Image": "x", "User": "1:2", "WorkingDir": "/w", "HostConfig": {"CapDrop": ["ALL"]}})).unwrap();
    let others = Others(ContainerId::new_random(), Arc::new(admitted.spec.clone()));
    let context = Context { host: &host_facts, cgroups: &cgroups, containers: &others, networks: &NoNetworks };
    let ask = |fields: Value| {
        let config = wire::decode::<wire::ExecConfig>(fields.to_string().as_bytes())?;
        super::exec(&context, &admitted.spec, &config)
    };
    let plain = ask(json!({"Cmd": ["ls"]})).unwrap().process;
    assert_eq!((plain.user.as_str(), plain.capabilities), ("1:2", 0));
    assert_eq!(plain.cwd, std::path::Path::new("/w"));
    assert!(plain.env.contains(&"A=image".to_owned()));
    let other = ask(
        json!({"Cmd": ["ls"], "User": "0", "WorkingDir": "/x", "Env": ["A=exec"], "Tty": true, "Privileged": true}),
    );
    let other = other.unwrap().process;
    assert_eq!((other.user.as_str(), other.capabilities), ("0", CapSet::KNOWN.0));
    assert!(other.env.contains(&"A=exec".to_owned()) && other.env.contains(&"TERM=xterm".to_owned()));
    for bad in [
        json!({}),
        json!({"Cmd": ["ls"], "WorkingDir": "x"}),
        json!({"Cmd": ["ls"], "Env": [""]}),
        json!({"Cmd": ["a\0"]}),
    ] {
        assert!(ask(bad.clone()).is_err(), "{bad}");
    }
}
