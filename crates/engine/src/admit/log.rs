//! `--log-driver` and `--log-opt`.

use std::collections::BTreeMap;

use hull_launch::spec::LogWish;
use hull_types::{ByteSize, Fault};
use hull_wire as wire;

use super::text::shown;

/// What `local` keeps unless told otherwise, as docker's: five files of 20 MB.
const LOCAL_BYTES: u64 = 5 * 20_000_000;

/// The typed wish.
pub(super) fn wish(asked: &wire::LogConfig) -> Result<LogWish, Fault> {
    let driver = match asked.kind.as_str() {
        "" | "json-file" => "json-file",
        "local" => "local",
        "none" => "none",
        other => {
            return Err(Fault::unsupported(format!("the log driver {} is not supported", shown(other)))
                .hint("use `json-file`, `local` or `none`"));
        }
    };
    let max_bytes = bound(driver, &asked.config)?;
    Ok(LogWish { driver: driver.to_owned(), max_bytes })
}

fn bound(driver: &str, options: &BTreeMap<String, String>) -> Result<Option<u64>, Fault> {
    let (mut size, mut files) = (None, None);
    for (key, value) in options {
        let bad = || Fault::invalid(format!("invalid value for the log option `{key}`: {}", shown(value)));
        match key.as_str() {
            "max-size" if value == "-1" => {}
            "max-size" => {
                let bytes = value.parse::<ByteSize>().map_err(|_| bad())?.bytes();
                size = Some(u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or_else(bad)?);
            }
            "max-file" => {
                files = Some(value.parse::<u64>().ok().filter(|files| *files > 0).ok_or_else(bad)?);
            }
            "mode" if value == "blocking" => {}
            "compress" if value == "false" => {}
            _ => {
                return Err(Fault::unsupported(format!("the log option `{}` is not supported", shown(key)))
                    .hint("`max-size` and `max-file` bound what is kept"));
            }
        }
    }
    if driver == "none" && !options.is_empty() {
        return Err(Fault::invalid("the log driver `none` takes no options"));
    }
    if files.is_some() && size.is_none() && driver != "local" {
        return Err(Fault::invalid("max-file cannot be set without max-size"));
    }
    let size = size.or((driver == "local").then_some(LOCAL_BYTES / 5));
    let files = files.unwrap_or(if driver == "local" { 5 } else { 1 });
    Ok(size.map(|size| size.saturating_mul(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: &str, options: &[(&str, &str)]) -> Result<Option<u64>, Fault> {
        let config = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        wish(&wire::LogConfig { kind: kind.to_owned(), config }).map(|wish| wish.max_bytes)
    }

    #[test]
    fn bounds() {
        assert_eq!(ask("", &[]), Ok(None));
        assert_eq!(ask("json-file", &[("max-size", "1k")]), Ok(Some(1024)));
        assert_eq!(ask("json-file", &[("max-size", "1m"), ("max-file", "3")]), Ok(Some(3 << 20)));
        assert_eq!(ask("local", &[]), Ok(Some(LOCAL_BYTES)));
        assert_eq!(ask("none", &[]), Ok(None));
        for (kind, options) in [
            ("syslog", &[][..]),
            ("json-file", &[("max-size", "0")]),
            ("json-file", &[("max-size", "-5")]),
            ("json-file", &[("max-file", "2")]),
            ("json-file", &[("max-file", "0"), ("max-size", "1k")]),
            ("json-file", &[("labels", "a")]),
            ("none", &[("max-size", "1k")]),
        ] {
            assert!(ask(kind, options).is_err(), "{kind} {options:?}");
        }
    }
}
