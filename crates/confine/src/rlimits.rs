//! `--ulimit name=soft[:hard]`: names, numbers and the rules of docker's parser.
//!
//! Owns the names and `RLIMIT_*` numbers. Must not know what the kernel will permit.

use serde::{Deserialize, Serialize};

use crate::Error;

/// No limit (`RLIM_INFINITY`).
pub const UNLIMITED: u64 = u64::MAX;

/// docker's name and the kernel's number (asm-generic/resource.h; the same on x86-64 and aarch64).
const NAMES: [(&str, u32); 16] = [
    ("as", 9),
    ("core", 4),
    ("cpu", 0),
    ("data", 2),
    ("fsize", 1),
    ("locks", 10),
    ("memlock", 8),
    ("msgqueue", 12),
    ("nice", 13),
    ("nofile", 7),
    ("nproc", 6),
    ("rss", 5),
    ("rtprio", 14),
    ("rttime", 15),
    ("sigpending", 11),
    ("stack", 3),
];

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit; [`UNLIMITED`] is none.
    pub soft: u64,
    /// Hard limit; [`UNLIMITED`] is none.
    pub hard: u64,
}

impl Rlimit {
    /// docker's name of the resource.
    pub fn name(&self) -> &'static str {
        NAMES.iter().find(|(_, number)| *number == self.resource).map_or("unknown", |(name, _)| name)
    }

    /// From the API's `{Name, Soft, Hard}`; -1 is unlimited.
    pub fn from_wire(name: &str, soft: i64, hard: i64) -> Result<Self, Error> {
        let resource = resource(name)?;
        let limits = Self { resource, soft: bound(soft)?, hard: bound(hard)? };
        if limits.soft > limits.hard {
            let soft = match soft {
                -1 => "soft: -1 (unlimited), hard:".to_owned(),
                _ => format!("{soft} >"),
            };
            return Err(Error::Ulimit(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} {hard}"
            )));
        }
        Ok(limits)
    }
}

/// Parses `name=soft[:hard]`. Without `hard` it is the same as `soft`. `-1` and `unlimited` mean none.
pub fn parse(text: &str) -> Result<Rlimit, Error> {
    let (name, limits) =
        text.split_once('=').ok_or_else(|| Error::Ulimit(format!("invalid ulimit argument: {text}")))?;
    resource(name)?;
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts[..] {
        [both] => (both, both),
        [soft, hard] => (soft, hard),
        _ => {
            return Err(Error::Ulimit(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            )));
        }
    };
    Rlimit::from_wire(name, number(soft)?, number(hard)?)
}

fn resource(name: &str) -> Result<u32, Error> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .ok_or_else(|| Error::Ulimit(format!("invalid ulimit type: {name}")))
}

fn number(text: &str) -> Result<i64, Error> {
    if text == "unlimited" {
        return Ok(-1);
    }
    text.parse().map_err(|_| Error::Ulimit(format!("invalid ulimit value: {text:?}")))
}

fn bound(value: i64) -> Result<u64, Error> {
    match value {
        -1 => Ok(UNLIMITED),
        _ => u64::try_from(value).map_err(|_| Error::Ulimit(format!("invalid ulimit value: \"{value}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        let table = [
            ("nofile=1024", 7, 1024, 1024),
            ("nofile=1024:2048", 7, 1024, 2048),
            ("core=0", 4, 0, 0),
            ("memlock=-1", 8, UNLIMITED, UNLIMITED),
            ("memlock=5:-1", 8, 5, UNLIMITED),
            ("nproc=unlimited:unlimited", 6, UNLIMITED, UNLIMITED),
            ("rttime=9223372036854775807", 15, i64::MAX as u64, i64::MAX as u64),
        ];
        for (text, resource, soft, hard) in table {
            let expected = Rlimit { resource, soft, hard };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (name, _) in NAMES {
            assert_eq!(parse(&format!("{name}=1")).unwrap().name(), name);
        }
    }

    #[test]
    fn refused() {
        let table = [
            ("nofile", "invalid ulimit argument: nofile"),
            ("", "invalid ulimit argument: "),
            ("files=1", "invalid ulimit type: files"),
            ("NOFILE=1", "invalid ulimit type: NOFILE"),
            ("nofile=", "invalid ulimit value: \"\""),
            ("nofile=1k", "invalid ulimit value: \"1k\""),
            ("nofile=-2", "invalid ulimit value: \"-2\""),
            ("nofile=99999999999999999999", "invalid ulimit value: \"99999999999999999999\""),
            ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            (
                "nofile=-1:1",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 1",
            ),
        ];
        for (text, message) in table {
            let error = parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
    }
}
