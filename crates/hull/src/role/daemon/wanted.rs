//! What the values mean: the engine's settings, and where it lives.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hull_engine::{Registries, Settings};
use hull_types::{ByteSize, Fault};
use hull_wire::Ulimit;
use serde_json::{Map, Value};

use super::file::Values;

/// Reads values by their keys.
pub(crate) struct Reading<'a>(pub &'a Values);

impl Reading<'_> {
    pub(crate) fn text(&self, key: &str) -> String {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        let list = self.0.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(crate) fn path(&self, key: &str, default: &str) -> Result<PathBuf, Fault> {
        let text = self.text(key);
        let path = Path::new(if text.is_empty() { default } else { &text });
        std::path::absolute(path).map_err(|error| Fault::invalid(format!("`{key}` is no usable path")).cause(error))
    }
}

/// The engine's settings.
///
/// # Errors
/// A value that cannot be.
pub(crate) fn settings(values: &Values) -> Result<Settings, Fault> {
    let read = Reading(values);
    Ok(Settings {
        debug: read.flag("debug") || read.text("log-level") == "debug",
        experimental: read.flag("experimental"),
        labels: labels(read.list("labels"))?,
        log_driver: log_driver(read.text("log-driver"))?,
        log_opts: texts(values.get("log-opts"), "log-opts")?.into_iter().collect(),
        ulimits: values.get("default-ulimits").and_then(Value::as_object).map_or_else(Vec::new, ulimits),
        dns: addresses(read.list("dns"), "dns")?,
        dns_options: read.list("dns-opts"),
        dns_search: read.list("dns-search"),
        host_gateway: addresses(read.list("host-gateway-ips"), "host-gateway-ips")?,
        shm_size: shm_size(&read.text("default-shm-size"))?,
        ipc_mode: read.text("default-ipc-mode"),
        cgroupns_mode: read.text("default-cgroupns-mode"),
        init: read.flag("init"),
        no_new_privileges: read.flag("no-new-privileges"),
        cgroup_parent: read.text("cgroup-parent"),
        seccomp: seccomp(&read.text("seccomp-profile"))?,
        stop_containers: stop_containers(values)?,
        registries: Some(Registries {
            mirrors: mirrors(read.list("registry-mirrors"))?,
            insecure: read.list("insecure-registries"),
            downloads: count(values, "max-concurrent-downloads", 0)?,
            uploads: count(values, "max-concurrent-uploads", 0)?,
            attempts: count(values, "max-download-attempts", 1)?,
        }),
        networks: networks(values),
    })
}

/// A number of things, not less than `least`.
fn count<T: TryFrom<i64>>(values: &Values, key: &str, least: i64) -> Result<Option<T>, Fault> {
    let Some(number) = values.get(key).and_then(Value::as_i64) else { return Ok(None) };
    let fits = T::try_from(number).ok().filter(|_| number >= least);
    fits.map(Some).ok_or_else(|| Fault::invalid(format!("`{key}` cannot be {number}: at least {least}")))
}

/// What docker waits for containers at the end, where nothing is said.
const SHUTDOWN_TIMEOUT: i64 = 15;

/// Docker's default is that containers end with the engine; hull's is that they go on, so that it must be said.
fn stop_containers(values: &Values) -> Result<Option<i64>, Fault> {
    let seconds = values.get("shutdown-timeout").and_then(Value::as_i64).unwrap_or(SHUTDOWN_TIMEOUT);
    if seconds < -1 {
        return Err(Fault::invalid(format!("`shutdown-timeout` cannot be {seconds}")).hint("-1 waits for ever"));
    }
    let ends = values.get("live-restore").and_then(Value::as_bool) == Some(false);
    Ok(ends.then_some(seconds))
}

fn labels(labels: Vec<String>) -> Result<Vec<String>, Fault> {
    match labels.iter().find(|label| !label.contains('=') || label.starts_with('=')) {
        Some(bad) => Err(Fault::invalid(format!("bad attribute format: {bad}")).hint("a label is key=value")),
        None => Ok(labels),
    }
}

fn log_driver(driver: String) -> Result<String, Fault> {
    match driver.as_str() {
        "" | "json-file" | "local" | "none" | "syslog" | "journald" => Ok(driver),
        other => Err(Fault::unsupported(format!("--log-driver cannot be `{other}`"))
            .hint("use `json-file`, `local`, `syslog`, `journald` or `none`")),
    }
}

fn addresses(list: Vec<String>, key: &str) -> Result<Vec<String>, Fault> {
    match list.iter().find(|text| text.parse::<IpAddr>().is_err()) {
        Some(bad) => Err(Fault::invalid(format!("`{key}`: {bad} is no IP address"))),
        None => Ok(list),
    }
}

fn mirrors(list: Vec<String>) -> Result<Vec<String>, Fault> {
    match list.iter().find(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        Some(bad) => Err(Fault::invalid(format!("invalid mirror: {bad} is no http:// or https:// address"))),
        None => Ok(list),
    }
}

fn texts(map: Option<&Value>, key: &str) -> Result<Vec<(String, String)>, Fault> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.map(|(name, value)| match value.as_str() {
        Some(text) => Ok((name.clone(), text.to_owned())),
        None => Err(Fault::invalid(format!("`{name}` of `{key}` must be a text"))),
    })
    .collect()
}

fn ulimits(map: &Map<String, Value>) -> Vec<Ulimit> {
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    map.iter()
        .map(|(name, limit)| Ulimit { name: name.clone(), soft: number(&limit["Soft"]), hard: number(&limit["Hard"]) })
        .collect()
}

fn shm_size(text: &str) -> Result<Option<i64>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let size = text.parse::<ByteSize>().ok().map(ByteSize::bytes).filter(|bytes| *bytes > 0);
    size.map(Some).ok_or_else(|| Fault::invalid(format!("`default-shm-size` cannot be `{text}`")))
}

/// The profile's text: it is read once, as the client's CLI does it.
fn seccomp(profile: &str) -> Result<String, Fault> {
    match profile {
        "" | "builtin" | "default" => Ok(String::new()),
        "unconfined" => Ok(profile.to_owned()),
        path => std::fs::read_to_string(path)
            .map_err(|error| Fault::invalid(format!("cannot read the seccomp profile {path}")).cause(error)),
    }
}

/// Those that networks.json has, too, under the same names.
const OF_NETWORKS: [&str; 10] =
    ["default-address-pools", "bip", "bip6", "fixed-cidr", "fixed-cidr-v6", "ipv6", "mtu", "icc", "ip-masq", "ip"];

fn networks(values: &Values) -> Map<String, Value> {
    let ours = values.iter().filter(|(key, _)| OF_NETWORKS.contains(&key.as_str()));
    ours.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What the engine's clients of registries go by, as variables of its environment.
///
/// # Errors
/// `proxies` has something else.
pub(crate) fn proxies(values: &Values) -> Result<Vec<(&'static str, String)>, Fault> {
    let names = [("http-proxy", "HTTP_PROXY"), ("https-proxy", "HTTPS_PROXY"), ("no-proxy", "NO_PROXY")];
    let mut all: Vec<(String, String)> = texts(values.get("proxies"), "proxies")?;
    let direct = |name: &str| Some((name.to_owned(), values.get(name)?.as_str()?.to_owned()));
    all.extend(names.iter().filter_map(|(name, _)| direct(name)));
    all.into_iter()
        .map(|(name, value)| match names.iter().find(|(known, _)| *known == name) {
            Some((_, variable)) => Ok((*variable, value)),
            None => Err(Fault::invalid(format!("`proxies` has no `{name}`"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_cannot_be_are_refused() {
        for (bad, sentence) in [
            (json!({"labels": ["x"]}), "bad attribute format"),
            (json!({"log-driver": "fluentd"}), "--log-driver"),
            (json!({"log-opts": {"max-size": 5}}), "`max-size` of `log-opts`"),
            (json!({"dns": ["here"]}), "no IP address"),
            (json!({"host-gateway-ips": ["x"]}), "no IP address"),
            (json!({"registry-mirrors": ["mirror.lan"]}), "invalid mirror"),
            (json!({"default-shm-size": "much"}), "`default-shm-size`"),
            (json!({"max-concurrent-downloads": -1}), "`max-concurrent-downloads`"),
            (json!({"max-download-attempts": 0}), "`max-download-attempts`"),
            (json!({"shutdown-timeout": -2}), "`shutdown-timeout`"),
            (json!({"default-shm-size": "-1"}), "`default-shm-size`"),
            (json!({"seccomp-profile": "/nonexistent"}), "seccomp profile"),
        ] {
            let refused = settings(bad.as_object().unwrap()).unwrap_err().summary;
            assert!(refused.contains(sentence), "{bad}: {refused}");
        }
        for (given, seconds) in [
            (json!({}), None),
            (json!({"shutdown-timeout": 30}), None),
            (json!({"live-restore": false}), Some(15)),
            (json!({"live-restore": false, "shutdown-timeout": -1}), Some(-1)),
        ] {
            assert_eq!(settings(given.as_object().unwrap()).unwrap().stop_containers, seconds, "{given}");
        }
        let proxies_of = |value: Value| proxies(value.as_object().unwrap());
        assert_eq!(proxies_of(json!({"proxies": {"no-proxy": "a"}})).unwrap(), [("NO_PROXY", "a".to_owned())]);
        assert!(proxies_of(json!({"proxies": {"ftp-proxy": "a"}})).is_err());
    }
}
