//! Ranges of host ids for `--userns auto`.
//!
//! A container keeps its range for life, since its files bear the ids on disk: it is written to
//! `<root>/containers/<id>/userns` at the first start. Taken are the ranges in those files and those
//! that the kernel shows in use (the maps of all processes), so that several engines do not collide.
//! A range that was given out but is in neither yet is remembered for a minute.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hull_launch::plan::{IdMaps, IdRange};
use hull_types::Fault;

/// From here (systemd's range for containers, see its UIDS-GIDS page) …
const FIRST: u32 = 0x0008_0000;
/// … to here.
const LAST: u32 = 0x6fff_0000;
/// Ranges begin at multiples of this.
const STEP: u32 = 0x1_0000;
/// How long a range is kept for a container that has not started.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the file in a container's directory.
const FILE: &str = "userns";

/// Ranges that were given out.
#[derive(Debug, Default)]
pub struct IdRanges {
    given: Mutex<Vec<(IdRange, Instant)>>,
}

impl IdRanges {
    /// None given out yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The range that a container has, or a free one of this length, mapped to 0…. It is kept beneath
    /// `containers`, unless the container is `ephemeral`.
    ///
    /// # Errors
    /// All are taken; the file of the container cannot be read or written.
    pub fn of(&self, containers: &Path, id: &str, size: u32, ephemeral: bool) -> Result<IdMaps, Fault> {
        let file = containers.join(id).join(FILE);
        if let Some(range) = kept(&file)? {
            return Ok(IdMaps { uids: vec![range], gids: vec![range] });
        }
        let maps = self.take(size, kept_by_all(containers))?;
        if !ephemeral {
            keep(&file, maps.uids[0]).map_err(|error| failed("write", &file, error))?;
        }
        Ok(maps)
    }

    fn take(&self, size: u32, mut taken: Vec<IdRange>) -> Result<IdMaps, Fault> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|(_, since)| since.elapsed() < PATIENCE);
        taken.extend(maps_of_all());
        taken.extend(given.iter().map(|(range, _)| *range));
        let range = free(size, &taken).ok_or_else(|| {
            Fault::new(hull_types::Kind::Unavailable, format!("no range of {size} user ids is free"))
                .hint("stop containers with `--userns auto`, or give maps yourself")
        })?;
        given.push((range, Instant::now()));
        Ok(IdMaps { uids: vec![range], gids: vec![range] })
    }
}

/// What the container's file says; `None` if it has none yet.
fn kept(file: &Path) -> Result<Option<IdRange>, Fault> {
    match fs::read_to_string(file) {
        Ok(text) => match parse(&text)[..] {
            [range] => Ok(Some(range)),
            _ => Err(failed("understand", file, io::ErrorKind::InvalidData.into())
                .hint("it held the range of host ids that the container's files belong to, as `0 524288 65536`")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", file, error)),
    }
}

/// Ranges of containers that may not run now. One that cannot be read is found by its own start.
fn kept_by_all(containers: &Path) -> Vec<IdRange> {
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    entries.filter_map(|entry| kept(&entry.path().join(FILE)).ok().flatten()).collect()
}

/// On the disk before the first file that bears its ids.
fn keep(file: &Path, range: IdRange) -> io::Result<()> {
    let directory = file.parent().unwrap_or(file);
    fs::create_dir_all(directory)?;
    let fresh = file.with_extension("new");
    let mut out = fs::File::create(&fresh)?;
    writeln!(out, "{} {} {}", range.inside, range.outside, range.length)?;
    out.sync_all()?;
    fs::rename(&fresh, file)?;
    fs::File::open(directory)?.sync_all()
}

fn failed(attempt: &str, file: &Path, error: io::Error) -> Fault {
    Fault::internal(format!("cannot {attempt} `{}`", file.display())).cause(error)
}

fn free(size: u32, taken: &[IdRange]) -> Option<IdRange> {
    let mut outside = FIRST;
    while outside.checked_add(size)? <= LAST {
        let end = outside + size;
        let hit = taken.iter().find(|other| {
            let other_end = u64::from(other.outside) + u64::from(other.length);
            u64::from(outside) < other_end && other.outside < end
        });
        match hit {
            None => return Some(IdRange { inside: 0, outside, length: size }),
            Some(other) => {
                let next = other.outside.checked_add(other.length)?;
                outside = next.checked_add(STEP - 1)? / STEP * STEP;
            }
        }
    }
    None
}

/// The maps of every process, users' and groups'. A process that ends meanwhile has none.
fn maps_of_all() -> Vec<IdRange> {
    let mut ranges = Vec::new();
    let Ok(entries) = fs::read_dir("/proc") else { return ranges };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        for file in ["uid_map", "gid_map"] {
            let text = fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            ranges.extend(parse(&text).into_iter().filter(|range| range.outside >= FIRST));
        }
    }
    ranges.sort_by_key(|range| (range.outside, range.length));
    ranges.dedup();
    ranges
}

/// `/proc/PID/uid_map`.
pub(super) fn parse(text: &str) -> Vec<IdRange> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let (inside, outside, length) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(IdRange { inside, outside, length })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(outside: u32, length: u32) -> IdRange {
        IdRange { inside: 0, outside, length }
    }

    #[test]
    fn the_first_gap_is_taken() {
        let rows: &[(&[IdRange], u32, Option<u32>)] = &[
            (&[], 65_536, Some(FIRST)),
            (&[range(FIRST, 65_536)], 65_536, Some(FIRST + STEP)),
            (&[range(FIRST + 5, 1)], 65_536, Some(FIRST + STEP)),
            (&[range(FIRST + STEP, STEP)], 2 * STEP, Some(FIRST + 2 * STEP)),
            (&[range(0, u32::MAX)], 1, None),
        ];
        for (taken, size, want) in rows {
            assert_eq!(free(*size, taken).map(|range| range.outside), *want, "{taken:?}");
        }
    }

    #[test]
    fn no_range_is_given_twice() {
        let ranges = IdRanges::new();
        let take = || ranges.take(65_536, Vec::new()).unwrap();
        assert_ne!(take(), take());
    }

    #[test]
    fn a_container_keeps_its_range_and_no_other_gets_it() {
        let containers = tempfile::tempdir().unwrap();
        let of = |id: &str, ephemeral| IdRanges::new().of(containers.path(), id, 65_536, ephemeral);
        let first = of("a", false).unwrap();
        assert_eq!(of("a", false).unwrap(), first);
        assert_ne!(of("b", false).unwrap(), first);
        let fleeting = of("c", true).unwrap();
        assert_ne!(fleeting, first);
        assert!(!containers.path().join("c").exists());
        fs::write(containers.path().join("a/userns"), "garbage").unwrap();
        assert!(of("a", false).unwrap_err().summary.contains("a/userns"));
    }

    #[test]
    fn maps_are_read() {
        assert_eq!(parse("         0     524288      65536\n"), [range(524_288, 65_536)]);
        assert!(parse("x\n1 2\n").is_empty());
    }
}
