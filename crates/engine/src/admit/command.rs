//! What runs: the request merged with the image, as docker merges.

use std::collections::BTreeMap;

use hull_image::RunConfig;
use hull_launch::compile::DEFAULT_PATH;
use hull_types::Fault;
use hull_wire as wire;

use super::health;
use super::text::shown;

/// The request's `Config` completed from the image's.
pub(super) fn merge(request: &wire::ContainerConfig, image: &RunConfig) -> Result<wire::ContainerConfig, Fault> {
    let mut config = request.clone();
    variables(&config.env)?;
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    config.working_dir = directory(&config.working_dir)?;
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    config.exposed_ports.extend(image.exposed_ports.keys().map(|port| (port.clone(), wire::Empty {})));
    config.volumes.extend(image.volumes.keys().map(|path| (path.clone(), wire::Empty {})));
    config.env = overlay(&image.env, &config.env);
    if config.on_build.is_empty() {
        config.on_build.clone_from(&image.on_build);
    }
    command(&mut config, image);
    health::merge(&mut config.healthcheck, image.healthcheck.as_ref());
    if argv(&config).is_empty() {
        return Err(
            Fault::invalid("no command specified").hint("the image names none: give one after the image's name")
        );
    }
    Ok(config)
}

/// A command of the request replaces the image's; an entrypoint of the request also drops the image's
/// command; an entrypoint of one empty word means none at all.
fn command(config: &mut wire::ContainerConfig, image: &RunConfig) {
    let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if empty(&config.entrypoint) {
        if empty(&config.cmd) {
            config.cmd = some(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint = some(&image.entrypoint);
        }
    }
    if config.entrypoint.as_deref().is_some_and(|words| words == [""]) {
        config.entrypoint = None;
    }
}

/// Entrypoint and command, one after the other.
pub(super) fn argv(config: &wire::ContainerConfig) -> Vec<String> {
    config.entrypoint.iter().chain(&config.cmd).flatten().cloned().collect()
}

/// What the process finds in its environment: `PATH`, `HOSTNAME` and, with a terminal, `TERM`, then
/// the configured ones, each replacing an earlier one; a name without `=` removes.
pub(super) fn environment(config: &wire::ContainerConfig) -> Vec<String> {
    let mut base = vec![format!("PATH={DEFAULT_PATH}"), format!("HOSTNAME={}", config.hostname)];
    if config.tty {
        base.push("TERM=xterm".to_owned());
    }
    overlay(&base, &config.env).into_iter().filter(|pair| pair.contains('=')).collect()
}

/// `over` after `base`; an entry replaces the earlier one of its name, in place.
pub(super) fn overlay(base: &[String], over: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(base.len() + over.len());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for pair in base.iter().chain(over) {
        let key = pair.split('=').next().unwrap_or_default();
        match places.get(key) {
            Some(&place) => all[place].clone_from(pair),
            None => {
                places.insert(key.to_owned(), all.len());
                all.push(pair.clone());
            }
        }
    }
    all
}

/// Every entry has a name.
pub(super) fn variables(env: &[String]) -> Result<(), Fault> {
    match env.iter().find(|pair| pair.is_empty() || pair.starts_with('=')) {
        Some(pair) => Err(Fault::invalid(format!("invalid environment variable: {}", shown(pair)))),
        None => Ok(()),
    }
}

/// An absolute path without `.`, `..` and doubled slashes; empty is `/`.
pub(super) fn directory(path: &str) -> Result<String, Fault> {
    if path.is_empty() {
        return Ok("/".to_owned());
    }
    if !path.starts_with('/') {
        return Err(Fault::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            shown(path).trim_matches('"')
        )));
    }
    Ok(clean(path))
}

/// Go's `path.Clean` for absolute paths.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Image entrypoint, image cmd, request entrypoint, request cmd, argv.
    type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a str);

    #[test]
    fn commands_merge_as_dockers() {
        let rows: &[Row<'_>] = &[
            ("", "sh", None, None, "sh"),
            ("", "sh", None, Some("ls -l"), "ls -l"),
            ("init", "sh", None, None, "init sh"),
            ("init", "sh", None, Some("x"), "init x"),
            ("init", "sh", Some("other"), None, "other"),
            ("init", "sh", Some("other"), Some("a b"), "other a b"),
            ("init", "sh", Some(""), Some("x"), "x"),
        ];
        for (entry, cmd, own_entry, own_cmd, want) in rows {
            let image = RunConfig { entrypoint: words(entry), cmd: words(cmd), ..RunConfig::default() };
            let request = wire::ContainerConfig {
                entrypoint: own_entry.map(words),
                cmd: own_cmd.map(words),
                ..wire::ContainerConfig::default()
            };
            let got = merge(&request, &image).map(|config| argv(&config));
            assert_eq!(got, Ok(words(want)), "{entry:?} {cmd:?} {own_entry:?} {own_cmd:?}");
        }
        let image = RunConfig { entrypoint: words("init"), cmd: words("sh"), ..RunConfig::default() };
        let reset = wire::ContainerConfig {
            entrypoint: Some(vec![String::new()]),
            cmd: Some(words("x")),
            ..wire::ContainerConfig::default()
        };
        assert_eq!(argv(&merge(&reset, &image).unwrap()), ["x"]);
        let none = merge(&wire::ContainerConfig::default(), &RunConfig::default());
        assert_eq!(none.unwrap_err().summary, "no command specified");
    }

    #[test]
    fn variables_replace_in_place_and_can_be_removed() {
        let config = wire::ContainerConfig {
            hostname: "h".to_owned(),
            tty: true,
            env: vec!["A=1".into(), "TERM=dumb".into(), "A=2".into(), "PATH".into(), "E=".into()],
            ..wire::ContainerConfig::default()
        };
        assert_eq!(environment(&config), ["HOSTNAME=h", "TERM=dumb", "A=2", "E="]);
        for bad in ["", "=x"] {
            assert!(variables(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, want) in [("/", "/"), ("//a//b/", "/a/b"), ("/a/../..", "/"), ("/a/./b/..", "/a")] {
            assert_eq!(clean(path), want);
        }
        assert_eq!(directory("").as_deref(), Ok("/"));
        assert!(directory("rel").unwrap_err().summary.contains("needs to be an absolute path"));
    }
}
