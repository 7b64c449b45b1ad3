//! Every flag of dockerd with its key in daemon.json, and what hull does with it.

use serde_json::Value;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Text,
    Number,
    /// May be repeated.
    List,
    /// `key=value`, may be repeated.
    Map,
    /// `name=soft[:hard]`; in the file an object of objects.
    Ulimits,
    /// `base=…,size=…`; in the file objects.
    Pools,
}

/// Which values are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// All of its kind; what is wrong with one is found where it is used.
    All,
    /// These only, because of that.
    Only(&'static [&'static str], &'static str),
    /// None, because of that.
    Nothing(&'static str),
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Setting {
    /// `--flag`; empty if only the file has it.
    pub flag: &'static str,
    pub short: Option<char>,
    /// The key in the file; empty if only the command line has it.
    pub key: &'static str,
    pub kind: Kind,
    pub takes: Takes,
}

use Kind::{Bool, List, Map, Number, Pools, Text, Ulimits};
use Takes::{All, Nothing, Only};

const fn both(name: &'static str, kind: Kind, takes: Takes) -> Setting {
    Setting { flag: name, short: None, key: name, kind, takes }
}

const fn named(flag: &'static str, key: &'static str, kind: Kind, takes: Takes) -> Setting {
    Setting { flag, short: None, key, kind, takes }
}

const fn short(letter: char, setting: Setting) -> Setting {
    Setting { short: Some(letter), ..setting }
}

const NO_CONTAINERD: Takes = Nothing("hull runs containers itself, without containerd");
const NO_REALTIME: Takes = Nothing("real-time scheduling is not shared out by hull");
const NO_SWARM: Takes = Nothing("hull is in no swarm");
const OWN_BRIDGE: Takes = Nothing("the default network leaves by its own address");
const OFF: &[&str] = &["false"];
const ON: &[&str] = &["true"];

/// All of them, in the order of `dockerd --help`, then those of the file alone.
pub(crate) const ALL: &[Setting] = &[
    named("add-runtime", "runtimes", Map, Nothing("hull runs containers itself: there are no other runtimes")),
    both("allow-direct-routing", Bool, Only(OFF, "direct routing to ports that are not published is always closed")),
    named("authorization-plugin", "authorization-plugins", List, Nothing("hull has no plugins")),
    both("bip", Text, All),
    both("bip6", Text, All),
    short('b', both("bridge", Text, Nothing("the default network's bridge is hull's own"))),
    named("cdi-spec-dir", "cdi-spec-dirs", List, Nothing("devices are passed with `--device`, not by CDI")),
    both("cgroup-parent", Text, All),
    named("config-file", "", Text, All),
    both("containerd", Text, NO_CONTAINERD),
    both("containerd-namespace", Text, NO_CONTAINERD),
    named("containerd-plugins-namespace", "containerd-plugin-namespace", Text, NO_CONTAINERD),
    both("cpu-rt-period", Number, NO_REALTIME),
    both("cpu-rt-runtime", Number, NO_REALTIME),
    both("cri-containerd", Bool, NO_CONTAINERD),
    both("data-root", Text, All),
    short('D', both("debug", Bool, All)),
    named("default-address-pool", "default-address-pools", Pools, All),
    both("default-cgroupns-mode", Text, Only(&["private", "host"], "there is no other")),
    both("default-gateway", Text, OWN_BRIDGE),
    both("default-gateway-v6", Text, OWN_BRIDGE),
    both("default-ipc-mode", Text, Only(&["private", "shareable"], "there is no other")),
    named("default-network-opt", "default-network-opts", Map, Nothing("name the options at each network")),
    both("default-runtime", Text, Only(&["hull", "runc"], "hull runs containers itself, whatever this says")),
    both("default-shm-size", Text, All),
    named("default-ulimit", "default-ulimits", Ulimits, All),
    both("dns", List, All),
    named("dns-opt", "dns-opts", List, All),
    both("dns-search", List, All),
    named("exec-opt", "exec-opts", List, Nothing("hull finds out itself how cgroups are made on this host")),
    both("exec-root", Text, All),
    both("experimental", Bool, All),
    named("feature", "features", Map, Nothing("hull has no such features")),
    both("fixed-cidr", Text, All),
    both("fixed-cidr-v6", Text, All),
    short('G', both("group", Text, All)),
    short('H', named("host", "hosts", List, All)),
    named("host-gateway-ip", "host-gateway-ips", List, All),
    both("http-proxy", Text, All),
    both("https-proxy", Text, All),
    both("icc", Bool, All),
    both("init", Bool, All),
    both("init-path", Text, Nothing("hull brings its own init")),
    named("insecure-registry", "insecure-registries", List, All),
    both("ip", Text, All),
    both("ip-forward", Bool, Only(ON, "bridges need the kernel's forwarding")),
    both("ip-forward-no-drop", Bool, Only(ON, "hull leaves the host's policy for forwarded packets alone")),
    both("ip-masq", Bool, All),
    both("ip6tables", Bool, Only(ON, "networks are kept apart by the kernel's packet filter")),
    both("iptables", Bool, Only(ON, "networks are kept apart by the kernel's packet filter")),
    both("ipv6", Bool, All),
    named("label", "labels", List, All),
    both("live-restore", Bool, All),
    both("log-driver", Text, All),
    both("log-format", Text, Only(&["text"], "the engine's log is text")),
    short('l', both("log-level", Text, Only(&["debug", "info", "warn", "error", "fatal"], "there is no other"))),
    named("log-opt", "log-opts", Map, All),
    both("max-concurrent-downloads", Number, All),
    both("max-concurrent-uploads", Number, All),
    both("max-download-attempts", Number, All),
    both("metrics-addr", Text, Nothing("hull gives no metrics")),
    both("mtu", Number, All),
    both("network-control-plane-mtu", Number, NO_SWARM),
    both("no-new-privileges", Bool, All),
    both("no-proxy", Text, All),
    named("node-generic-resource", "node-generic-resources", List, NO_SWARM),
    short('p', both("pidfile", Text, All)),
    both("raw-logs", Bool, Only(ON, "the engine's log has full timestamps and no colours")),
    named("registry-mirror", "registry-mirrors", List, All),
    named("rootless", "", Bool, Only(OFF, "the engine runs as root")),
    both("seccomp-profile", Text, All),
    both("selinux-enabled", Bool, Only(OFF, "labels of SELinux are not set")),
    both("shutdown-timeout", Number, All),
    short('s', both("storage-driver", Text, Only(&["overlay2"], "hull has one storage driver"))),
    named("storage-opt", "storage-opts", List, Nothing("the storage driver has no options")),
    both("swarm-default-advertise-addr", Text, NO_SWARM),
    both("tls", Bool, All),
    both("tlscacert", Text, All),
    both("tlscert", Text, All),
    both("tlskey", Text, All),
    both("tlsverify", Bool, All),
    both("userland-proxy", Bool, Only(OFF, "ports are published by the kernel alone, on loopback too")),
    both("userland-proxy-path", Text, Nothing("ports are published by the kernel alone")),
    both("userns-remap", Text, Nothing("ask for user namespaces at each container")),
    named("", "builder", Map, Nothing("hull does not build images yet")),
    named("", "proxies", Map, All),
    named("", "allow-nondistributable-artifacts", List, Nothing("hull fetches no layers from elsewhere")),
];

/// The setting with this flag.
pub(crate) fn by_flag(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| !setting.flag.is_empty() && setting.flag == name)
}

/// The setting with this key in the file.
pub(crate) fn by_key(name: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| !setting.key.is_empty() && setting.key == name)
}

impl Setting {
    /// Where its value is kept: its key, or its flag if the file has none.
    pub(crate) fn place(&self) -> &'static str {
        if self.key.is_empty() { self.flag } else { self.key }
    }

    /// What of the value is refused.
    pub(crate) fn refuses(&self, value: &Value) -> Option<&'static str> {
        let text = match value {
            Value::Bool(value) => value.to_string(),
            Value::String(text) => text.clone(),
            _ => String::new(),
        };
        match self.takes {
            All => None,
            Only(words, why) => (!words.contains(&text.as_str())).then_some(why),
            Nothing(why) => Some(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from dockerd 28.5: name, then short or type or both.
    const DOCKER: &str = include_str!("data/dockerd-flags.txt");
    const PAGE: &str = include_str!("../../../../../docs/daemon.md");

    #[test]
    fn every_flag_of_dockerd_is_known_and_on_the_page() {
        for line in DOCKER.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let row = format!("| `--{}` | ", words[0]);
            assert!(PAGE.contains(&row), "docs/daemon.md lacks --{}", words[0]);
            if matches!(words[0], "help" | "version" | "validate") {
                continue;
            }
            let setting = by_flag(words[0]).unwrap_or_else(|| panic!("--{} is unknown", words[0]));
            let short = words.get(1).filter(|word| word.len() == 1).and_then(|word| word.chars().next());
            assert_eq!(setting.short, short, "{line}");
            let takes_value = words.last().is_some_and(|word| words.len() > 1 && word.len() > 1);
            assert_eq!(setting.kind != Bool, takes_value, "{line}");
        }
        for setting in ALL {
            let code = |prefix: &str, name: &str| {
                if name.is_empty() { "-".to_owned() } else { format!("`{prefix}{name}`") }
            };
            let taken = match setting.takes {
                All => "yes".to_owned(),
                Only(words, _) => format!("only `{}`", words.join("`, `")),
                Nothing(_) => "refused".to_owned(),
            };
            let row = format!("| {} | {} | {taken} | ", code("--", setting.flag), code("", setting.key));
            assert!(PAGE.contains(&row), "docs/daemon.md lacks: {row}");
        }
    }
}
