//! What becomes of one container when an engine starts. Pure.

use hull_wire::RestartPolicy;

use crate::container::policy;
use crate::container::step::Phase;

/// What is known about one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As the earlier engine saved it.
    pub phase: Phase,
    /// It was saved in this boot.
    pub same_boot: bool,
    /// The keeper has its PID 1.
    pub alive: bool,
    /// An exit record that is newer than what was saved.
    pub exit_record: bool,
    /// It ends with its run.
    pub ephemeral: bool,
    /// A person ended it.
    pub manual: bool,
    /// It was ended together with the engine.
    pub shut_down: bool,
    /// The earlier engine was told to end: this start is one, not the going on after a crash or an upgrade.
    pub told_to_end: bool,
    /// How it ended last.
    pub exit_code: i64,
    /// How often the policy has started it.
    pub restarts: u32,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It runs: take it over.
    Adopt,
    /// It ended while no engine ran: the record says how.
    ReadExit,
    /// It ended and nobody can say how. The policy then decides as after any exit.
    UnknownExit {
        /// Because the machine was restarted.
        reboot: bool,
    },
    /// It waited for its next start, or the machine has booted and it is to run.
    Start,
    /// It is as it was.
    Rest,
    /// It cannot outlive the boot.
    Remove,
}

/// The decision.
pub(crate) fn decide(found: Found, restart: &RestartPolicy) -> Verdict {
    let was_live = found.phase.is_live();
    let again = || policy::at_boot(restart, found.exit_code, found.restarts, found.manual && !found.shut_down);
    if !found.same_boot {
        let start = found.phase != Phase::Created && again();
        return match (found.ephemeral, was_live) {
            (true, _) => Verdict::Remove,
            (false, true) => Verdict::UnknownExit { reboot: true },
            (false, false) if start => Verdict::Start,
            (false, false) => Verdict::Rest,
        };
    }
    if found.alive {
        return Verdict::Adopt;
    }
    if found.exit_record {
        return Verdict::ReadExit;
    }
    match found.phase {
        Phase::Running | Phase::Paused | Phase::Stopping(_) => Verdict::UnknownExit { reboot: false },
        Phase::Backoff => Verdict::Start,
        // COMPAT(docker 28): also `always` that a person had stopped, and `on-failure` that was killed.
        Phase::Exited if (found.shut_down || found.told_to_end) && again() => Verdict::Start,
        // Saved between two runs: the second did not come about.
        Phase::Created | Phase::Starting | Phase::Exited => Verdict::Rest,
        Phase::Removing | Phase::Gone => Verdict::Remove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::step::After;

    const NO: Found = Found {
        phase: Phase::Exited,
        same_boot: true,
        alive: false,
        exit_record: false,
        ephemeral: false,
        manual: false,
        shut_down: false,
        told_to_end: false,
        exit_code: 0,
        restarts: 0,
    };

    fn policy(name: &str) -> RestartPolicy {
        RestartPolicy { name: name.into(), maximum_retry_count: 0 }
    }

    #[test]
    fn within_a_boot_the_keeper_and_the_records_know() {
        let rows = [
            (Found { phase: Phase::Running, alive: true, ..NO }, Verdict::Adopt),
            (Found { phase: Phase::Stopping(After::Rest), alive: true, ..NO }, Verdict::Adopt),
            (Found { phase: Phase::Created, alive: true, ..NO }, Verdict::Adopt),
            (Found { phase: Phase::Exited, alive: true, exit_record: true, ..NO }, Verdict::Adopt),
            (Found { phase: Phase::Running, exit_record: true, ..NO }, Verdict::ReadExit),
            (Found { phase: Phase::Created, exit_record: true, ..NO }, Verdict::ReadExit),
            (Found { phase: Phase::Running, ..NO }, Verdict::UnknownExit { reboot: false }),
            (Found { phase: Phase::Backoff, ..NO }, Verdict::Start),
            (Found { phase: Phase::Starting, ..NO }, Verdict::Rest),
            (Found { phase: Phase::Created, ..NO }, Verdict::Rest),
            (Found { phase: Phase::Created, ephemeral: true, ..NO }, Verdict::Rest),
            (NO, Verdict::Rest),
            (Found { phase: Phase::Removing, ..NO }, Verdict::Remove),
            (Found { manual: true, shut_down: true, exit_code: 143, ..NO }, Verdict::Rest),
        ];
        for (found, expected) in rows {
            assert_eq!(decide(found, &policy("no")), expected, "{found:?}");
        }
    }

    #[test]
    fn after_a_boot_nothing_runs_and_the_policy_decides() {
        let reboot = Found { same_boot: false, ..NO };
        let running = Found { phase: Phase::Running, ..reboot };
        let rows = [
            ("no", running, Verdict::UnknownExit { reboot: true }),
            ("always", running, Verdict::UnknownExit { reboot: true }),
            ("on-failure", running, Verdict::UnknownExit { reboot: true }),
            ("always", Found { manual: true, ..reboot }, Verdict::Start),
            ("unless-stopped", Found { manual: true, ..reboot }, Verdict::Rest),
            ("unless-stopped", Found { phase: Phase::Backoff, ..reboot }, Verdict::Start),
            ("always", Found { phase: Phase::Created, ..reboot }, Verdict::Rest),
            ("no", Found { ephemeral: true, ..running }, Verdict::Remove),
            // COMPAT(docker 28): that somebody stopped it does not count.
            ("on-failure", Found { exit_code: 137, manual: true, ..reboot }, Verdict::Start),
            ("on-failure", Found { exit_code: 0, ..reboot }, Verdict::Rest),
            ("unless-stopped", Found { manual: true, shut_down: true, ..reboot }, Verdict::Start),
            // A stale run directory cannot bring anything to life.
            ("no", Found { alive: true, exit_record: true, ..running }, Verdict::UnknownExit { reboot: true }),
        ];
        for (name, found, expected) in rows {
            assert_eq!(decide(found, &policy(name)), expected, "{name} {found:?}");
        }
    }

    #[test]
    fn what_ended_with_the_engine_comes_back_with_the_next_one() {
        let ended = Found { manual: true, shut_down: true, exit_code: 143, ..NO };
        for (name, found, expected) in [
            ("no", ended, Verdict::Rest),
            ("always", ended, Verdict::Start),
            ("unless-stopped", ended, Verdict::Start),
            ("on-failure", ended, Verdict::Start),
            ("on-failure", Found { exit_code: 0, ..ended }, Verdict::Rest),
            ("always", Found { shut_down: false, ..ended }, Verdict::Rest),
        ] {
            assert_eq!(decide(found, &policy(name)), expected, "{name} {found:?}");
        }
    }

    #[test]
    fn what_a_person_stopped_is_started_as_by_docker_after_an_engine_that_was_told_to_end_and_after_no_other() {
        let stopped = Found { manual: true, exit_code: 137, ..NO };
        for (name, found, expected) in [
            ("no", stopped, Verdict::Rest),
            ("always", stopped, Verdict::Start),
            ("unless-stopped", stopped, Verdict::Rest),
            ("on-failure", stopped, Verdict::Start),
            ("on-failure", Found { exit_code: 0, ..stopped }, Verdict::Rest),
            ("always", Found { phase: Phase::Created, ..stopped }, Verdict::Rest),
        ] {
            assert_eq!(decide(Found { told_to_end: true, ..found }, &policy(name)), expected, "{name} {found:?}");
            assert_eq!(decide(found, &policy(name)), Verdict::Rest, "{name} {found:?}");
        }
    }
}
