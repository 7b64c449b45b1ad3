//! Health: what a container is asked, and how its answers are counted. Pure.
//!
//! ```text
//! (none) ─start▶ starting ─success▶ healthy ◀─success─ unhealthy ◀─ paused, ended
//!                   └─ `retries` failures in a row ─────▲
//! ```
//! COMPAT(docker 28): daemon/health.go. Failures within the start period do not count while nothing has succeeded.

use std::time::Duration;

use hull_types::Timestamp;
use hull_wire as wire;
use serde::{Deserialize, Serialize};

use super::record::Definition;

/// Bytes of a check's output that are kept.
pub(crate) const OUTPUT: usize = 4096;
/// Results that are kept.
const LOG: usize = 5;
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// docker has no field for what follows when a container gets unhealthy: an annotation asks for it.
pub(crate) const ON_FAILURE: &str = "hull.health.on-failure";

/// How a container's health is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub argv: Vec<String>,
    interval: Duration,
    pub timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
    pub on_failure: OnFailure,
}

/// What follows when a container gets unhealthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFailure {
    #[default]
    None,
    Kill,
    Restart,
    Stop,
}

/// docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    Starting,
    Healthy,
    Unhealthy,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    pub status: Status,
    pub streak: u32,
    /// The last results, oldest first.
    pub log: Vec<Found>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub start: Timestamp,
    pub end: Timestamp,
    /// -1: it could not be run, or not in time.
    pub exit_code: i64,
    pub output: String,
}

impl Check {
    /// The container's check, if it has one.
    pub fn of(definition: &Definition) -> Option<Self> {
        let asked = definition.config.healthcheck.as_ref()?;
        let (kind, words) = asked.test.split_first()?;
        let shell = &definition.config.shell;
        let argv = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" if shell.is_empty() => [&["/bin/sh".to_owned(), "-c".to_owned()], words].concat(),
            "CMD-SHELL" => [shell.as_slice(), words].concat(),
            _ => return None,
        };
        let span = |nanos: i64, default| match u64::try_from(nanos) {
            Ok(0) | Err(_) => default,
            Ok(nanos) => Duration::from_nanos(nanos),
        };
        Some(Self {
            argv: Some(argv).filter(|argv| !argv.is_empty())?,
            interval: span(asked.interval, INTERVAL),
            timeout: span(asked.timeout, TIMEOUT),
            start_period: span(asked.start_period, Duration::ZERO),
            start_interval: span(asked.start_interval, START_INTERVAL),
            retries: u32::try_from(asked.retries).ok().filter(|retries| *retries > 0).unwrap_or(RETRIES),
            on_failure: definition
                .host_config
                .annotations
                .get(ON_FAILURE)
                .map_or_else(OnFailure::default, |word| OnFailure::parse(word).unwrap_or_default()),
        })
    }

    /// How long to wait from the end of one check to the next one's begin, `ran` after the start.
    pub fn pause(&self, status: Status, ran: Duration) -> Duration {
        if status == Status::Starting && ran < self.start_period { self.start_interval } else { self.interval }
    }
}

impl OnFailure {
    /// podman's words.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "kill" => Self::Kill,
            "restart" => Self::Restart,
            "stop" => Self::Stop,
            _ => return None,
        })
    }
}

impl Status {
    /// docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Health {
    /// At a start; what an earlier run left in the log stays.
    pub fn starting(before: Option<&Self>) -> Self {
        let log = before.map_or_else(Vec::new, |health| health.log.clone());
        Self { status: Status::Starting, streak: 0, log }
    }

    /// After one more result of a run that began at `started`.
    pub fn after(&self, found: Found, check: &Check, started: Timestamp) -> Self {
        let since = found.start.nanos().saturating_sub(started.nanos()).max(0);
        let early = Duration::from_nanos(since.unsigned_abs()) < check.start_period;
        let excused = early && self.status == Status::Starting;
        let streak = match found.exit_code {
            0 => 0,
            _ if excused => self.streak,
            _ => self.streak.saturating_add(1),
        };
        let status = match found.exit_code {
            0 => Status::Healthy,
            _ if !excused && streak >= check.retries => Status::Unhealthy,
            _ => self.status,
        };
        let mut log = self.log.clone();
        log.push(found);
        log.drain(..log.len().saturating_sub(LOG));
        Self { status, streak, log }
    }

    /// Nobody looks any more. COMPAT(docker 28): "unhealthy when the monitor has stopped".
    pub fn unwatched(&self) -> Self {
        Self { status: Status::Unhealthy, ..self.clone() }
    }

    /// As inspect shows it.
    pub fn shown(&self) -> wire::Health {
        wire::Health {
            status: self.status.word().into(),
            failing_streak: self.streak.into(),
            log: self.log.iter().map(Found::shown).collect(),
        }
    }
}

impl Found {
    fn shown(&self) -> wire::HealthcheckResult {
        wire::HealthcheckResult {
            start: self.start,
            end: self.end,
            exit_code: self.exit_code,
            output: self.output.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        Check {
            argv: vec!["true".into()],
            interval: Duration::from_secs(30),
            timeout: TIMEOUT,
            start_period: Duration::from_secs(60),
            start_interval: Duration::from_secs(5),
            retries: 2,
            on_failure: OnFailure::None,
        }
    }

    /// Seconds after the start, exit code, status and streak after it.
    type Row = (i64, i64, Status, u32);

    fn follow(rows: &[Row], check: &Check) {
        let mut health = Health::starting(None);
        for (at, exit_code, status, streak) in rows {
            let start = Timestamp::from_secs(1000 + at);
            let found = Found { start, end: start, exit_code: *exit_code, output: String::new() };
            health = health.after(found, check, Timestamp::from_secs(1000));
            assert_eq!((health.status, health.streak), (*status, *streak), "at {at}");
            assert!(health.log.len() <= 5);
            assert_eq!(health.log.last().map(|found| found.start), Some(start));
        }
    }

    #[test]
    fn results_count_as_dockers() {
        use Status::{Healthy, Starting, Unhealthy};
        let plain = Check { start_period: Duration::ZERO, ..check() };
        follow(
            &[(1, 1, Starting, 1), (2, 1, Unhealthy, 2), (3, 1, Unhealthy, 3), (4, 0, Healthy, 0), (5, 1, Healthy, 1)],
            &plain,
        );
        follow(&[(1, 0, Healthy, 0), (2, -1, Healthy, 1), (3, 137, Unhealthy, 2), (4, 0, Healthy, 0)], &plain);
        // The start period excuses failures until the first success, and no longer.
        follow(&[(1, 1, Starting, 0), (2, 1, Starting, 0), (60, 1, Starting, 1), (61, 1, Unhealthy, 2)], &check());
        follow(&[(1, 1, Starting, 0), (2, 0, Healthy, 0), (3, 1, Healthy, 1), (4, 1, Unhealthy, 2)], &check());
    }

    #[test]
    fn a_new_run_keeps_the_log_and_an_unwatched_one_is_unhealthy() {
        let found = Found { start: Timestamp::NEVER, end: Timestamp::NEVER, exit_code: 0, output: "fine".into() };
        let healthy = Health::starting(None).after(found, &check(), Timestamp::NEVER);
        assert_eq!(healthy.status, Status::Healthy);
        let ended = healthy.unwatched();
        assert_eq!((ended.status, ended.log.len()), (Status::Unhealthy, 1));
        let again = Health::starting(Some(&ended));
        assert_eq!((again.status, again.streak, again.log.len()), (Status::Starting, 0, 1));
    }

    #[test]
    fn the_start_interval_is_for_the_start_period_until_something_succeeds() {
        let (early, late) = (Duration::from_secs(59), Duration::from_secs(60));
        assert_eq!(check().pause(Status::Starting, early), Duration::from_secs(5));
        assert_eq!(check().pause(Status::Healthy, early), Duration::from_secs(30));
        assert_eq!(check().pause(Status::Starting, late), Duration::from_secs(30));
        let plain = Check { start_period: Duration::ZERO, ..check() };
        assert_eq!(plain.pause(Status::Starting, Duration::ZERO), Duration::from_secs(30));
    }
}
