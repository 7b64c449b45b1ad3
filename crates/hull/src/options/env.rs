//! `-e`, `--env-file`, `--label-file`: lines of `KEY=VALUE`, with a bare `KEY` taken from the caller.

use std::fs;

use hull_types::Fault;

use super::malformed;
use crate::cli::parse::shortened;

/// The environment in docker's order: files first, then flags. A bare name that is not set is left out.
pub(crate) fn environment(files: &[String], flags: &[String]) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    for file in files {
        for line in lines("env-file", file)? {
            variable("env-file", &line, &mut out)?;
        }
    }
    for flag in flags {
        variable("env", flag, &mut out)?;
    }
    Ok(out)
}

/// The lines of label files, for [`super::pairs::map`].
pub(crate) fn label_lines(files: &[String]) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    for file in files {
        out.extend(lines("label-file", file)?);
    }
    Ok(out)
}

fn variable(flag: &str, text: &str, out: &mut Vec<String>) -> Result<(), Fault> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() {
        return Err(malformed(flag, text, "the environment variable has no name"));
    }
    if text.contains('=') {
        out.push(text.to_owned());
    } else if let Some(value) = std::env::var_os(name) {
        let value =
            value.into_string().map_err(|_| malformed(flag, name, "its value in this environment is not UTF-8"))?;
        out.push(format!("{name}={value}"));
    }
    Ok(())
}

/// The lines that are neither blank nor a comment.
fn lines(flag: &str, file: &str) -> Result<Vec<String>, Fault> {
    let read = fs::read(file);
    let bytes = read.map_err(|e| Fault::invalid(format!("cannot read `--{flag} {}`", shortened(file))).cause(e))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::invalid(format!("file `{}` of `--{flag}` is not UTF-8", shortened(file))))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        let at = number + 1;
        if name.is_empty() || name.contains(char::is_whitespace) {
            let why = if name.is_empty() { "has no name before `=`" } else { "has a blank in its name" };
            return Err(Fault::invalid(format!("line {at} of file `{}` {why}", shortened(file))));
        }
        out.push(line.to_owned());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_before_flags_and_comments_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        fs::write(&file, "\u{feff}# note\n\n  A=1\nB=x = y\nHULL_TEST_UNSET\nPATH\n").unwrap();
        let got = environment(&[file.display().to_string()], &["C=".into(), "HULL_TEST_UNSET".into()]).unwrap();
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert_eq!(got, ["A=1", "B=x = y", &path, "C="]);
    }

    #[test]
    fn a_malformed_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        let path = file.display().to_string();
        for (text, want) in [("A=1\nb c=2\n", "line 2"), ("=x\n", "has no name")] {
            fs::write(&file, text).unwrap();
            let fault = environment(std::slice::from_ref(&path), &[]).unwrap_err();
            assert!(fault.summary.contains(want), "{fault}");
        }
        assert!(environment(&[], &["=x".into()]).is_err());
        assert!(environment(&["/nonexistent".into()], &[]).is_err());
    }
}
