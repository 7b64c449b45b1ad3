//! `/proc/PID/status` and the maps of ids. Source: proc_pid_status(5), user_namespaces(7).

use std::fs;

use hull_wire::ExplainedIds;

/// The text of a process's status.
pub(super) struct Status(String);

impl Status {
    /// `None`: there is no such process any more.
    pub fn read(pid: i32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/status")).ok().map(Self)
    }

    /// The value after `key:`, or nothing.
    pub fn text(&self, key: &str) -> &str {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map_or("", str::trim)
    }

    /// A set of capabilities: a hexadecimal number.
    pub fn bits(&self, key: &str) -> u64 {
        u64::from_str_radix(self.text(key), 16).unwrap_or(0)
    }

    /// The process's numbers, from the reader's PID namespace inwards.
    pub fn numbers(&self) -> Vec<i32> {
        self.text("NSpid").split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }
}

/// `/proc/PID/uid_map` or `gid_map`.
pub(super) fn ids(pid: i32, file: &str) -> Vec<ExplainedIds> {
    parse_ids(&fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default())
}

fn parse_ids(text: &str) -> Vec<ExplainedIds> {
    let row = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let (inside, outside, size) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(ExplainedIds { inside, outside, size })
    };
    text.lines().filter_map(row).collect()
}

/// What an id of the host is inside; -1 if it is none there.
pub(super) fn inside(maps: &[ExplainedIds], id: u32) -> i64 {
    let found = maps.iter().find_map(|map| {
        let offset = id.checked_sub(map.outside).filter(|offset| *offset < map.size)?;
        Some(i64::from(map.inside) + i64::from(offset))
    });
    found.unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_through_the_map() {
        let maps = parse_ids("         0     100000      65536\n      70000 5 1\n");
        assert_eq!(maps.len(), 2);
        for (outside, within) in [(100_000, 0), (165_535, 65_535), (165_536, -1), (5, 70_000), (0, -1)] {
            assert_eq!(inside(&maps, outside), within, "{outside}");
        }
    }

    #[test]
    fn a_key_is_not_found_in_another() {
        let status = Status("Name:\tx\nNSpid:\t10\t2\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\n".into());
        assert_eq!((status.numbers(), status.bits("CapBnd")), (vec![10, 2], 0xa804_25fb));
        assert_eq!((status.text("NoNewPrivs"), status.text("Priv")), ("1", ""));
    }
}
