//! Paths of proc and sys that a container must not see or must not write, as docker 28 has them.
//!
//! Owns the lists. Whether a path exists is found out by the child that applies them: a missing one
//! is skipped there.

/// `--security-opt systempaths=unconfined` and `--privileged` empty both lists.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Paths covered by something empty.
pub fn masked() -> Vec<String> {
    MASKED.map(str::to_owned).to_vec()
}

/// Paths bound onto themselves, read-only.
pub fn readonly() -> Vec<String> {
    READONLY.map(str::to_owned).to_vec()
}

/// The `thermal_throttle` directories, which reveal the host's load (GHSA-6fw5-f8r9-fgfm): docker 28
/// masks those that exist. `possible` is the text of `/sys/devices/system/cpu/possible`, like `0-3,8`;
/// text that is not of this form yields none of them. The caller keeps those that exist.
pub fn thermal_throttle(possible: &str) -> Vec<String> {
    let cpus = cpu_list(possible).unwrap_or_default();
    cpus.iter().map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle")).collect()
}

fn cpu_list(text: &str) -> Option<Vec<u32>> {
    const MOST: u32 = 8192;
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thermal_throttle_follows_the_cpu_list() {
        let table: &[(&str, &[u32])] =
            &[("0\n", &[0]), ("0-2,5", &[0, 1, 2, 5]), ("", &[]), ("3-1", &[]), ("0-4294967295", &[]), ("x", &[])];
        for (text, cpus) in table {
            let expected: Vec<String> =
                cpus.iter().map(|n| format!("/sys/devices/system/cpu/cpu{n}/thermal_throttle")).collect();
            assert_eq!(thermal_throttle(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_paths_that_escapes_used_are_listed() {
        assert!(masked().contains(&"/proc/kcore".to_owned()));
        assert!(readonly().contains(&"/proc/sysrq-trigger".to_owned()));
        assert!(masked().iter().all(|path| !readonly().contains(path)));
    }
}
