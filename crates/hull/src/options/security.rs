//! `--security-opt`: the CLI reads a seccomp profile and sends its text, as docker does.

use std::fs;

use hull_types::Fault;

use super::malformed;
use crate::cli::parse::shortened;

/// What `--security-opt` says to the API.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Security {
    /// The options as sent.
    pub options: Vec<String>,
    /// `systempaths=unconfined`: nothing is masked or read-only.
    pub bare_paths: bool,
}

/// Reads all flags.
pub(crate) fn security(flags: &[String]) -> Result<Security, Fault> {
    let mut out = Security::default();
    for flag in flags {
        let pair = flag.split_once('=').or_else(|| flag.split_once(':'));
        match pair {
            Some(("seccomp", value)) if !matches!(value, "unconfined" | "builtin") => {
                out.options.push(format!("seccomp={}", profile(value)?));
            }
            Some(("systempaths", "unconfined")) => out.bare_paths = true,
            Some((key, value)) if !key.is_empty() && !value.is_empty() => out.options.push(flag.clone()),
            None if flag == "no-new-privileges" => out.options.push(flag.clone()),
            _ => return Err(malformed("security-opt", flag, "it must be key=value or no-new-privileges")),
        }
    }
    Ok(out)
}

fn profile(path: &str) -> Result<String, Fault> {
    let name = shortened(path);
    let read = fs::read(path);
    let bytes = read.map_err(|e| Fault::invalid(format!("cannot read the seccomp profile `{name}`")).cause(e))?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|e| Fault::invalid(format!("the seccomp profile `{name}` is not JSON")).cause(e))?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_here_and_sent_as_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.json");
        fs::write(&file, "{ \"b\": 1,\n \"a\": [] }").unwrap();
        let flags =
            [format!("seccomp={}", file.display()), "no-new-privileges".into(), "systempaths=unconfined".into()];
        let got = security(&flags).unwrap();
        assert_eq!(got.options, ["seccomp={\"b\":1,\"a\":[]}", "no-new-privileges"]);
        assert!(got.bare_paths);
        for wrong in ["seccomp=/nonexistent", "frob", "", "=x"] {
            assert!(security(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
