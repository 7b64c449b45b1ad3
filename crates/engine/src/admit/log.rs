//! `--log-driver` and `--log-opt`: what is kept, and who else is told. COMPAT(docker 28): its words.

mod target;

use std::collections::BTreeMap;

use hull_launch::spec::LogWish;
use hull_logs::Keep;
use hull_types::{ByteSize, Fault};
use hull_wire as wire;

use super::text::shown;
pub(crate) use target::target;

/// What `json-file` keeps unless told otherwise: three files of 10 MiB. docker keeps all.
const JSON_FILE: (u64, u64) = (10 << 20, 3);
/// What `local` keeps, as docker's: five files of 20 MB.
const LOCAL: (u64, u64) = (20_000_000, 5);

/// Options that bound a file, and those that every driver has.
const BOUNDS: &[&str] = &["max-size", "max-file", "compress"];
const COMMON: &[&str] = &["mode", "max-buffer-size"];
/// What lines are marked with.
const MARKS: &[&str] = &["labels", "labels-regex", "env", "env-regex", "tag"];
/// What of a driver that hands on is kept to be read here.
const CACHE: &[&str] = &["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const SYSLOG: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

type Options = BTreeMap<String, String>;

/// The typed wish.
pub(super) fn wish(asked: &wire::LogConfig) -> Result<LogWish, Fault> {
    let (driver, options) = (asked.kind.as_str(), &asked.config);
    let known: &[&[&str]] = match driver {
        "" | "json-file" => &[BOUNDS, COMMON, MARKS],
        "local" => &[BOUNDS, COMMON],
        "none" => &[],
        "syslog" => &[SYSLOG, COMMON, MARKS, CACHE],
        "journald" => &[COMMON, MARKS, CACHE],
        "awslogs" | "etwlogs" | "fluentd" | "gcplogs" | "gelf" | "splunk" => {
            return Err(Fault::unsupported(format!("the log driver {} is not supported", shown(driver)))
                .hint("use `json-file`, `local`, `syslog`, `journald` or `none`"));
        }
        other => {
            let other: String = other.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(Fault::invalid(format!(
                "error looking up logging plugin {other}: plugin \"{other}\" not found"
            )));
        }
    };
    if driver == "none" && !options.is_empty() {
        return Err(Fault::invalid("the log driver `none` takes no options"));
    }
    if let Some(unknown) = options.keys().find(|key| !known.iter().any(|keys| keys.contains(&key.as_str()))) {
        let unknown: String = unknown.chars().take(64).flat_map(char::escape_debug).collect();
        let driver = if driver.is_empty() { "json-file" } else { driver };
        return Err(Fault::invalid(format!("unknown log opt '{unknown}' for {driver} log driver")));
    }
    common(options)?;
    marks(options)?;
    target(asked)?;
    let (kept, driver) = match driver {
        "" | "json-file" => (kept(options, "", JSON_FILE, false)?, "json-file"),
        "none" => (Keep::default(), "none"),
        "local" => (kept(options, "", LOCAL, true)?, "local"),
        other => (kept(options, "cache-", LOCAL, true)?, other),
    };
    let cache_disabled = flag(options, "cache-disabled")?.unwrap_or(false);
    let Keep { bytes: max_bytes, packed_after } = kept;
    Ok(LogWish { driver: driver.to_owned(), max_bytes, packed_after, cache_disabled })
}

fn bad(key: &str, value: &str) -> Fault {
    Fault::invalid(format!("invalid value for the log option `{key}`: {}", shown(value)))
}

fn flag(options: &Options, key: &str) -> Result<Option<bool>, Fault> {
    let Some(value) = options.get(key) else { return Ok(None) };
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        other => Err(bad(key, other)),
    }
}

/// Neither mode has anything to change: the container never waits for a reader, and nothing is dropped for one.
fn common(options: &Options) -> Result<(), Fault> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(Fault::invalid(format!("logger: logging mode not supported: {}", shown(mode))));
    }
    if let Some(size) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(Fault::invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'"));
        }
        size.parse::<ByteSize>().map_err(|_| bad("max-buffer-size", size))?;
    }
    Ok(())
}

fn marks(options: &Options) -> Result<(), Fault> {
    for key in ["labels-regex", "env-regex"] {
        crate::logging::pattern(options.get(key).map_or("", String::as_str))
            .map_err(|why| bad(key, &options[key]).cause(why))?;
    }
    match options.get("tag") {
        Some(tag) => crate::logging::check_tag(tag),
        None => Ok(()),
    }
}

/// How much is kept, and whether what would be in rotated files is compressed; of the options that begin with `prefix`.
fn kept(options: &Options, prefix: &str, default: (u64, u64), lonely_file: bool) -> Result<Keep, Fault> {
    let key = |name: &str| format!("{prefix}{name}");
    let get = |name: &str| options.get(&key(name)).map(|value| (key(name), value));
    let compress = flag(options, &key("compress"))? == Some(true);
    let mut size = None;
    let mut unbounded = false;
    match get("max-size") {
        Some((_, value)) if value == "-1" => unbounded = true,
        Some((key, value)) => {
            let bytes = value.parse::<ByteSize>().map_err(|_| bad(&key, value))?.bytes();
            size = Some(u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or_else(|| bad(&key, value))?);
        }
        None => {}
    }
    let files = match get("max-file") {
        Some((key, value)) => {
            let files = value.parse::<u64>().map_err(|_| bad(&key, value))?;
            if files < 1 {
                return Err(Fault::invalid(format!("{key} cannot be less than 1")));
            }
            Some(files)
        }
        None => None,
    };
    let lonely = || Fault::invalid("compress cannot be true when max-file is less than 2 or when max-size is not set");
    if unbounded {
        return if compress { Err(lonely()) } else { Ok(Keep::default()) };
    }
    if files.is_some() && size.is_none() && !lonely_file {
        return Err(Fault::invalid("max-file cannot be set without max-size"));
    }
    // COMPAT(docker 28): `json-file` with a size and no number keeps one file.
    let count = files.unwrap_or(if size.is_some() && !lonely_file { 1 } else { default.1 });
    if compress && count < 2 {
        return Err(lonely());
    }
    let size = size.unwrap_or(default.0);
    Ok(Keep { bytes: Some(size.saturating_mul(count)), packed_after: compress.then_some(size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: &str, options: &[(&str, &str)]) -> Result<LogWish, Fault> {
        let config = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        wish(&wire::LogConfig { kind: kind.to_owned(), config })
    }

    #[test]
    fn bounds() {
        let udp = ("syslog-address", "udp://127.0.0.1");
        for (kind, options, bytes) in [
            ("", &[][..], Some(30 << 20)),
            ("json-file", &[("max-size", "1k")], Some(1024)),
            ("json-file", &[("max-size", "1m"), ("max-file", "3")], Some(3 << 20)),
            ("json-file", &[("max-size", "-1")], None),
            ("json-file", &[("mode", "non-blocking"), ("max-buffer-size", "1m")], Some(30 << 20)),
            ("json-file", &[("labels-regex", "^a"), ("env-regex", "(X|Y)$")], Some(30 << 20)),
            ("json-file", &[("labels", "a,b"), ("env", "X"), ("tag", "{{.Name}}/{{.ID}}")], Some(30 << 20)),
            ("local", &[], Some(100_000_000)),
            ("local", &[("max-file", "2"), ("compress", "false")], Some(40_000_000)),
            ("syslog", &[udp], Some(100_000_000)),
            ("syslog", &[udp, ("cache-max-size", "1k"), ("cache-max-file", "2")], Some(2048)),
            ("none", &[], None),
        ] {
            assert_eq!(ask(kind, options).map(|wish| wish.max_bytes), Ok(bytes), "{kind} {options:?}");
        }
        assert!(!ask("syslog", &[udp, ("cache-disabled", "true")]).unwrap().keeps());
        for (kind, options, packed_after) in [
            ("", &[("compress", "true")][..], Some(10 << 20)),
            ("", &[("compress", "false")], None),
            ("json-file", &[("compress", "true"), ("max-size", "1m"), ("max-file", "3")], Some(1 << 20)),
            ("local", &[("compress", "true"), ("max-size", "2k")], Some(2048)),
            ("syslog", &[udp, ("cache-compress", "1"), ("cache-max-size", "1k")], Some(1024)),
        ] {
            assert_eq!(ask(kind, options).map(|wish| wish.packed_after), Ok(packed_after), "{kind} {options:?}");
        }
        let unseen = [("syslog-address", "tcp+tls://localhost:1"), ("syslog-tls-skip-verify", "true")];
        assert!(ask("syslog", &unseen).is_ok());
    }

    #[test]
    fn what_docker_refuses_is_refused_in_its_words() {
        for (kind, options, sentence) in [
            ("json-file", &[("mode", "x")][..], "logger: logging mode not supported: \"x\""),
            ("json-file", &[("foo", "1")], "unknown log opt 'foo' for json-file log driver"),
            ("json-file", &[("max-size", "1k"), ("max-file", "0")], "max-file cannot be less than 1"),
            ("json-file", &[("max-size", "0")], "invalid value for the log option `max-size`"),
            ("json-file", &[("max-size", "-5")], "invalid value for the log option `max-size`"),
            ("json-file", &[("max-file", "2")], "max-file cannot be set without max-size"),
            ("json-file", &[("compress", "x")], "invalid value for the log option `compress`"),
            ("json-file", &[("max-size", "1m"), ("compress", "true")], "compress cannot be true when max-file is less"),
            (
                "local",
                &[("max-file", "1"), ("compress", "true")],
                "compress cannot be true when max-file is less than 2",
            ),
            ("json-file", &[("max-buffer-size", "1m")], "logger: max-buffer-size option is only supported"),
            ("json-file", &[("env-regex", "(")], "invalid value for the log option `env-regex`"),
            ("json-file", &[("tag", "{{.Foo}}")], "the log option `tag`"),
            ("json-file", &[("tag", "{{")], "the log option `tag`"),
            ("local", &[("labels", "x")], "unknown log opt 'labels' for local log driver"),
            ("none", &[("max-size", "1k")], "the log driver `none` takes no options"),
            ("syslog", &[("syslog-address", "foo")], "unsupported scheme: ''"),
            ("syslog", &[("syslog-address", "http://x:1")], "unsupported scheme: 'http'"),
            ("syslog", &[("syslog-address", "unix:///no/such.sock")], "stat /no/such.sock: no such file or directory"),
            (
                "syslog",
                &[("syslog-address", "tcp+tls://x:1")],
                "syslog over TLS needs the log option `syslog-tls-ca-cert`",
            ),
            (
                "syslog",
                &[("syslog-address", "tcp+tls://x:1"), ("syslog-tls-skip-verify", "maybe")],
                "invalid value for the log option `syslog-tls-skip-verify`",
            ),
            (
                "syslog",
                &[("syslog-address", "tcp+tls://x:1"), ("syslog-tls-ca-cert", "/no/such.pem")],
                "/no/such.pem cannot be used for TLS",
            ),
            ("syslog", &[("syslog-format", "x"), ("syslog-address", "udp://x")], "Invalid syslog format"),
            ("syslog", &[("syslog-facility", "x"), ("syslog-address", "udp://x")], "invalid syslog facility"),
            ("syslog", &[("foo", "1")], "unknown log opt 'foo' for syslog log driver"),
            ("journald", &[("foo", "1")], "unknown log opt 'foo' for journald log driver"),
            ("gelf", &[], "the log driver \"gelf\" is not supported"),
            ("nosuch", &[], "error looking up logging plugin nosuch: plugin \"nosuch\" not found"),
        ] {
            let fault = ask(kind, options).expect_err(sentence);
            assert!(fault.summary.starts_with(sentence), "{kind} {options:?}: {fault}");
        }
    }
}
