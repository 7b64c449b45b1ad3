//! A container that does not run: what was asked for. The kernel has nothing of it, so that every `Now` is empty; its layers
//! and its changes lie on the disk.

use hull_confine::caps::CapSet;
use hull_launch::spec::SeccompWish;
use hull_types::Fault;
use hull_wire as wire;

use super::{confinement, fact, limits, namespaces, process, rootfs};
use crate::container::View;
use crate::core::Core;
use crate::files;

pub(super) fn explain(core: &Core, view: &View, syscalls: &[String]) -> Result<wire::Explanation, Fault> {
    Ok(wire::Explanation {
        id: view.definition.id.to_string(),
        name: view.name().to_string(),
        image: view.definition.config.image.clone(),
        status: view.state.phase.status().into(),
        process: wire::ExplainedProcess { facts: process::facts(view, process::Now::default()), ..Default::default() },
        namespaces: namespaces::asked_for(view),
        limits: wire::ExplainedLimits { limits: limits::asked_for(core, view), ..Default::default() },
        root_filesystem: root(core, view),
        confinement: rights(core, view, syscalls)?,
        network: network(view),
    })
}

fn root(core: &Core, view: &View) -> wire::ExplainedRoot {
    let spec = &view.definition.spec;
    let changes = files::changes_of(core, view).unwrap_or_default();
    let texts = |paths: &[std::path::PathBuf]| paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mount =
        |wish| wire::ExplainedMount { target: wish_target(wish), by: rootfs::wished(wish), ..Default::default() };
    wire::ExplainedRoot {
        layers: rootfs::layers(core, view),
        changed: i64::try_from(changes.len()).unwrap_or(i64::MAX),
        changes: rootfs::words(&changes),
        mounts: spec.mounts.iter().map(mount).collect(),
        masked: texts(&spec.masked_paths),
        read_only: texts(&spec.readonly_paths),
    }
}

fn wish_target(wish: &hull_launch::spec::MountWish) -> String {
    wish.target.to_string_lossy().into_owned()
}

fn rights(core: &Core, view: &View, syscalls: &[String]) -> Result<wire::ExplainedConfinement, Fault> {
    let process = &view.definition.spec.process;
    let set = CapSet(process.capabilities);
    let names = |set: CapSet| set.names().map(str::to_owned).collect();
    let filtered = process.seccomp != SeccompWish::Unconfined;
    Ok(wire::ExplainedConfinement {
        kept: names(set),
        dropped: names(core.parts.host.capabilities.without(set)),
        effective: Vec::new(),
        by: confinement::cause_of_capabilities(view),
        facts: confinement::asked_for(view),
        syscalls: confinement::verdicts(core, process, filtered, syscalls)?,
    })
}

fn network(view: &View) -> wire::ExplainedNetwork {
    let plan = &view.definition.network;
    let interfaces = plan.endpoints.iter().map(|wish| wire::ExplainedInterface {
        network: wish.name.clone(),
        by: format!("--network {}", wish.name),
        ..Default::default()
    });
    let resolver = &view.definition.spec.resolver;
    let names = [
        ("nameserver", &resolver.servers, "--dns"),
        ("search", &resolver.search, "--dns-search"),
        ("options", &resolver.options, "--dns-option"),
    ];
    let names = names.into_iter().filter(|(_, asked, _)| !asked.is_empty());
    let ports = plan.ports.iter().map(|wish| {
        let host = match wish.host {
            (0, 0) => "any port".to_owned(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let address = wish.address.map(|address| format!("{address}:")).unwrap_or_default();
        fact("port", "", format!("{address}{host}->{}/{}", wish.port, wish.protocol.name()), "--publish")
    });
    wire::ExplainedNetwork {
        mode: view.definition.host_config.network_mode.clone(),
        interfaces: interfaces.collect(),
        routes: Vec::new(),
        names: names.map(|(name, asked, by)| fact(name, "", asked.join(" "), by)).chain(ports).collect(),
        ports: Vec::new(),
    }
}
