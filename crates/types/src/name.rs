//! [`Name`]: what a user calls a container or a volume.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::error::{Error, shown};
use crate::text::serde_as_text;

/// The longest name: one path component. docker has no limit and fails later.
pub(crate) const MAX_LEN: usize = 255;

/// A name in docker's grammar `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, without the leading slash of the API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The name without a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the API shows it: with a leading slash.
    pub fn slashed(&self) -> String {
        format!("/{}", self.0)
    }
}

impl FromStr for Name {
    type Err = Error;

    /// Parses a name; one leading slash is taken off, as docker does.
    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.strip_prefix('/').unwrap_or(text);
        if name.len() > MAX_LEN {
            return Err(Error::NameLength(name.len()));
        }
        let mut bytes = name.bytes();
        let first_ok = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest_ok = name.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if first_ok && rest_ok { Ok(Self(name.to_owned())) } else { Err(Error::Name(shown(text))) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

serde_as_text!(Name);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_grammar() {
        for good in ["web", "a1", "A_b.c-d", "0x", "/web"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        let long = "a".repeat(1 << 20);
        for bad in ["", "a", "/", "_a", ".a", "-a", "a b", "a/b", "a\n", "a\0b", "é1", "../x", "//a1", &long] {
            let error = bad.parse::<Name>().expect_err(bad);
            assert!(error.to_string().len() < 300);
        }
    }
}
