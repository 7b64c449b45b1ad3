//! What one `run` may cost, in system calls of the runtime and its child up to the command. Times differ from machine
//! to machine; these counts do not.

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    a_run_makes_few_system_calls.hull_only("a control is not held to our aim");
];

/// Without cgroups.
const CALLS: usize = 380;
/// Of each cgroup that is made, entered and removed. Both together: 443 when this was written, on nine hierarchies of v1
/// beside v2, where 500 would do.
const OF_A_CGROUP: usize = 12;
/// What a debug build asks of a descriptor before it closes it.
const DEBUG_ONLY: &str = "F_GETFD";

fn a_run_makes_few_system_calls(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["true"]);
    site.run(&[]).ok();
    let log = site.path().join("strace.log");
    site.wrapper = ["strace", "-f", "-s", "16", "-o", &log.to_string_lossy()].map(str::to_owned).to_vec();
    site.run(&[]).ok();
    site.wrapper.clear();
    let text = read(&log);
    let begins = |line: &&str| !line.contains(" resumed>") && !line.contains("+++ ") && !line.contains("--- ");
    let count = text.lines().filter(begins).filter(|line| !line.contains(DEBUG_ONLY)).count();
    let groups = read("/proc/self/cgroup").lines().count();
    let limit = CALLS + OF_A_CGROUP * groups;
    assert!((200..=limit).contains(&count), "{count} system calls, where {limit} would do:\n{text}");
}
