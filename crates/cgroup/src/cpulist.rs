//! The kernel's list format for CPUs and memory nodes: `0-3,7`.

use std::collections::BTreeSet;

/// A list that is not of the form `0-3,7`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a list like 0-3,7")]
pub struct ParseCpuListError(String);

/// The largest number taken; the kernel's own bound is CONFIG_NR_CPUS (8192 at most).
const LARGEST: u32 = 8191;

/// The members of a list. The empty string is the empty set.
pub fn parse(list: &str) -> Result<BTreeSet<u32>, ParseCpuListError> {
    let error = || ParseCpuListError(list.to_owned());
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse::<u32>().ok().filter(|n| *n <= LARGEST);
        value.filter(|_| digits).ok_or_else(error)
    };
    let mut set = BTreeSet::new();
    let list = list.trim();
    if list.is_empty() {
        return Ok(set);
    }
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(error());
        }
        set.extend(first..=last);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, want) in [("", vec![]), ("0", vec![0]), ("0-2,5\n", vec![0, 1, 2, 5]), ("3,1,1", vec![1, 3])] {
            assert_eq!(parse(text).unwrap(), BTreeSet::from_iter(want), "{text:?}");
        }
        for bad in ["a", "1-", "-1", "2-1", "1,,2", "0-99999999", "+1", "1 2"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
