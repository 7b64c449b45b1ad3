//! Devices: the nodes every container has, the device cgroup's rules, `--device` and
//! `--device-cgroup-rule`.
//!
//! Owns docker's defaults and spellings. Must not look at the host's `/dev`; the caller stats a node.
//! Invariant: a list of [`Rule`]s is applied after denying everything; no rule here denies.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `a`: character and block devices.
    All,
    /// `c`: character devices.
    Char,
    /// `b`: block devices.
    Block,
}

/// What a rule permits: some of read, write and mknod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `m`
    pub mknod: bool,
}

impl Access {
    /// `rwm`
    pub const RWM: Self = Self { read: true, write: true, mknod: true };
    /// `m`
    const MKNOD: Self = Self { read: false, write: false, mknod: true };

    /// One to three different letters of `rwm`.
    fn parse(text: &str) -> Option<Self> {
        let mut access = Self { read: false, write: false, mknod: false };
        for letter in text.bytes() {
            let field = match letter {
                b'r' => &mut access.read,
                b'w' => &mut access.write,
                b'm' => &mut access.mknod,
                _ => return None,
            };
            if std::mem::replace(field, true) {
                return None;
            }
        }
        (!text.is_empty()).then_some(access)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.mknod, "m")];
        letters.iter().filter(|(set, _)| *set).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// One permission of the device cgroup. Prints as cgroup v1's `devices.allow` wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Character, block or both.
    pub kind: Kind,
    /// Major number; `None` is any.
    pub major: Option<u32>,
    /// Minor number; `None` is any.
    pub minor: Option<u32>,
    /// What is permitted.
    pub access: Access,
}

impl Rule {
    /// Everything: `a *:* rwm`.
    pub const ALL: Self = Self { kind: Kind::All, major: None, minor: None, access: Access::RWM };

    const fn char(major: u32, minor: Option<u32>) -> Self {
        Self { kind: Kind::Char, major: Some(major), minor, access: Access::RWM }
    }

    const fn mknod(kind: Kind) -> Self {
        Self { kind, major: None, minor: None, access: Access::MKNOD }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::All => 'a',
            Kind::Char => 'c',
            Kind::Block => 'b',
        };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        write!(f, "{kind} {major}:{minor} {}", self.access)
    }
}

/// What every container may use: its own nodes, its terminals, and making (not opening) any node.
/// As runc's built-in list: null, full, zero, random, urandom, tty, console, ptmx, pts, tun.
pub fn default_rules() -> Vec<Rule> {
    vec![
        Rule::mknod(Kind::Char),
        Rule::mknod(Kind::Block),
        Rule::char(1, Some(3)),
        Rule::char(1, Some(5)),
        Rule::char(1, Some(7)),
        Rule::char(1, Some(8)),
        Rule::char(1, Some(9)),
        Rule::char(5, Some(0)),
        Rule::char(5, Some(1)),
        Rule::char(5, Some(2)),
        Rule::char(136, None),
        Rule::char(10, Some(200)),
    ]
}

/// A device node that every container has: character, mode 0666, owned by the container's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Path in the container.
    pub path: &'static str,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The nodes of a container's `/dev`. ptmx is a link into devpts, console is bound from the terminal.
pub const NODES: [Node; 6] = [
    Node::new("/dev/null", 1, 3),
    Node::new("/dev/zero", 1, 5),
    Node::new("/dev/full", 1, 7),
    Node::new("/dev/random", 1, 8),
    Node::new("/dev/urandom", 1, 9),
    Node::new("/dev/tty", 5, 0),
];

/// The symbolic links of a container's `/dev`: path and target.
pub const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

impl Node {
    const fn new(path: &'static str, major: u32, minor: u32) -> Self {
        Self { path, major, minor }
    }
}

/// One `--device`: a host path, where it appears, and what the cgroup permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Absolute path on the host.
    pub host: String,
    /// Absolute path in the container.
    pub container: String,
    /// What is permitted.
    pub access: Access,
}

impl Mapping {
    /// From the API's `{PathOnHost, PathInContainer, CgroupPermissions}`; the last two may be empty.
    pub fn from_wire(host: &str, container: &str, permissions: &str) -> Result<Self, Error> {
        let container = if container.is_empty() { host } else { container };
        let access = match permissions {
            "" => Access::RWM,
            text => Access::parse(text).ok_or_else(|| Error::Device(format!("bad mode specified: {text}")))?,
        };
        for path in [host, container] {
            absolute(path)?;
        }
        Ok(Self { host: host.to_owned(), container: container.to_owned(), access })
    }
}

/// Parses `--device /dev/x[:/inside][:rwm]`.
pub fn parse_device(text: &str) -> Result<Mapping, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, mode) = match parts[..] {
        [host] => (host, "", ""),
        [host, second] if Access::parse(second).is_some() => (host, "", second),
        [host, container] => (host, container, "rwm"),
        [host, container, mode] => (host, container, if mode.is_empty() { "-" } else { mode }),
        _ => {
            return Err(Error::Device(format!("invalid device specification: {text}")));
        }
    };
    if !host.starts_with('/') && is_cdi(text) {
        return Err(Error::CdiDevice(text.to_owned()));
    }
    Mapping::from_wire(host, container, mode)
}

/// `vendor.com/class=name`
fn is_cdi(text: &str) -> bool {
    text.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
}

fn absolute(path: &str) -> Result<(), Error> {
    if !path.starts_with('/') {
        return Err(Error::Device(format!("{path} is not an absolute path")));
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(Error::Device(format!("bad format for path: {path:?}")));
    }
    Ok(())
}

/// Parses `--device-cgroup-rule 'c 1:3 rwm'`: one space between the parts, `*` for any number.
pub fn parse_rule(text: &str) -> Result<Rule, Error> {
    rule(text).ok_or_else(|| Error::DeviceRule(text.to_owned()))
}

fn rule(text: &str) -> Option<Rule> {
    let mut parts = text.split(' ');
    let (kind, numbers, access) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let kind = match kind {
        "a" => Kind::All,
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = numbers.split_once(':')?;
    Some(Rule { kind, major: number(major)?, minor: number(minor)?, access: Access::parse(access)? })
}

/// `Some(None)` for `*`.
fn number(text: &str) -> Option<Option<u32>> {
    match text {
        "*" => Some(None),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_accepted() {
        let table = [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm"),
            ("/dev/sda:/dev/xvdc", "/dev/sda", "/dev/xvdc", "rwm"),
            ("/dev/sda:r", "/dev/sda", "/dev/sda", "r"),
            ("/dev/sda:/dev/xvdc:mr", "/dev/sda", "/dev/xvdc", "rm"),
            ("/dev/sda::w", "/dev/sda", "/dev/sda", "w"),
            ("/dev/sda:", "/dev/sda", "/dev/sda", "rwm"),
        ];
        for (text, host, container, access) in table {
            let mapping = parse_device(text).unwrap();
            let got = (&*mapping.host, &*mapping.container, mapping.access.to_string());
            assert_eq!(got, (host, container, access.to_owned()), "{text}");
        }
    }

    #[test]
    fn devices_refused() {
        let table = [
            ("", " is not an absolute path"),
            ("dev/sda", "dev/sda is not an absolute path"),
            ("/dev/sda:rr", "rr is not an absolute path"),
            ("/dev/sda:/x:", "bad mode specified: -"),
            ("/dev/sda:/x:rwx", "bad mode specified: rwx"),
            ("/dev/sda:/x:rwmr", "bad mode specified: rwmr"),
            ("/dev/a:/b:r:w", "invalid device specification: /dev/a:/b:r:w"),
            ("/dev/a:/b/../../c", "bad format for path: \"/b/../../c\""),
            ("/dev/a\0", "bad format for path: \"/dev/a\\0\""),
            ("nvidia.com/gpu=all", "CDI device injection is not supported: nvidia.com/gpu=all"),
        ];
        for (text, message) in table {
            assert_eq!(parse_device(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn rules_round_trip() {
        for text in ["c 1:3 rwm", "b 8:* r", "a *:* rwm", "c 136:* rw", "c *:* m"] {
            assert_eq!(parse_rule(text).unwrap().to_string(), text);
        }
        assert_eq!(parse_rule("a *:* rwm"), Ok(Rule::ALL));
    }

    #[test]
    fn rules_refused() {
        let table = [
            "",
            "a",
            "c 1:3",
            "c 1:3 ",
            "c  1:3 rwm",
            "c 1:3 rwm ",
            "c 1:3 rwmr",
            "c 1:3 rr",
            "c 1:3 x",
            "d 1:3 r",
            "c -1:3 r",
            "c +1:3 r",
            "c 1 r",
            "c :3 r",
            "c 1: r",
            "c 4294967296:1 r",
            "c 1:3 rwm\nb *:* rwm",
            "C 1:3 r",
        ];
        for text in table {
            let message = format!("invalid device cgroup rule format: '{text}'");
            assert_eq!(parse_rule(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_defaults_open_no_block_device() {
        for rule in default_rules() {
            let opens = rule.access.read || rule.access.write;
            assert!(!opens || (rule.kind == Kind::Char && rule.major.is_some()), "{rule}");
        }
        for node in NODES {
            let rule = Rule::char(node.major, Some(node.minor));
            assert!(default_rules().contains(&rule), "{}", node.path);
        }
    }
}
