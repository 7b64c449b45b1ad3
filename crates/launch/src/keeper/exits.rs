//! Exit records: one file per key, complete or absent. The run directory is a tmpfs, so nothing is
//! synced; a rename is atomic for whoever reads.

use std::os::fd::OwnedFd;

use hull_sys::{Named, Result};
use rustix::fs::{Mode, OFlags};

use super::ExitRecord;

/// Whether the key can be a file name here, and no hidden or temporary one.
pub(super) fn is_valid_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 200
        && !key.starts_with('.')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Writes the record; an older one of the same key is replaced.
pub(super) fn write(directory: &OwnedFd, record: &ExitRecord) -> Result<()> {
    let name = record.key.as_str();
    let temporary = format!(".{name}.new");
    let describe = || format!("write(exit record {name:?})");
    let json = serde_json::to_vec(record).expect("plain data encodes into memory");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &temporary, flags, Mode::from_raw_mode(0o600)).named(describe)?;
    let mut rest = &json[..];
    while !rest.is_empty() {
        let n = rustix::io::write(&file, rest).named(describe)?;
        rest = &rest[n..];
    }
    rustix::fs::renameat(directory, &temporary, directory, name).named(describe)
}

/// Nanoseconds since the epoch.
pub(super) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_file_names() {
        for (key, valid) in [
            ("a", true),
            ("0123abcDEF", true),
            ("exec.1_2-3", true),
            ("", false),
            (".x", false),
            ("..", false),
            ("a/b", false),
            ("a\0", false),
            ("a b", false),
        ] {
            assert_eq!(is_valid_key(key), valid, "{key:?}");
        }
        assert!(!is_valid_key(&"x".repeat(201)));
    }

    #[test]
    fn a_record_is_complete_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let mut record = ExitRecord { key: "k".into(), pid: 7, status: 256, at_ns: now_ns() };
        for status in [256, 9] {
            record.status = status;
            write(&fd, &record).unwrap();
            let text = std::fs::read(dir.path().join("k")).unwrap();
            assert_eq!(serde_json::from_slice::<ExitRecord>(&text).unwrap(), record);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
