//! What the options of docker's local driver mean: `type`, `device`, `o`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_mount::{NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME};

use crate::Result;
use crate::error::Error;

/// What a volume shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory of its own.
    Own,
    /// A directory of the host.
    Shown(Shown),
    /// A file system that is mounted while somebody uses it.
    Mounted(FileSystem),
}

/// A directory of the host (`type=none,o=bind`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it is.
    pub path: PathBuf,
    /// With what is mounted in it (`rbind`).
    pub recursive: bool,
    /// `MOUNT_ATTR_*`.
    pub attrs: u64,
}

/// A file system as the kernel is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type.
    pub kind: String,
    /// What is mounted: a device, an address, a word.
    pub device: String,
    /// `MOUNT_ATTR_*`.
    pub attrs: u64,
    /// Flags and values for the file system.
    pub options: Vec<(String, Option<String>)>,
}

/// The longest string that the kernel takes for one option.
const LONGEST: usize = 255;

/// Reads them. COMPAT(docker 28): its words.
///
/// # Errors
/// An unknown, missing or malformed option; one for what hull does not do.
pub fn content(options: &BTreeMap<String, String>) -> Result<Content> {
    if let Some(unknown) = options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size")) {
        return Err(Error::UnknownOption(shown(unknown)));
    }
    if options.is_empty() {
        return Ok(Content::Own);
    }
    if options.contains_key("size") {
        return Err(Error::Bounded);
    }
    let text = |key: &'static str| options.get(key).map_or("", String::as_str);
    for required in ["device", "type"] {
        if text(required).is_empty() {
            return Err(Error::MissingOption(required));
        }
    }
    let words: Vec<&str> = text("o").split(',').filter(|word| !word.is_empty()).collect();
    let too_long = |word: &&str| word.len() > LONGEST || word.contains('\0');
    for (option, words) in [("type", &[text("type")][..]), ("device", &[text("device")]), ("o", &words)] {
        if let Some(word) = words.iter().copied().find(too_long) {
            return Err(Error::BadOption { option, value: shown(word) });
        }
    }
    let recursive = words.contains(&"rbind");
    if recursive || words.contains(&"bind") {
        return bind(text("type"), text("device"), &words, recursive);
    }
    file_system(text("type"), text("device"), &words)
}

fn bind(kind: &str, device: &str, words: &[&str], recursive: bool) -> Result<Content> {
    if !matches!(kind, "none" | "bind") {
        return Err(Error::BadOption { option: "type", value: shown(kind) });
    }
    let path = PathBuf::from(device);
    if !path.is_absolute() {
        return Err(Error::Relative(shown(device)));
    }
    let mut attrs = 0;
    for word in words.iter().filter(|word| !matches!(**word, "bind" | "rbind")) {
        attrs = change(attrs, word).ok_or_else(|| Error::BadOption { option: "o", value: shown(word) })?;
    }
    Ok(Content::Shown(Shown { path, recursive, attrs }))
}

fn file_system(kind: &str, device: &str, words: &[&str]) -> Result<Content> {
    let (mut attrs, mut options) = (0, Vec::new());
    for word in words {
        if *word == "remount" {
            return Err(Error::BadOption { option: "o", value: shown(word) });
        }
        match (change(attrs, word), word.split_once('=')) {
            (Some(changed), _) => attrs = changed,
            (None, Some((key, value))) => options.push((key.to_owned(), Some(value.to_owned()))),
            (None, None) => options.push(((*word).to_owned(), None)),
        }
    }
    if attrs & RDONLY != 0 {
        // Of the file system too: its device may not be writable.
        options.insert(0, ("ro".to_owned(), None));
    }
    Ok(Content::Mounted(FileSystem { kind: kind.to_owned(), device: device.to_owned(), attrs, options }))
}

/// The attributes of the mount after a word of mount(8); `None`: it is none of those.
fn change(attrs: u64, word: &str) -> Option<u64> {
    let (bit, set) = match word {
        "ro" => (RDONLY, true),
        "rw" => (RDONLY, false),
        "nosuid" => (NOSUID, true),
        "suid" => (NOSUID, false),
        "nodev" => (NODEV, true),
        "dev" => (NODEV, false),
        "noexec" => (NOEXEC, true),
        "exec" => (NOEXEC, false),
        "noatime" => (NOATIME, true),
        "atime" => (NOATIME, false),
        "nodiratime" => (NODIRATIME, true),
        "diratime" => (NODIRATIME, false),
        "strictatime" => (STRICTATIME, true),
        "nostrictatime" => (STRICTATIME, false),
        "nosymfollow" => (NOSYMFOLLOW, true),
        "defaults" | "relatime" => (0, true),
        _ => return None,
    };
    Some(if set { attrs | bit } else { attrs & !bit })
}

fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Content, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        content(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_those_of_dockers_local_driver() {
        assert_eq!(read(""), Ok(Content::Own));
        let shown = |attrs, recursive| Content::Shown(Shown { path: "/srv".into(), recursive, attrs });
        assert_eq!(read("type=none o=bind device=/srv"), Ok(shown(0, false)));
        assert_eq!(read("type=none o=rbind,ro,nodev device=/srv"), Ok(shown(RDONLY | NODEV, true)));
        let made = |kind: &str, device: &str, attrs, options: &[(&str, Option<&str>)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
            Ok(Content::Mounted(FileSystem { kind: kind.into(), device: device.into(), attrs, options }))
        };
        assert_eq!(
            read("type=tmpfs device=tmpfs o=size=1m,uid=7,noexec"),
            made("tmpfs", "tmpfs", NOEXEC, &[("size", Some("1m")), ("uid", Some("7"))])
        );
        assert_eq!(
            read("type=nfs device=:/x o=addr=10.0.0.1,ro,nolock"),
            made("nfs", ":/x", RDONLY, &[("ro", None), ("addr", Some("10.0.0.1")), ("nolock", None)])
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let long = format!("type=tmpfs device=tmpfs o={}", "x".repeat(300));
        for (text, sentence) in [
            ("foo=bar", "invalid option: \"foo\""),
            ("type=none", "missing required option: \"device\""),
            ("device=/tmp", "missing required option: \"type\""),
            ("o=bind", "missing required option: \"device\""),
            ("size=1m", "a volume's size cannot be bounded: the option `size` is not supported"),
            ("type=none o=bind device=srv", "the option `device` must be an absolute path, not `srv`"),
            ("type=none o=bind,foo device=/srv", "the option `o` cannot have `foo`"),
            ("type=ext4 o=bind device=/srv", "the option `type` cannot have `ext4`"),
            ("type=tmpfs o=remount device=x", "the option `o` cannot have `remount`"),
            (&long, "the option `o` cannot have"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(sentence), "{text}: {error}");
        }
    }
}
