//! daemon.json: read, checked key by key, and put together with the flags.

use std::path::Path;

use hull_types::Fault;
use serde_json::{Map, Value};

use super::table::{self, Kind, Setting};

/// Flags and the file, in one.
pub(crate) type Values = Map<String, Value>;

/// Where the file is when nothing else is said and hull is called as dockerd.
pub(crate) const DOCKER_FILE: &str = "/etc/docker/daemon.json";

/// The file's keys and values. One that is missing has none, unless it was named.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(path: &Path, named: bool) -> Result<Values, Fault> {
    let wrong = |why: &dyn std::fmt::Display| {
        Fault::invalid(format!("the configuration file {} cannot be used: {why}", path.display()))
    };
    let values: Values = match std::fs::read(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Values::new(),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Values::new(),
        Err(error) => return Err(wrong(&error)),
    };
    let unknown: Vec<&str> = values.keys().map(String::as_str).filter(|key| table::by_key(key).is_none()).collect();
    if !unknown.is_empty() {
        // COMPAT(docker 28): these words.
        return Err(wrong(&format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        )));
    }
    for (key, value) in &values {
        if let Some(setting) = table::by_key(key)
            && let Some(wanted) = mismatch(setting.kind, value)
        {
            return Err(wrong(&format!("`{key}` must be {wanted}")));
        }
    }
    Ok(values)
}

/// What the value should have been.
fn mismatch(kind: Kind, value: &Value) -> Option<&'static str> {
    let texts = |list: &[Value]| list.iter().all(Value::is_string);
    let (fits, wanted) = match kind {
        Kind::Bool => (value.is_boolean(), "true or false"),
        Kind::Text => (value.is_string(), "a text"),
        Kind::Number => (value.is_i64(), "a number"),
        Kind::List => (value.as_array().is_some_and(|list| texts(list)), "a list of texts"),
        Kind::Map => (value.is_object(), "an object"),
        Kind::Ulimits => {
            let limit = |limit: &Value| limit["Name"].is_string() && limit["Soft"].is_i64() && limit["Hard"].is_i64();
            let fits = value.as_object().is_some_and(|map| map.values().all(limit));
            (fits, "an object of objects with Name, Soft and Hard")
        }
        Kind::Pools => {
            let pool = |pool: &Value| pool["base"].is_string() && pool["size"].is_u64();
            (value.as_array().is_some_and(|list| list.iter().all(pool)), "a list of objects with base and size")
        }
    };
    (!fits).then_some(wanted)
}

/// Both together.
///
/// # Errors
/// One setting comes from both, or has a value that hull refuses.
pub(crate) fn join(flags: &Values, file: Values) -> Result<Values, Fault> {
    let twice: Vec<String> = flags
        .iter()
        .filter_map(|(key, flag)| file.get(key).map(|file| format!("{key}: (from flag: {flag}, from file: {file})")))
        .collect();
    if !twice.is_empty() {
        // COMPAT(docker 28): these words.
        return Err(Fault::invalid(format!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        )));
    }
    let mut all = flags.clone();
    all.extend(file);
    for (key, value) in &all {
        if let Some(setting) = table::by_key(key).or_else(|| table::by_flag(key))
            && let Some(why) = setting.refuses(value)
        {
            return Err(refused(setting, value, why));
        }
    }
    Ok(all)
}

fn refused(setting: &Setting, value: &Value, why: &str) -> Fault {
    let name = if setting.flag.is_empty() { setting.key.to_owned() } else { format!("--{}", setting.flag) };
    let shown: String = value.to_string().chars().take(64).collect();
    Fault::unsupported(format!("{name} cannot be {shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(text: &str) -> Result<Values, Fault> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.json");
        std::fs::write(&path, text).unwrap();
        read(&path, true)
    }

    fn values(value: Value) -> Values {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn the_file_is_read_or_refused_by_name() {
        let missing = Path::new("/nonexistent/daemon.json");
        assert_eq!(read(missing, false), Ok(Values::new()));
        assert!(read(missing, true).is_err());
        assert_eq!(file(" \n"), Ok(Values::new()));
        assert_eq!(file(r#"{"debug": true}"#).unwrap()["debug"], true);
        for (text, sentence) in [
            ("{", "cannot be used"),
            (r#"{"nonsense": 1, "x": 2}"#, "don't match any configuration option: nonsense, x"),
            (r#"{"config-file": "x"}"#, "don't match any configuration option: config-file"),
            (r#"{"debug": "yes"}"#, "`debug` must be true or false"),
            (r#"{"hosts": [1]}"#, "`hosts` must be a list of texts"),
            (r#"{"default-ulimits": {"nofile": 5}}"#, "`default-ulimits` must be"),
            (r#"{"default-address-pools": ["x"]}"#, "`default-address-pools` must be"),
            (r#"{"mtu": "1500"}"#, "`mtu` must be a number"),
        ] {
            let refused = file(text).unwrap_err().summary;
            assert!(refused.contains(sentence), "{text}: {refused}");
        }
    }

    #[test]
    fn a_setting_comes_from_one_of_the_two() {
        let flags = values(json!({"debug": true, "dns": ["1.1.1.1"]}));
        let joined = join(&flags, values(json!({"init": true}))).unwrap();
        assert_eq!(Value::Object(joined), json!({"debug": true, "dns": ["1.1.1.1"], "init": true}));
        let twice = join(&flags, values(json!({"debug": false}))).unwrap_err().summary;
        assert!(twice.contains("debug: (from flag: true, from file: false)"), "{twice}");
        let driver = join(&Values::new(), values(json!({"storage-driver": "btrfs"}))).unwrap_err();
        assert!(driver.summary.contains("--storage-driver cannot be \"btrfs\""), "{driver}");
        assert!(join(&Values::new(), values(json!({"storage-driver": "overlay2"}))).is_ok());
        assert!(join(&values(json!({"selinux-enabled": true})), Values::new()).is_err());
    }
}
