//! `--change`: Dockerfile instructions applied to a configuration. Pure.
//!
//! Source: docker's reference of `import --change` and of the Dockerfile.

use crate::{Empty, Error, Healthcheck, Result, RunConfig};

mod words;

use words::{expand, split};

/// The configuration that the instructions make, applied in order.
pub(crate) fn apply(changes: &[String]) -> Result<RunConfig> {
    apply_to(RunConfig::default(), changes)
}

/// As [`apply`], on top of a configuration.
pub(crate) fn apply_to(mut config: RunConfig, changes: &[String]) -> Result<RunConfig> {
    for change in changes {
        one(&mut config, change)
            .map_err(|why| Error::Change { instruction: change.escape_debug().to_string(), why })?;
    }
    Ok(config)
}

type Done = std::result::Result<(), &'static str>;

fn one(config: &mut RunConfig, change: &str) -> Done {
    if change.len() > 1 << 16 || change.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
        return Err("it is too long or holds control characters");
    }
    let change = change.trim();
    let (keyword, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err("it lacks its argument");
    }
    match keyword.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = command(rest)?,
        "ENTRYPOINT" => config.entrypoint = command(rest)?,
        "ENV" => env(config, rest)?,
        "LABEL" => {
            let pairs = pairs(config, rest)?;
            config.labels.extend(pairs);
        }
        "EXPOSE" => expose(config, rest)?,
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "STOPSIGNAL" => {
            let signal = expand(rest, &config.env)?;
            signal.parse::<hull_types::Signal>().map_err(|_| "it names no signal")?;
            config.stop_signal = signal;
        }
        "USER" => config.user = expand(rest, &config.env)?,
        "VOLUME" => volume(config, rest)?,
        "WORKDIR" => workdir(config, rest)?,
        _ => {
            return Err(
                "only CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are allowed",
            );
        }
    }
    Ok(())
}

/// A JSON list of words, or a line for the shell.
fn command(text: &str) -> std::result::Result<Vec<String>, &'static str> {
    match json_words(text) {
        Some(words) => Ok(words),
        None => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()]),
    }
}

fn json_words(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

fn env(config: &mut RunConfig, text: &str) -> Done {
    for (name, value) in pairs(config, text)? {
        let line = format!("{name}={value}");
        let prefix = format!("{name}=");
        match config.env.iter_mut().find(|old| old.starts_with(&prefix)) {
            Some(old) => *old = line,
            None => config.env.push(line),
        }
    }
    Ok(())
}

/// `name=value …`, or the old form `name the rest`.
fn pairs(config: &RunConfig, text: &str) -> std::result::Result<Vec<(String, String)>, &'static str> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("it lacks a value")?;
        return Ok(vec![(name.to_owned(), expand(value.trim(), &config.env)?)]);
    }
    split(text)?
        .iter()
        .map(|word| {
            let word = expand(word, &config.env)?;
            let (name, value) = word.split_once('=').ok_or("a word has no `=`")?;
            if name.is_empty() { Err("a name is empty") } else { Ok((name.to_owned(), value.to_owned())) }
        })
        .collect()
}

fn expose(config: &mut RunConfig, text: &str) -> Done {
    const WHY: &str = "a port must be a number or a range with an optional /tcp, /udp or /sctp";
    for word in split(text)? {
        let word = expand(&word, &config.env)?;
        let (ports, protocol) = word.split_once('/').unwrap_or((&word, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(WHY);
        }
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(WHY);
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(WHY);
        }
        config.exposed_ports.extend((first..=last).map(|port| (format!("{port}/{protocol}"), Empty {})));
    }
    Ok(())
}

fn volume(config: &mut RunConfig, text: &str) -> Done {
    let paths = match json_words(text) {
        Some(words) => words,
        None => split(text)?,
    };
    for path in paths {
        let path = expand(&path, &config.env)?;
        if path.trim().is_empty() {
            return Err("a path is empty");
        }
        config.volumes.insert(path, Empty {});
    }
    Ok(())
}

/// A relative directory is meant beneath the one before.
fn workdir(config: &mut RunConfig, text: &str) -> Done {
    let path = expand(text, &config.env)?;
    let before = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let joined = std::path::Path::new(before).join(path);
    let mut out = std::path::PathBuf::from("/");
    for component in joined.components() {
        match component {
            std::path::Component::Normal(name) => out.push(name),
            std::path::Component::ParentDir => _ = out.pop(),
            _ => {}
        }
    }
    config.working_dir = out.to_string_lossy().into_owned();
    Ok(())
}

fn healthcheck(text: &str) -> std::result::Result<Healthcheck, &'static str> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).ok_or("it lacks CMD or NONE")?;
        let (name, value) = option.split_once('=').ok_or("an option has no `=`")?;
        let duration = || {
            let parsed: hull_types::GoDuration = value.parse().map_err(|_| "an option is no duration")?;
            Ok::<i64, &'static str>(parsed.nanos())
        };
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => check.retries = value.parse().map_err(|_| "retries is no number")?,
            _ => return Err("it has an unknown option"),
        }
        rest = after.trim_start();
    }
    let (keyword, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (keyword.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match json_words(command) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err("it lacks CMD and a command, or NONE"),
    };
    Ok(check)
}

#[cfg(test)]
mod tests;
