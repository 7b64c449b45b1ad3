//! `--userns`: `host`, `auto`, `auto:size=N`, or maps such as `0:100000:65536`.
//!
//! Maps are `inside:outside:length`, comma-separated; each counts for users and groups, or only for
//! one with `uid=` or `gid=` before it.

use hull_launch::plan::{IdMaps, IdRange};
use hull_launch::spec::Userns;
use hull_types::Fault;

use super::text::shown;

/// How many ids `auto` gives: enough for `nobody` and every id that a distribution uses.
const AUTO_SIZE: u32 = 65_536;
/// The kernel's limit for lines of a map (user_namespaces(7)).
const MOST_LINES: usize = 340;

/// Parses the mode; `container:X` has been dealt with.
pub(super) fn parse(text: &str) -> Result<Userns, Fault> {
    match text {
        "" | "host" => Ok(Userns::Host),
        "auto" => Ok(Userns::Auto { size: AUTO_SIZE }),
        _ => match text.strip_prefix("auto:") {
            Some(options) => auto(text, options),
            None => maps(text, text).map(Userns::Maps),
        },
    }
}

fn auto(text: &str, options: &str) -> Result<Userns, Fault> {
    let size = options.strip_prefix("size=").and_then(|size| size.parse().ok());
    match size {
        Some(size @ 1..=1_000_000) => Ok(Userns::Auto { size }),
        _ => Err(invalid(text)),
    }
}

/// Also the syntax of `idmap=` in binds.
pub(super) fn maps(whole: &str, text: &str) -> Result<IdMaps, Fault> {
    let mut maps = IdMaps::default();
    for part in text.split([',', ';']) {
        let (uids, gids, line) = match part.split_once('=') {
            Some(("uid" | "uids", line)) => (true, false, line),
            Some(("gid" | "gids", line)) => (false, true, line),
            Some(_) => return Err(invalid(whole)),
            None => (true, true, part),
        };
        let range = range(line).ok_or_else(|| invalid(whole))?;
        if uids {
            maps.uids.push(range);
        }
        if gids {
            maps.gids.push(range);
        }
    }
    sound(whole, &maps.uids)?;
    sound(whole, &maps.gids)?;
    Ok(maps)
}

fn range(line: &str) -> Option<IdRange> {
    let mut numbers = line
        .split([':', '-'])
        .map(|number| number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten());
    let range = IdRange { inside: numbers.next()??, outside: numbers.next()??, length: numbers.next()?? };
    // The last id of all, 4294967295, means "no id" to the kernel.
    let fits = |first: u32| first.checked_add(range.length).is_some_and(|end| end != 0);
    let sound = range.length > 0 && fits(range.inside) && fits(range.outside);
    (numbers.next().is_none() && sound).then_some(range)
}

/// Root must exist inside, and no id twice on either side.
fn sound(whole: &str, ranges: &[IdRange]) -> Result<(), Fault> {
    if ranges.len() > MOST_LINES {
        return Err(Fault::invalid(format!("a map has {} lines, more than {MOST_LINES}", ranges.len())));
    }
    if !ranges.iter().any(|range| range.inside == 0) {
        return Err(Fault::invalid(format!("the maps {} give no user or group 0", shown(whole)))
            .hint("begin with a line such as `0:100000:65536`"));
    }
    let overlap = |first: fn(&IdRange) -> u32| {
        ranges.iter().enumerate().any(|(index, one)| {
            ranges[..index].iter().any(|other| {
                let (a, b) = (first(one), first(other));
                a < b + other.length && b < a + one.length
            })
        })
    };
    if overlap(|range| range.inside) || overlap(|range| range.outside) {
        return Err(Fault::invalid(format!("the maps {} name an id twice", shown(whole))));
    }
    Ok(())
}

fn invalid(text: &str) -> Fault {
    Fault::invalid(format!("invalid user namespace mode {}", shown(text))).hint(
        "it is `host`, `auto`, `auto:size=4096`, `container:X`, or maps `inside:outside:length` such as `0:100000:65536`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn line(inside: u32, outside: u32, length: u32) -> IdRange {
        IdRange { inside, outside, length }
    }

    #[test]
    fn accepted() {
        let both = IdMaps { uids: vec![line(0, 100_000, 65_536)], gids: vec![line(0, 100_000, 65_536)] };
        let apart = IdMaps { uids: vec![line(0, 1000, 1), line(1, 100_000, 10)], gids: vec![line(0, 5, 1)] };
        for (text, want) in [
            ("", Userns::Host),
            ("host", Userns::Host),
            ("auto", Userns::Auto { size: 65_536 }),
            ("auto:size=4096", Userns::Auto { size: 4096 }),
            ("0:100000:65536", Userns::Maps(both)),
            ("uid=0:1000:1,uid=1:100000:10,gid=0:5:1", Userns::Maps(apart)),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in [
            "keep",
            "auto:",
            "auto:size=0",
            "auto:size=-1",
            "auto:size=9999999999",
            "0:1",
            "0:1:0",
            "0:1:2:3",
            "a:b:c",
            "-1:0:1",
            "1:100:5",
            "uid=0:1:1",
            "0:4294967295:1",
            "4294967295:0:1",
            "0:0:10,5:100:1",
            "0:0:10,10:5:1",
            "x=0:0:1",
            "+0:0:1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
