//! Capabilities: the set, the names, docker's default, and how `--cap-add` and `--cap-drop` combine.
//!
//! Owns the numbers and names of capabilities(7). Must not know how a set is applied to a process.
//! Invariant: [`resolve`] never returns a capability outside `available`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Names by number (include/uapi/linux/capability.h).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit n is capability n.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CapSet(pub u64);

/// docker's default fourteen: CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP
/// SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE.
pub const DEFAULT: CapSet = CapSet(0xa804_25fb);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability that hull knows by name.
    pub const KNOWN: Self = Self((1 << NAMES.len()) - 1);

    /// Every capability up to `last`, the number in `/proc/sys/kernel/cap_last_cap`.
    pub fn through(last: u32) -> Self {
        if last >= 63 { Self(u64::MAX) } else { Self((1 << (last + 1)) - 1) }
    }

    /// The bounding set in the text of `/proc/self/status`: what a child can have at most.
    pub fn bounding_in_status(status: &str) -> Option<Self> {
        let hex = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
        u64::from_str_radix(hex.trim(), 16).ok().map(Self)
    }

    /// The capability of this name (`CAP_` or not, any case), alone in a set.
    pub fn named(name: &str) -> Option<Self> {
        let full = normalize(name);
        let number = NAMES.iter().position(|known| *known == full)?;
        Some(Self(1 << number))
    }

    /// All of `other` are in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Nothing is in this set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Names as `CAP_CHOWN`, by number. A number without a name is left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(number, _)| self.0 & (1 << number) != 0).map(|(_, name)| *name)
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapSet({:#x}:", self.0)?;
        for name in self.names() {
            write!(f, " {name}")?;
        }
        write!(f, ")")
    }
}

/// One list of the user: named ones, and whether ALL was among them.
struct Wish {
    all: bool,
    set: CapSet,
}

/// The capabilities of a container: docker's default, changed by `add` and `drop`, within
/// `available` (the engine's bounding set and what the kernel knows).
///
/// As docker combines them: `privileged` gives all there are; ALL in `add` gives all but `drop`; ALL
/// in `drop` gives only `add`; else the default without `drop`, then `add`.
pub fn resolve(add: &[String], drop: &[String], privileged: bool, available: CapSet) -> Result<CapSet, Error> {
    let dropped = wish("CapDrop", drop, CapSet::KNOWN)?;
    let added = wish("CapAdd", add, available)?;
    let all = available;
    let wanted = if privileged {
        all
    } else if added.all {
        all.without(dropped.set)
    } else if dropped.all {
        added.set
    } else {
        DEFAULT.without(dropped.set).or(added.set)
    };
    Ok(wanted.and(available))
}

fn wish(list: &'static str, names: &[String], available: CapSet) -> Result<Wish, Error> {
    let mut wish = Wish { all: false, set: CapSet::EMPTY };
    for name in names {
        if name.trim().eq_ignore_ascii_case("all") {
            wish.all = true;
            continue;
        }
        let one = CapSet::named(name).ok_or_else(|| unknown(list, name))?;
        if !available.contains(one) {
            let name = one.names().next().unwrap_or_default();
            return Err(Error::CapabilityUnavailable { list, name });
        }
        wish.set = wish.set.or(one);
    }
    Ok(wish)
}

fn normalize(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

fn unknown(list: &'static str, name: &str) -> Error {
    // A megabyte of name is neither compared nor printed.
    let name: String = normalize(name).chars().take(64).collect();
    let nearest = NAMES.iter().min_by_key(|known| distance(&name, known)).copied().unwrap_or_default();
    Error::UnknownCapability { list, name, nearest }
}

/// Levenshtein's distance, on bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: CapSet = CapSet(0x1ff_ffff_ffff);

    fn names(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn set(list: &str) -> CapSet {
        names(list).iter().fold(CapSet::EMPTY, |set, name| set.or(CapSet::named(name).unwrap()))
    }

    #[test]
    fn the_default_is_dockers_fourteen() {
        let docker = set("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP \
             SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE");
        assert_eq!(DEFAULT, docker);
        assert_eq!(DEFAULT.names().count(), 14);
        assert_eq!(CapSet::through(40), ALL);
        assert_eq!(CapSet::KNOWN, ALL);
    }

    #[test]
    fn add_and_drop_combine_as_dockers() {
        // add, drop, privileged, result
        let table: &[(&str, &str, bool, CapSet)] = &[
            ("", "", false, DEFAULT),
            ("", "", true, ALL),
            ("", "ALL", true, ALL),
            ("net_admin", "", false, DEFAULT.or(set("NET_ADMIN"))),
            ("CAP_Net_Admin", "", false, DEFAULT.or(set("NET_ADMIN"))),
            ("", "mknod", false, DEFAULT.without(set("MKNOD"))),
            ("", "sys_admin", false, DEFAULT),
            ("", "all", false, CapSet::EMPTY),
            ("chown", "all", false, set("CHOWN")),
            ("ALL", "", false, ALL),
            ("all", "net_raw", false, ALL.without(set("NET_RAW"))),
            ("all", "all", false, ALL),
            ("mknod", "mknod", false, DEFAULT),
            ("sys_time kill", "kill chown", false, { DEFAULT.without(set("CHOWN")).or(set("SYS_TIME")) }),
        ];
        for (add, drop, privileged, expected) in table {
            let got = resolve(&names(add), &names(drop), *privileged, ALL);
            assert_eq!(got.as_ref(), Ok(expected), "{add:?} {drop:?} {privileged}");
        }
    }

    #[test]
    fn nothing_outside_the_available_set_is_given() {
        let available = ALL.without(set("SYS_RESOURCE MKNOD"));
        let given = |add: &str, privileged| resolve(&names(add), &[], privileged, available);
        assert_eq!(given("", true), Ok(available));
        assert_eq!(given("ALL", false), Ok(available));
        assert_eq!(given("", false), Ok(DEFAULT.without(set("MKNOD"))));
        let refused = given("sys_resource", false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "invalid CapAdd: capability not supported by your kernel or not available in the \
             current environment: \"CAP_SYS_RESOURCE\""
        );
    }

    #[test]
    fn an_unknown_one_is_named_with_its_nearest() {
        let table = [
            ("SYS_ADMN", "CAP_SYS_ADMIN"),
            ("cap_netadmin", "CAP_NET_ADMIN"),
            ("CAP_CAP_CHOWN", "CAP_CHOWN"),
            ("", "CAP_BPF"),
            ("CAP_ALL", "CAP_KILL"),
        ];
        for (name, nearest) in table {
            match resolve(&[name.to_owned()], &[], false, ALL) {
                Err(Error::UnknownCapability { nearest: got, .. }) => {
                    assert_eq!(got, nearest, "{name:?}");
                }
                other => panic!("{name:?}: {other:?}"),
            }
        }
        let huge = "A".repeat(1 << 20);
        let error = resolve(&[], &[huge], true, ALL).unwrap_err();
        assert!(error.to_string().len() < 200);
    }

    #[test]
    fn the_bounding_set_is_read_from_status() {
        let status = "Name:\thull\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\n";
        let bounding = CapSet::bounding_in_status(status).unwrap();
        assert_eq!(bounding, ALL.without(set("SYS_RESOURCE")));
        assert_eq!(CapSet::bounding_in_status("Name:\tx\n"), None);
    }
}
