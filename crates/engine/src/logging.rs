//! What a container's lines are marked with, and the handing on of them.

use std::sync::Arc;

use hull_logs::forward::{Origin, forward};
use hull_types::Fault;
use regex_lite::Regex;

use crate::admit;
use crate::container::Container;
use crate::container::record::Definition;
use crate::core::Core;

/// The fields that a tag may have, in docker's words.
const FIELDS: [&str; 8] = ["ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command"];

/// Digits of a short id.
const SHORT: usize = 12;

/// Checks the option `tag`: text with `{{.Field}}`.
///
/// # Errors
/// Anything else in braces.
pub(crate) fn check_tag(tag: &str) -> Result<(), Fault> {
    expand(tag, |field| FIELDS.contains(&field).then(String::new)).map(drop).ok_or_else(|| {
        Fault::invalid("the log option `tag` has something in braces that is none of docker's fields")
            .hint(format!("there are {}", FIELDS.map(|field| format!("{{{{.{field}}}}}")).join(", ")))
    })
}

fn expand(tag: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (mut out, mut rest) = (String::new(), tag);
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, tail) = after.split_once("}}")?;
        out.push_str(before);
        out.push_str(&value(field.trim().strip_prefix('.')?)?);
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

fn option<'a>(definition: &'a Definition, key: &str) -> Option<&'a str> {
    definition.host_config.log_config.config.get(key).map(String::as_str)
}

fn tag(definition: &Definition, template: &str) -> String {
    let short = |text: &str| text.trim_start_matches("sha256:").chars().take(SHORT).collect::<String>();
    let value = |field: &str| {
        Some(match field {
            "ID" => short(definition.id.as_str()),
            "FullID" => definition.id.to_string(),
            "Name" => definition.name.to_string(),
            "ImageID" => short(&definition.image),
            "ImageFullID" => definition.image.clone(),
            "ImageName" => definition.config.image.clone(),
            "DaemonName" => "docker".to_owned(),
            "Command" => definition.spec.process.argv.join(" "),
            _ => return None,
        })
    };
    expand(template, value).unwrap_or_default()
}

/// A pattern for names; an empty one fits none.
///
/// # Errors
/// It is none.
pub(crate) fn pattern(text: &str) -> Result<Option<Regex>, regex_lite::Error> {
    if text.is_empty() { Ok(None) } else { Regex::new(text).map(Some) }
}

/// The labels and variables that the options name or describe, sorted.
fn marks(definition: &Definition) -> Vec<(String, String)> {
    let mut marks = Vec::new();
    let described = |key, name: &str| {
        let pattern = pattern(option(definition, key).unwrap_or_default());
        pattern.ok().flatten().is_some_and(|pattern| pattern.is_match(name))
    };
    let labels = definition.config.labels.iter().filter(|(name, _)| described("labels-regex", name));
    marks.extend(labels.map(|(name, value)| (name.clone(), value.clone())));
    let variables = definition.config.env.iter().filter_map(|pair| pair.split_once('='));
    let variables = variables.filter(|(name, _)| described("env-regex", name));
    marks.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let names = |key| option(definition, key).unwrap_or_default().split(',').filter(|name| !name.is_empty());
    for name in names("labels") {
        marks.extend(definition.config.labels.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    for name in names("env") {
        let pairs = definition.config.env.iter().filter_map(|pair| pair.split_once('='));
        marks.extend(pairs.filter(|(key, _)| *key == name).map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    marks.sort();
    marks.dedup();
    marks
}

/// What `logs --details` puts before each line. COMPAT(docker 28): only `json-file` knows them.
pub(crate) fn details(definition: &Definition) -> String {
    if definition.spec.log.driver != "json-file" {
        return String::new();
    }
    let mut all = marks(definition);
    all.extend(
        option(definition, "tag").filter(|tag| !tag.is_empty()).map(|tag_| ("tag".to_owned(), tag(definition, tag_))),
    );
    all.sort();
    let pairs = all.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// As in the query of a URL.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Begins to hand on what the run that begins, or goes on, will write.
pub(crate) fn follow(core: &Core, container: &Arc<Container>, definition: &Definition) {
    let target = match admit::log_target(&definition.host_config.log_config) {
        Ok(Some(target)) => target,
        Ok(None) => return,
        Err(fault) => {
            tracing::warn!(container = %definition.name, cause = %fault, "its lines are in the log only");
            return;
        }
    };
    let template = option(definition, "tag").filter(|tag| !tag.is_empty()).unwrap_or("{{.ID}}");
    let name = |field: &str| field.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_uppercase();
    let own = [
        ("CONTAINER_ID", tag(definition, "{{.ID}}")),
        ("CONTAINER_ID_FULL", definition.id.to_string()),
        ("CONTAINER_NAME", definition.name.to_string()),
        ("CONTAINER_TAG", tag(definition, template)),
        ("IMAGE_NAME", definition.config.image.clone()),
    ];
    let fields = own.map(|(name, value)| (name.to_owned(), value)).into_iter();
    let origin = Origin {
        tag: tag(definition, template),
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        fields: fields.chain(marks(definition).into_iter().map(|(key, value)| (name(&key), value))).collect(),
    };
    core.runtime.spawn(forward(container.spool.reader_at_end(), target, origin));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_dockers_fields() {
        for good in ["", "plain", "{{.Name}}", "a/{{ .ID }}-{{.ImageName}}"] {
            assert!(check_tag(good).is_ok(), "{good}");
        }
        for bad in ["{{", "{{.Foo}}", "{{Name}}", "{{.Name}}{{", "{{.ExtraAttributes nil}}"] {
            assert!(check_tag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn details_are_escaped_as_docker_does() {
        assert_eq!(escaped("ld/0984/busy box,c=d"), "ld%2F0984%2Fbusy+box%2Cc%3Dd");
    }
}
