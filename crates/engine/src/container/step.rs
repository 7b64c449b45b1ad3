//! The life of a container as a pure table: `step(phase, input) -> phase, actions, answer`.
//!
//! ```text
//! Created ─Start▶ Starting ─Launched▶ Running ◀─▶ Paused
//!    ▲              │  ▲                 │ Stop, Restart, Remove(force)
//!    └─LaunchFailed─┘  │                 ▼
//!              Backoff─┘◀─Exited──── Stopping(after) ─Exited▶ Exited ─Remove▶ Removing ▶ Gone
//! ```
//! It decides nothing about time, policy or the kernel: the task that owns the container measures
//! those, puts them into the [`Input`], and carries out the [`Action`]s in order.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Never started, or never successfully.
    Created,
    /// The keeper has, or is about to get, its plan.
    Starting,
    /// Its PID 1 runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// It was told to end.
    Stopping(After),
    /// It ended and starts again when the back-off is over.
    Backoff,
    /// It ended.
    Exited,
    /// What it owns is being removed.
    Removing,
    /// Nothing is left.
    Gone,
}

/// What follows an end that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum After {
    /// Nothing.
    Rest,
    /// A start.
    Start,
    /// The removal.
    Remove,
}

/// What happens to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A client asks.
    Start,
    /// A client asks.
    Stop,
    /// A client asks.
    Restart,
    /// A client sends a signal. `ends`: it is meant to end the container.
    Kill { ends: bool },
    /// A client asks.
    Pause,
    /// A client asks.
    Unpause,
    /// A client asks.
    Remove { force: bool },
    /// The keeper executed the command.
    Launched,
    /// It could not. `auto_remove`: the container was to be removed after its end.
    LaunchFailed { auto_remove: bool, started_before: bool },
    /// PID 1 ended. `restart`: what the policy says.
    Exited { restart: Option<Duration>, auto_remove: bool },
    /// The time to end by itself is over.
    GraceOver,
    /// The back-off is over.
    BackoffOver,
    /// What it owned is gone.
    Destroyed,
    /// Its record could not be removed.
    NotDestroyed { started_before: bool },
}

/// What the task does, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Prepare and launch; the outcome comes back as an input.
    Launch,
    /// Send the signal that asks it to end.
    SignalStop,
    /// Send SIGKILL.
    SignalKill,
    /// Send the client's signal.
    SignalGiven,
    Freeze,
    Thaw,
    ArmGrace,
    ArmBackoff(Duration),
    Disarm,
    /// A person ended it: the restart policy rests.
    MarkManual,
    /// Write the state.
    Save,
    /// Remove what it owns; the outcome comes back as an input.
    Destroy,
    /// Leave the registry and end the task.
    Forget,
    Announce(Notice),
}

/// Events that the table decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Start,
    Die,
    Stop,
    Pause,
    Unpause,
    Destroy,
}

/// What the client who asked hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// When the container has got there.
    When(Goal),
    /// It cannot be.
    Refuse(Refusal),
    /// Nobody asked.
    Nobody,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Started,
    Restarted,
    Stopped,
    Removed,
}

/// Why a client's wish cannot be met now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    AlreadyStarted,
    AlreadyStopped,
    NotRunning,
    NotPaused,
    AlreadyPaused,
    PausedCannotStart,
    Restarting,
    Busy,
    RemoveRunning,
    RemovePaused,
    RemoveRestarting,
    RemovalInProgress,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub phase: Phase,
    pub actions: Vec<Action>,
    pub answer: Answer,
}

use Action as A;
use Input as I;
use Notice as N;
use Phase as P;

/// The table.
pub(crate) fn step(phase: Phase, input: Input) -> Step {
    match input {
        I::Start => on_start(phase),
        I::Stop => on_stop(phase),
        I::Restart => on_restart(phase),
        I::Kill { ends } => on_kill(phase, ends),
        I::Pause => on_pause(phase),
        I::Unpause => on_unpause(phase),
        I::Remove { force } => on_remove(phase, force),
        I::Launched => match phase {
            P::Starting => to(P::Running, &[A::Save, A::Announce(N::Start)]),
            other => stay(other),
        },
        I::LaunchFailed { auto_remove, started_before } => match phase {
            P::Starting if auto_remove => to(P::Removing, &[A::Destroy]),
            P::Starting if started_before => to(P::Exited, &[A::Save]),
            P::Starting => to(P::Created, &[A::Save]),
            other => stay(other),
        },
        I::Exited { restart, auto_remove } => on_exit(phase, restart, auto_remove),
        I::GraceOver => match phase {
            P::Stopping(_) => to(phase, &[A::SignalKill]),
            other => stay(other),
        },
        I::BackoffOver => match phase {
            P::Backoff => to(P::Starting, &[A::Launch]),
            other => stay(other),
        },
        I::Destroyed => match phase {
            P::Removing => to(P::Gone, &[A::Forget, A::Announce(N::Destroy)]),
            other => stay(other),
        },
        I::NotDestroyed { started_before } => match phase {
            P::Removing if started_before => to(P::Exited, &[A::Save]),
            P::Removing => to(P::Created, &[]),
            other => stay(other),
        },
    }
}

fn on_start(phase: Phase) -> Step {
    match phase {
        P::Created | P::Exited => when(P::Starting, &[A::Launch], Goal::Started),
        P::Backoff => when(P::Starting, &[A::Disarm, A::Launch], Goal::Started),
        P::Starting | P::Running | P::Stopping(_) => refuse(phase, Refusal::AlreadyStarted),
        P::Paused => refuse(phase, Refusal::PausedCannotStart),
        P::Removing | P::Gone => refuse(phase, Refusal::RemovalInProgress),
    }
}

fn on_stop(phase: Phase) -> Step {
    let stopping = |phase| when(phase, &[A::MarkManual, A::SignalStop, A::ArmGrace], Goal::Stopped);
    match phase {
        P::Running => stopping(P::Stopping(After::Rest)),
        P::Stopping(after) => stopping(P::Stopping(after)),
        // ORDER: the signal waits in the frozen process and is the first thing it sees.
        P::Paused => {
            when(P::Stopping(After::Rest), &[A::MarkManual, A::SignalStop, A::Thaw, A::ArmGrace], Goal::Stopped)
        }
        P::Backoff => done(P::Exited, &[A::MarkManual, A::Disarm, A::Save]),
        P::Created | P::Exited => refuse(phase, Refusal::AlreadyStopped),
        P::Starting => refuse(phase, Refusal::Busy),
        P::Removing | P::Gone => refuse(phase, Refusal::RemovalInProgress),
    }
}

fn on_restart(phase: Phase) -> Step {
    let next = P::Stopping(After::Start);
    match phase {
        P::Created | P::Exited => when(P::Starting, &[A::Launch], Goal::Restarted),
        P::Backoff => when(P::Starting, &[A::Disarm, A::Launch], Goal::Restarted),
        P::Running => when(next, &[A::SignalStop, A::ArmGrace], Goal::Restarted),
        P::Paused => when(next, &[A::SignalStop, A::Thaw, A::ArmGrace], Goal::Restarted),
        P::Stopping(After::Remove) | P::Removing | P::Gone => refuse(phase, Refusal::RemovalInProgress),
        P::Stopping(_) => when(next, &[], Goal::Restarted),
        P::Starting => refuse(phase, Refusal::Busy),
    }
}

fn on_kill(phase: Phase, ends: bool) -> Step {
    match (phase, ends) {
        (P::Running | P::Stopping(_), true) => done(phase, &[A::MarkManual, A::SignalGiven]),
        (P::Paused, true) => done(P::Running, &[A::MarkManual, A::SignalGiven, A::Thaw]),
        (P::Running | P::Paused | P::Stopping(_), false) => done(phase, &[A::SignalGiven]),
        (P::Backoff, true) => done(P::Exited, &[A::MarkManual, A::Disarm, A::Save]),
        (P::Backoff, false) => refuse(phase, Refusal::Restarting),
        (P::Starting, _) => refuse(phase, Refusal::Busy),
        (P::Created | P::Exited | P::Removing | P::Gone, _) => refuse(phase, Refusal::NotRunning),
    }
}

fn on_pause(phase: Phase) -> Step {
    match phase {
        P::Running => done(P::Paused, &[A::Freeze, A::Save, A::Announce(N::Pause)]),
        P::Paused => refuse(phase, Refusal::AlreadyPaused),
        P::Backoff => refuse(phase, Refusal::Restarting),
        P::Stopping(_) | P::Starting => refuse(phase, Refusal::Busy),
        P::Created | P::Exited | P::Removing | P::Gone => refuse(phase, Refusal::NotRunning),
    }
}

fn on_unpause(phase: Phase) -> Step {
    match phase {
        P::Paused => done(P::Running, &[A::Thaw, A::Save, A::Announce(N::Unpause)]),
        P::Created | P::Starting | P::Running | P::Stopping(_) | P::Backoff | P::Exited | P::Removing | P::Gone => {
            refuse(phase, Refusal::NotPaused)
        }
    }
}

fn on_remove(phase: Phase, force: bool) -> Step {
    let end = P::Stopping(After::Remove);
    match (phase, force) {
        (P::Created | P::Exited, _) => when(P::Removing, &[A::Destroy], Goal::Removed),
        (P::Backoff, true) => when(P::Removing, &[A::Disarm, A::Destroy], Goal::Removed),
        (P::Running | P::Stopping(_), true) => when(end, &[A::MarkManual, A::Disarm, A::SignalKill], Goal::Removed),
        (P::Paused, true) => when(end, &[A::MarkManual, A::SignalKill, A::Thaw], Goal::Removed),
        (P::Running | P::Stopping(_), false) => refuse(phase, Refusal::RemoveRunning),
        (P::Paused, false) => refuse(phase, Refusal::RemovePaused),
        (P::Backoff, false) => refuse(phase, Refusal::RemoveRestarting),
        (P::Starting, _) => refuse(phase, Refusal::Busy),
        (P::Removing | P::Gone, _) => refuse(phase, Refusal::RemovalInProgress),
    }
}

fn on_exit(phase: Phase, restart: Option<Duration>, auto_remove: bool) -> Step {
    match phase {
        P::Starting | P::Running | P::Paused => match (restart, auto_remove) {
            (_, true) => to(P::Removing, &[A::Announce(N::Die), A::Destroy]),
            (Some(delay), false) => to(P::Backoff, &[A::Save, A::Announce(N::Die), A::ArmBackoff(delay)]),
            (None, false) => to(P::Exited, &[A::Save, A::Announce(N::Die)]),
        },
        P::Stopping(After::Rest) if auto_remove => {
            to(P::Removing, &[A::Disarm, A::Announce(N::Die), A::Announce(N::Stop), A::Destroy])
        }
        P::Stopping(After::Rest) => to(P::Exited, &[A::Disarm, A::Save, A::Announce(N::Die), A::Announce(N::Stop)]),
        P::Stopping(After::Start) => {
            to(P::Starting, &[A::Disarm, A::Save, A::Announce(N::Die), A::Announce(N::Stop), A::Launch])
        }
        P::Stopping(After::Remove) => to(P::Removing, &[A::Disarm, A::Announce(N::Die), A::Destroy]),
        // A late report about a run that is already accounted for.
        P::Created | P::Backoff | P::Exited | P::Removing | P::Gone => stay(phase),
    }
}

fn to(phase: Phase, actions: &[Action]) -> Step {
    Step { phase, actions: actions.to_vec(), answer: Answer::Nobody }
}

fn stay(phase: Phase) -> Step {
    to(phase, &[])
}

fn done(phase: Phase, actions: &[Action]) -> Step {
    Step { phase, actions: actions.to_vec(), answer: Answer::Done }
}

fn when(phase: Phase, actions: &[Action], goal: Goal) -> Step {
    Step { phase, actions: actions.to_vec(), answer: Answer::When(goal) }
}

fn refuse(phase: Phase, why: Refusal) -> Step {
    Step { phase, actions: Vec::new(), answer: Answer::Refuse(why) }
}

impl Phase {
    /// A process of it exists, or is about to.
    pub fn is_live(self) -> bool {
        matches!(self, P::Starting | P::Running | P::Paused | P::Stopping(_))
    }

    /// Its PID 1 runs, as far as is known.
    pub fn is_running(self) -> bool {
        self.is_live() && self != P::Starting
    }

    /// docker's word.
    pub fn status(self) -> &'static str {
        match self {
            P::Created | P::Starting => "created",
            P::Running | P::Stopping(_) => "running",
            P::Paused => "paused",
            P::Backoff => "restarting",
            P::Exited => "exited",
            P::Removing | P::Gone => "removing",
        }
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
