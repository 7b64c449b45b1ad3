//! When a command was typed whose process is at the other end of a connection.
//!
//! `docker events` tells what happens from the moment on at which its request arrives. Programs start it and then do what
//! they want to be told of, without waiting for a sign that it listens, since there is none: the dev containers' CLI of VS Code
//! waits for ever for a `start` that came before. A container of hull may be started before docker's command line has
//! connected. So `events` without `--since` begins when its process did.

use std::time::Duration;

use hull_types::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Who began longer ago was something else before it became the command: a shell that called `exec`, or a proxy.
const LONGEST: Duration = Duration::from_secs(5);
/// USER_HZ, the same on every architecture that hull has.
const TICKS: u64 = 100;

/// When the process `pid` began, to a hundredth of a second; `None` if that is long ago, or unknown, or if it is the engine,
/// which connects for clients that come by TCP.
pub(super) fn typed(pid: i32) -> Option<Timestamp> {
    if i64::from(pid) == i64::from(std::process::id()) {
        return None;
    }
    let ticks = hull_sys::proc::began(pid.try_into().ok()?)?;
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let age = now.checked_sub(Duration::from_millis(ticks * 1000 / TICKS))?;
    let age = i64::try_from(age.as_nanos()).ok().filter(|_| age <= LONGEST)?;
    Some(Timestamp::from_nanos(Timestamp::now().nanos() - age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_before_now_and_after_what_was_before_it() {
        let before = Timestamp::now().nanos();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let typed = typed(i32::try_from(child.id()).unwrap());
        let after = Timestamp::now().nanos();
        child.kill().unwrap();
        child.wait().unwrap();
        let typed = typed.unwrap().nanos();
        // A tick, and what may pass between the readings of two clocks.
        assert!(before - 30_000_000 <= typed && typed <= after, "{before} {typed} {after}");
        assert_eq!(super::typed(i32::MAX), None);
    }
}
