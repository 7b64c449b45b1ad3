//! The command line of dockerd, by pflag's rules.

use hull_types::Fault;
use serde_json::{Map, Value, json};

use super::table::{self, ALL, Kind, Setting};
use crate::cli::parse::shortened;

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub help: bool,
    pub version: bool,
    pub validate: bool,
    /// By [`Setting::place`].
    pub values: Map<String, Value>,
}

/// Reads the arguments.
pub(crate) fn parse(args: &[String]) -> Result<Words, Fault> {
    let mut words = Words::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let switch = match name {
                "help" => &mut words.help,
                "version" => &mut words.version,
                "validate" => &mut words.validate,
                _ => {
                    let setting = table::by_flag(name).ok_or_else(|| unknown(arg))?;
                    add(&mut words.values, setting, value, &mut args)?;
                    continue;
                }
            };
            *switch = value.as_deref().is_none_or(|value| value == "true");
        } else if let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            shorts(&mut words, letters, arg, &mut args)?;
        } else {
            return Err(Fault::invalid(format!("`dockerd` takes no arguments: `{}`", shortened(arg))));
        }
    }
    Ok(words)
}

fn shorts<'a>(
    words: &mut Words,
    letters: &str,
    arg: &str,
    args: &mut impl Iterator<Item = &'a String>,
) -> Result<(), Fault> {
    for (at, letter) in letters.char_indices() {
        match letter {
            'h' => words.help = true,
            'v' => words.version = true,
            _ => {
                let setting = ALL.iter().find(|setting| setting.short == Some(letter)).ok_or_else(|| unknown(arg))?;
                let rest = &letters[at + letter.len_utf8()..];
                if setting.kind != Kind::Bool {
                    let rest = Some(rest.strip_prefix('=').unwrap_or(rest)).filter(|rest| !rest.is_empty());
                    return add(&mut words.values, setting, rest.map(str::to_owned), args);
                }
                if let Some(value) = rest.strip_prefix('=') {
                    return add(&mut words.values, setting, Some(value.to_owned()), args);
                }
                add(&mut words.values, setting, None, args)?;
            }
        }
    }
    Ok(())
}

fn unknown(arg: &str) -> Fault {
    let name = arg.split('=').next().unwrap_or_default();
    Fault::invalid(format!("unknown flag `{}`", shortened(name))).hint("`dockerd --help` lists all of them")
}

fn add<'a>(
    values: &mut Map<String, Value>,
    setting: &Setting,
    value: Option<String>,
    args: &mut impl Iterator<Item = &'a String>,
) -> Result<(), Fault> {
    let bad = |value: &str, why: &str| {
        Fault::invalid(format!("invalid value `{}` for `--{}`: {why}", shortened(value), setting.flag))
    };
    if setting.kind == Kind::Bool {
        let on = match value.as_deref() {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
            Some(other) => return Err(bad(other, "it is true or false")),
        };
        values.insert(setting.place().to_owned(), Value::Bool(on));
        return Ok(());
    }
    let missing = || Fault::invalid(format!("flag `--{}` needs a value", setting.flag));
    let value = value.or_else(|| args.next().cloned()).ok_or_else(missing)?;
    let place = values.entry(setting.place());
    match setting.kind {
        Kind::Bool | Kind::Text => {
            values.insert(setting.place().to_owned(), Value::String(value));
        }
        Kind::Number => {
            let number: i64 = value.parse().map_err(|_| bad(&value, "it is a number"))?;
            values.insert(setting.place().to_owned(), number.into());
        }
        Kind::List => {
            if let Value::Array(list) = place.or_insert_with(|| json!([])) {
                // COMPAT(docker 28): a list of addresses may be one word.
                let several = setting.flag == "dns";
                let parts: Vec<&str> = if several { value.split(',').collect() } else { vec![&value] };
                list.extend(parts.into_iter().map(|part| Value::String(part.to_owned())));
            }
        }
        Kind::Map => {
            let (key, text) = value.split_once('=').ok_or_else(|| bad(&value, "it is key=value"))?;
            if let Value::Object(map) = place.or_insert_with(|| json!({})) {
                map.insert(key.to_owned(), Value::String(text.to_owned()));
            }
        }
        Kind::Ulimits => {
            let (name, limit) = ulimit(&value).ok_or_else(|| bad(&value, "it is name=soft[:hard]"))?;
            if let Value::Object(map) = place.or_insert_with(|| json!({})) {
                map.insert(name, limit);
            }
        }
        Kind::Pools => {
            let pool = pool(&value).ok_or_else(|| bad(&value, "it is base=10.0.0.0/8,size=24"))?;
            if let Value::Array(list) = place.or_insert_with(|| json!([])) {
                list.push(pool);
            }
        }
    }
    Ok(())
}

/// `nofile=64:128`, as the file writes it.
fn ulimit(text: &str) -> Option<(String, Value)> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit = json!({"Name": name, "Soft": soft.parse::<i64>().ok()?, "Hard": hard.parse::<i64>().ok()?});
    Some((name.to_owned(), limit))
}

/// `base=10.0.0.0/8,size=24`, as the file writes it.
fn pool(text: &str) -> Option<Value> {
    let (mut base, mut size) = (None, None);
    for part in text.split(',') {
        match part.split_once('=')? {
            ("base", value) => base = Some(value),
            ("size", value) => size = Some(value.parse::<u8>().ok()?),
            _ => return None,
        }
    }
    Some(json!({"base": base?, "size": size?}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Words, Fault> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_dockerd_reads_them() {
        let words = read(&[
            "-DHunix:///a",
            "-H=unix:///b",
            "--debug=false",
            "--dns",
            "1.1.1.1,2.2.2.2",
            "--dns=3.3.3.3",
            "--log-opt=max-size=1m",
            "--log-opt",
            "max-file=2",
            "--default-ulimit=nofile=64:128",
            "--default-address-pool=base=10.1.0.0/16,size=24",
            "--validate",
        ]);
        let words = words.unwrap();
        assert!(words.validate && !words.help && !words.version);
        let wanted = json!({
            "debug": false,
            "hosts": ["unix:///a", "unix:///b"],
            "dns": ["1.1.1.1", "2.2.2.2", "3.3.3.3"],
            "log-opts": {"max-size": "1m", "max-file": "2"},
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 64, "Hard": 128}},
            "default-address-pools": [{"base": "10.1.0.0/16", "size": 24}],
        });
        assert_eq!(Value::Object(words.values), wanted);
        assert!(read(&["-v"]).unwrap().version && read(&["--help"]).unwrap().help);
        for (bad, sentence) in [
            (&["--frob"][..], "unknown flag `--frob`"),
            (&["-Z"], "unknown flag `-Z`"),
            (&["--dns"], "needs a value"),
            (&["run"], "takes no arguments"),
            (&["--debug=maybe"], "it is true or false"),
            (&["--mtu=x"], "it is a number"),
            (&["--log-opt", "x"], "it is key=value"),
            (&["--default-ulimit", "nofile"], "name=soft"),
            (&["--default-address-pool", "size=24"], "base="),
        ] {
            let refused = read(bad).unwrap_err().summary;
            assert!(refused.contains(sentence), "{bad:?}: {refused}");
        }
    }
}
