//! The options of a mount, in mount(8)'s words and runtime-spec's.

use crate::error::{Error, Result};

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const ATIME: u64 = 0x70;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

const UNBINDABLE: u64 = 1 << 17;
const PRIVATE: u64 = 1 << 18;
const SLAVE: u64 = 1 << 19;
const SHARED: u64 = 1 << 20;

/// What the options of one mount come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `bind` or `rbind`; the latter with what is mounted below.
    pub bind: Option<bool>,
    /// `remount`.
    pub remount: bool,
    /// Attributes of the mount.
    pub own: Bits,
    /// Attributes of the whole tree.
    pub tree: Bits,
    /// Propagation: its bits, and whether the whole tree gets it. In order.
    pub propagation: Vec<(u64, bool)>,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// `idmap` (`false`) or `ridmap` (`true`).
    pub idmap: Option<bool>,
    /// Flags of the file system itself.
    pub flags: Vec<&'static str>,
    /// Everything else: options of the file system.
    pub data: Vec<(String, Option<String>)>,
}

/// `MOUNT_ATTR_*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    /// To set.
    pub set: u64,
    /// To clear.
    pub clear: u64,
}

impl Bits {
    fn set(&mut self, bits: u64) {
        if bits & ATIME != 0 {
            self.set &= !ATIME;
        }
        self.set |= bits;
        self.clear &= !bits;
    }

    fn clear(&mut self, bits: u64) {
        // The atime bits are one field, which the kernel clears as a whole or not at all.
        let bits = if bits & ATIME == 0 { bits } else { bits | ATIME };
        self.clear |= bits;
        self.set &= !bits;
    }

    /// Whether nothing changes.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// One attribute: its name, the bits, whether they are set.
const ATTRIBUTES: [(&str, u64, bool); 18] = [
    ("ro", RDONLY, true),
    ("rw", RDONLY, false),
    ("nosuid", NOSUID, true),
    ("suid", NOSUID, false),
    ("nodev", NODEV, true),
    ("dev", NODEV, false),
    ("noexec", NOEXEC, true),
    ("exec", NOEXEC, false),
    ("nodiratime", NODIRATIME, true),
    ("diratime", NODIRATIME, false),
    ("noatime", NOATIME, true),
    ("atime", NOATIME, false),
    ("strictatime", STRICTATIME, true),
    ("nostrictatime", STRICTATIME, false),
    // The field of the atime bits is 0 then.
    ("relatime", ATIME, false),
    ("norelatime", 0, false),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
];

/// Flags of the file system: in the kernel's words, and those that undo them.
const FLAGS: [(&str, &str, bool); 12] = [
    ("sync", "sync", true),
    ("async", "sync", false),
    ("dirsync", "dirsync", true),
    ("lazytime", "lazytime", true),
    ("nolazytime", "lazytime", false),
    ("mand", "mand", true),
    ("nomand", "mand", false),
    ("iversion", "iversion", true),
    ("noiversion", "iversion", false),
    ("silent", "silent", true),
    ("loud", "silent", false),
    ("defaults", "", false),
];

const PROPAGATION: [(&str, u64); 4] =
    [("shared", SHARED), ("slave", SLAVE), ("private", PRIVATE), ("unbindable", UNBINDABLE)];

/// The bits of `shared`, `rslave` and so on, and whether they are the tree's.
pub fn propagation(word: &str) -> Option<(u64, bool)> {
    let find = |word: &str| PROPAGATION.iter().find(|(name, _)| *name == word).map(|(_, bits)| *bits);
    match (find(word), word.strip_prefix('r').and_then(find)) {
        (Some(bits), _) => Some((bits, false)),
        (None, Some(bits)) => Some((bits, true)),
        _ => None,
    }
}

/// Reads them, in order: a later one wins.
pub fn parse(words: &[String], field: &dyn Fn() -> String) -> Result<Options> {
    let mut options = Options::default();
    for word in words.iter().flat_map(|words| split(words)) {
        one(word, &mut options);
    }
    if options.data.iter().any(|(key, value)| key.contains('\0') || value.as_ref().is_some_and(|v| v.contains('\0'))) {
        return Err(Error::invalid(field(), "a NUL byte cannot be passed on"));
    }
    Ok(options)
}

/// At commas, but for those in quotes (SELinux contexts have them).
fn split(words: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    words.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

fn one(word: &str, options: &mut Options) {
    if let Some((_, bits, set)) = ATTRIBUTES.iter().find(|(name, ..)| *name == word) {
        return if *set { options.own.set(*bits) } else { options.own.clear(*bits) };
    }
    if let Some(bits) = propagation(word) {
        return options.propagation.push(bits);
    }
    match word {
        "" => return,
        "bind" => return options.bind = options.bind.or(Some(false)),
        "rbind" => return options.bind = Some(true),
        "remount" => return options.remount = true,
        "tmpcopyup" => return options.copy_up = true,
        "idmap" => return options.idmap = Some(false),
        "ridmap" => return options.idmap = Some(true),
        _ => {}
    }
    let recursive = word.strip_prefix('r').and_then(|rest| ATTRIBUTES.iter().find(|(name, ..)| *name == rest));
    if let Some((_, bits, set)) = recursive {
        return if *set { options.tree.set(*bits) } else { options.tree.clear(*bits) };
    }
    if let Some((_, flag, set)) = FLAGS.iter().find(|(name, ..)| *name == word) {
        options.flags.retain(|given| given != flag);
        if *set {
            options.flags.push(flag);
        }
        return;
    }
    options.data.push(match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.trim_matches('"').to_owned())),
        None => (word.to_owned(), None),
    });
}

/// Every word that is understood here, sorted.
pub fn words() -> Vec<String> {
    let mut words: Vec<String> = ["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"].map(str::to_owned).into();
    for (name, ..) in ATTRIBUTES {
        words.extend([name.to_owned(), format!("r{name}")]);
    }
    for (name, _) in PROPAGATION {
        words.extend([name.to_owned(), format!("r{name}")]);
    }
    words.extend(FLAGS.map(|(name, ..)| name.to_owned()));
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Options {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words, &|| "mounts[0].options".to_owned()).unwrap()
    }

    #[test]
    fn a_later_option_wins() {
        assert_eq!(parsed(&["ro", "rw"]).own, Bits { set: 0, clear: RDONLY });
        assert_eq!(parsed(&["rw", "ro", "nosuid"]).own, Bits { set: RDONLY | NOSUID, clear: 0 });
        assert_eq!(parsed(&["noatime", "strictatime"]).own.set, STRICTATIME);
        assert_eq!(parsed(&["noatime", "relatime"]).own, Bits { set: 0, clear: ATIME });
        assert_eq!(parsed(&["sync", "async"]).flags, [""; 0]);
    }

    #[test]
    fn recursive_attributes_are_not_read_as_others() {
        let options = parsed(&["rbind", "rro", "rnosuid", "relatime", "rw", "rslave", "ridmap"]);
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.tree, Bits { set: RDONLY | NOSUID, clear: 0 });
        assert_eq!(options.own, Bits { set: 0, clear: ATIME | RDONLY });
        assert_eq!(options.propagation, [(SLAVE, true)]);
        assert_eq!(options.idmap, Some(true));
        assert_eq!(parsed(&["rrelatime", "rrw"]).tree, Bits { set: 0, clear: ATIME | RDONLY });
    }

    #[test]
    fn the_rest_is_the_file_systems() {
        let options = parsed(&["mode=755,size=65536k", "newinstance", "context=\"a:b,c\""]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            options.data,
            [
                ("mode".to_owned(), text("755")),
                ("size".to_owned(), text("65536k")),
                ("newinstance".to_owned(), None),
                ("context".to_owned(), text("a:b,c")),
            ]
        );
    }
}
