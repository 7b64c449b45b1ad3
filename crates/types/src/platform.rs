//! [`Platform`]: operating system, architecture and variant in the OCI's words.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, shown};
use crate::text::serde_as_text;

/// `os/architecture[/variant]`, normalised: `linux/amd64`, `linux/arm64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name of the architecture: `amd64`.
    pub architecture: String,
    /// `v7` of `arm`, else `None`.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that this binary runs on.
    pub fn host() -> Self {
        let (architecture, _) = normalise(std::env::consts::ARCH, None);
        Self { os: "linux".to_owned(), architecture, variant: None }
    }

    /// The platform of an image's configuration.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normalise(architecture, variant);
        Self { os: os.to_ascii_lowercase(), architecture, variant }
    }

    /// Whether an image of platform `image` runs here.
    pub fn runs(&self, image: &Self) -> bool {
        let variant_ok = match (&self.variant, &image.variant) {
            (Some(own), Some(its)) => its <= own,
            _ => true,
        };
        self.os == image.os && self.architecture == image.architecture && variant_ok
    }
}

fn normalise(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
    let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v.filter(|v| *v != "v1")),
        ("i386" | "i686" | "x86" | "386", _) => ("386", None),
        ("aarch64" | "arm64", v) => ("arm64", v.filter(|v| !matches!(*v, "8" | "v8"))),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        (other, v) => (other, v),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let word =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if text.len() > 128 || !parts.iter().all(word) {
            return Err(Error::Platform(shown(text)));
        }
        match parts[..] {
            ["linux"] => Ok(Self::host()),
            [architecture] if normalise(architecture, None).0 == Self::host().architecture => Ok(Self::host()),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(Error::Platform(shown(text))),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

serde_as_text!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_normalise() {
        let rows = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AARCH64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ];
        for (text, printed) in rows {
            assert_eq!(text.parse::<Platform>().map(|p| p.to_string()), Ok(printed.to_owned()), "{text}");
        }
        assert_eq!("linux".parse(), Ok(Platform::host()));
        for bad in ["", "/", "linux/", "a/b/c/d", "lin ux", "linux/a\0"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
