//! Whether and when a container starts again after an exit. Pure.

use std::time::Duration;

use hull_wire::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length counts as a success: the back-off begins anew.
const SETTLED: Duration = Duration::from_secs(10);

/// What the policy looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The exit code.
    pub exit_code: i64,
    /// How long it ran.
    pub ran: Duration,
    /// Restarts by this policy since a client last started it.
    pub restarts: u32,
    /// A person ended it.
    pub manual: bool,
}

/// How long to wait before the next start; `None`: it rests. COMPAT(docker 28): restartmanager.
pub(crate) fn after_exit(policy: &RestartPolicy, run: Run, last_delay: Option<Duration>) -> Option<Duration> {
    let again = match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => fails_again(policy, run.exit_code, run.restarts),
        _ => false,
    };
    if run.manual || !again {
        return None;
    }
    Some(match last_delay {
        Some(last) if run.ran < SETTLED => (last * 2).min(LONGEST),
        _ => FIRST,
    })
}

/// Whether a container that does not run is started when the machine has booted, or an engine that ended it is back.
/// COMPAT(docker 28): `on-failure` looks at how it ended last, whoever ended it.
pub(crate) fn at_boot(policy: &RestartPolicy, exit_code: i64, restarts: u32, manual: bool) -> bool {
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !manual,
        "on-failure" => fails_again(policy, exit_code, restarts),
        _ => false,
    }
}

fn fails_again(policy: &RestartPolicy, exit_code: i64, restarts: u32) -> bool {
    let limit = policy.maximum_retry_count;
    exit_code != 0 && (limit <= 0 || i64::from(restarts) < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, limit: i64) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count: limit }
    }

    #[test]
    fn policies_decide_as_docker_does() {
        let rows = [
            ("", 0, 1, 0, false, false),
            ("no", 0, 1, 0, false, false),
            ("always", 0, 0, 7, false, true),
            ("always", 0, 1, 0, true, false),
            ("unless-stopped", 0, 0, 0, false, true),
            ("unless-stopped", 0, 0, 0, true, false),
            ("on-failure", 0, 0, 0, false, false),
            ("on-failure", 0, 1, 99, false, true),
            ("on-failure", 2, 1, 1, false, true),
            ("on-failure", 2, 1, 2, false, false),
        ];
        for (name, limit, exit_code, restarts, manual, again) in rows {
            let run = Run { exit_code, ran: Duration::ZERO, restarts, manual };
            assert_eq!(after_exit(&policy(name, limit), run, None).is_some(), again, "{name} {limit} {run:?}");
        }
    }

    #[test]
    fn the_back_off_doubles_up_to_a_minute_and_begins_anew_after_a_good_run() {
        let always = policy("always", 0);
        let short = Run { exit_code: 1, ran: Duration::ZERO, restarts: 0, manual: false };
        let mut delay = None;
        let mut delays = Vec::new();
        for _ in 0..12 {
            delay = after_exit(&always, short, delay);
            delays.push(delay.unwrap().as_millis());
        }
        assert_eq!(delays[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(delays[11], 60_000);
        let long = Run { ran: Duration::from_secs(11), ..short };
        assert_eq!(after_exit(&always, long, delay), Some(FIRST));
    }

    #[test]
    fn after_a_boot() {
        for (name, exit_code, restarts, manual, starts) in [
            ("always", 0, 0, true, true),
            ("unless-stopped", 1, 0, false, true),
            ("unless-stopped", 1, 0, true, false),
            ("on-failure", 1, 1, false, true),
            ("on-failure", 1, 2, false, false),
            ("on-failure", 0, 0, false, false),
            ("no", 1, 0, false, false),
        ] {
            assert_eq!(at_boot(&policy(name, 2), exit_code, restarts, manual), starts, "{name}");
        }
    }
}
