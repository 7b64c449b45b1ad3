//! [`ImageRef`]: docker's reference grammar, in its familiar and its full form.
//!
//! Source: the grammar in the documentation of the distribution project's `reference` package.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::digest::Digest;
use crate::error::{Error, shown};
use crate::id::is_hex;
use crate::text::serde_as_text;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// What a configuration put in its place.
static CONFIGURED: OnceLock<String> = OnceLock::new();
const DEFAULT_TAG: &str = "latest";

/// Makes `domain` the registry of names that bear none, for the life of this process. The first call counts.
pub fn set_default_registry(domain: &str) {
    let _ = CONFIGURED.set(domain.to_owned());
}

fn default_domain() -> &'static str {
    CONFIGURED.get().map_or(DEFAULT_DOMAIN, String::as_str)
}

/// A normalised image reference: `domain/path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// The registry: `docker.io` when the text named none.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if the text named one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the text named one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `docker.io/library/busybox`: neither tag nor digest.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `busybox`: the shortest text that means this repository.
    pub fn familiar_name(&self) -> String {
        if self.domain != default_domain() {
            // Where another registry is the default, docker.io has to be said.
            return self.full_name();
        }
        let short = match self.path.strip_prefix(OFFICIAL).filter(|_| self.domain == DEFAULT_DOMAIN) {
            Some(short) if !short.contains('/') => short,
            _ => &self.path,
        };
        // Not so docker, which shows `docker.io/a.b/c` as `a.b/c`: that would be read as of the registry a.b.
        match parse(short) {
            Ok(read) if read.domain == self.domain && read.path == self.path => short.to_owned(),
            _ => self.full_name(),
        }
    }

    /// `docker.io/library/busybox:latest`.
    pub fn full(&self) -> String {
        self.with_suffix(self.full_name())
    }

    /// `busybox:latest`: as users write and lists show it.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// Adds `latest` if there is neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// [`Error::Reference`] if `tag` is outside the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        check_tag(tag).map_err(|why| Error::Reference { text: shown(tag), why })?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

/// Splits `name[:tag][@digest]` and normalises the name; the error says which part is wrong.
fn parse(text: &str) -> Result<ImageRef, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() == 64 && is_hex(text) {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|_| "the digest is malformed")?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (domain, path) = split_domain(name);
    check_domain(domain)?;
    let path =
        if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("{OFFICIAL}{path}") } else { path.to_owned() };
    check_path(&path)?;
    Ok(ImageRef { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
}

/// A colon after the last slash starts a tag; an earlier one belongs to the domain's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[start..].find(':') {
        Some(colon) => (&text[..start + colon], Some(&text[start + colon + 1..])),
        None => (text, None),
    }
}

/// The first component is a domain only if it looks like a host; `localhost` does.
fn split_domain(name: &str) -> (&str, &str) {
    let Some((first, rest)) = name.split_once('/') else {
        return (default_domain(), name);
    };
    let host_like = first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase());
    match (host_like, first) {
        (false, _) => (default_domain(), name),
        (true, LEGACY_DOMAIN) => (DEFAULT_DOMAIN, rest),
        (true, _) => (first, rest),
    }
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    const WHY: &str = "the registry's name is malformed";
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) => {
            let v6_ok = !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(WHY)?) };
            return if v6_ok && port.is_none_or(is_port) { Ok(()) } else { Err(WHY) };
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label_ok = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.split('.').all(label_ok) && port.is_none_or(is_port) { Ok(()) } else { Err(WHY) }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.len() > 255 {
        return Err("the repository name must not be more than 255 characters");
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("repository name must be lowercase");
    }
    if path.split('/').all(is_component) { Ok(()) } else { Err("the repository's name is malformed") }
}

/// `[a-z0-9]+` groups joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_ok = bytes.first().is_some_and(|b| alnum(*b)) && bytes.last().is_some_and(|b| alnum(*b));
    ends_ok
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first_ok = tag.bytes().next().is_some_and(word);
    let rest_ok = tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if first_ok && rest_ok && tag.len() <= 128 { Ok(()) } else { Err("the tag is malformed") }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|why| Error::Reference { text: shown(text), why })
    }
}

/// The full form.
impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

serde_as_text!(ImageRef);

#[cfg(test)]
mod tests;
