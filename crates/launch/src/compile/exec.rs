//! The command: where it may lie, its arguments and its environment.

use std::ffi::CString;

use super::error::Error;
use super::facts::Who;
use crate::plan::Exec;
use crate::spec::Process;

/// Where commands are looked for when the environment has no `PATH` (docker's default).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The last thing the child does.
pub(super) fn command(process: &Process, who: &Who) -> Result<Exec, Error> {
    let name = process.argv.first().ok_or(Error::NoCommand)?;
    let mut env = process.env.clone();
    if value(&env, "HOME").is_none() {
        let home = if who.home.is_empty() { "/" } else { &who.home };
        env.push(format!("HOME={home}"));
    }
    Ok(Exec {
        candidates: strings("argument", &candidates(name, value(&env, "PATH")))?,
        argv: strings("argument", &process.argv)?,
        env: strings("environment variable", &env)?,
    })
}

/// A name with a slash is a path. Else each absolute directory of `PATH` is tried: an empty or
/// relative one would mean the working directory, which an image or a client chooses.
fn candidates(name: &str, path: Option<&str>) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    if name.is_empty() {
        return Vec::new();
    }
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| format!("{}/{name}", directory.trim_end_matches('/')))
        .collect()
}

fn value<'a>(env: &'a [String], key: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn strings(what: &'static str, texts: &[String]) -> Result<Vec<CString>, Error> {
    texts.iter().map(|text| CString::new(text.as_str()).map_err(|_| Error::Nul { what, value: text.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_absolute_directories_only() {
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("sh", Some("/bin:/usr/bin/"), &["/bin/sh", "/usr/bin/sh"]),
            ("sh", Some("::.:bin:/bin"), &["/bin/sh"]),
            ("sh", Some(""), &[]),
            ("sh", Some("/"), &["/sh"]),
            ("/bin/sh", Some("/nope"), &["/bin/sh"]),
            ("./run", None, &["./run"]),
            ("", None, &[]),
        ];
        for (name, path, want) in cases {
            assert_eq!(candidates(name, *path), *want, "{name} in {path:?}");
        }
        assert_eq!(candidates("sh", None).len(), 6);
    }

    #[test]
    fn the_last_entry_of_a_variable_counts() {
        let env = ["PATH=/a".to_owned(), "PATHX=/x".to_owned(), "PATH=/b".to_owned()];
        assert_eq!(value(&env, "PATH"), Some("/b"));
        assert_eq!(value(&env, "PA"), None);
    }
}
