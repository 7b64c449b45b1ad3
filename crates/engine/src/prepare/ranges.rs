//! Ranges of host ids for `--userns auto`.
//!
//! Which ranges are taken is read from the kernel (the maps of all processes), so that nothing has to
//! be remembered over a restart and several engines do not collide. A range that was given out but
//! whose process does not run yet is remembered for a minute.

use std::fs;
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

    /// A free range of this length, mapped to 0….
    ///
    /// # Errors
    /// All are taken.
    pub fn take(&self, size: u32) -> Result<IdMaps, Fault> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|(_, since)| since.elapsed() < PATIENCE);
        let mut taken = maps_of_all();
        taken.extend(given.iter().map(|(range, _)| *range));
        let range = free(size, &taken).ok_or_else(|| {
            Fault::new(hull_types::Kind::Unavailable, format!("no range of {size} user ids is free"))
                .hint("stop containers with `--userns auto`, or give maps yourself")
        })?;
        given.push((range, Instant::now()));
        Ok(IdMaps { uids: vec![range], gids: vec![range] })
    }
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
        let (inside, outside, length) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
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
        let (first, second) = (ranges.take(65_536).unwrap(), ranges.take(65_536).unwrap());
        assert_ne!(first, second);
    }

    #[test]
    fn maps_are_read() {
        assert_eq!(parse("         0     524288      65536\n"), [range(524_288, 65_536)]);
        assert!(parse("x\n1 2\n").is_empty());
    }
}
