//! The parameter that chooses among the platforms of an image. hull keeps one: it is the one that is asked for, or there is none.

use hull_types::{Fault, Platform};
use serde::Deserialize;

use crate::query::{Query, wrong};

/// As the OCI writes it.
#[derive(Deserialize)]
struct Document {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// The platforms that are asked for: a JSON document each, or `os/architecture[/variant]`.
pub(super) fn all(query: &Query) -> Result<Vec<Platform>, Fault> {
    query.all("platform").iter().filter(|text| !text.is_empty()).map(|text| parse("platform", text)).collect()
}

/// The only one, where no more than one may be given.
pub(super) fn one(query: &Query) -> Result<Option<Platform>, Fault> {
    let mut all = all(query)?;
    match all.len() {
        0 | 1 => Ok(all.pop()),
        _ => Err(Fault::invalid("multiple platform parameters are not supported")),
    }
}

/// An archive's images of this machine's platform are loaded: another one cannot be chosen.
pub(super) fn loads(query: &Query) -> Result<(), Fault> {
    let host = Platform::host();
    match all(query)?.iter().find(|wanted| !host.runs(wanted)) {
        None => Ok(()),
        Some(other) => Err(Fault::unsupported(format!("hull loads images for {host}, and none for {other}"))),
    }
}

/// An image is removed as a whole.
pub(super) fn removes(query: &Query) -> Result<(), Fault> {
    let Some(text) = query.text("platforms") else { return Ok(()) };
    parse("platforms", &text)?;
    Err(Fault::unsupported("hull keeps one platform of an image: `platforms` cannot choose what is removed"))
}

fn parse(key: &str, text: &str) -> Result<Platform, Fault> {
    if !text.trim_start().starts_with('{') {
        return Ok(text.parse::<Platform>()?);
    }
    match serde_json::from_str::<Document>(text) {
        Ok(document) => Ok(Platform::new(&document.os, &document.architecture, document.variant.as_deref())),
        Err(error) => Err(wrong(key, text, "it must be an OCI platform").cause(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Target;

    #[test]
    fn platforms_are_documents_or_words() {
        let query = |text: &str| Target::parse(&format!("/x?{text}")).unwrap().query;
        let both = query("platform=linux/arm64&platform=%7B%22os%22:%22linux%22,%22architecture%22:%22arm%22%7D");
        let names: Vec<String> = all(&both).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["linux/arm64", "linux/arm/v7"]);
        assert!(one(&both).is_err() && loads(&both).is_err());
        assert_eq!(one(&query("platform=")).unwrap(), None);
        assert!(removes(&query("platforms=linux/amd64")).is_err() && removes(&query("")).is_ok());
        for bad in ["platform=%7B%7D", "platform=%7B%22os%22:1%7D", "platform=a/b/c/d/e"] {
            assert!(all(&query(bad)).is_err(), "{bad}");
        }
    }
}
