//! The whole table: every phase with every input, and what must hold for all of them.

use super::*;

const PHASES: [Phase; 11] = [
    P::Created,
    P::Starting,
    P::Running,
    P::Paused,
    P::Stopping(After::Rest),
    P::Stopping(After::Start),
    P::Stopping(After::Remove),
    P::Backoff,
    P::Exited,
    P::Removing,
    P::Gone,
];
const SECOND: Duration = Duration::from_secs(1);

fn inputs() -> Vec<Input> {
    let mut all = vec![
        I::Start,
        I::Stop,
        I::Restart,
        I::Pause,
        I::Unpause,
        I::Launched,
        I::GraceOver,
        I::BackoffOver,
        I::Destroyed,
        I::NotDestroyed { started_before: true },
    ];
    for on in [true, false] {
        all.push(I::Kill { ends: on });
        all.push(I::Remove { force: on });
        for other in [true, false] {
            all.push(I::LaunchFailed { auto_remove: on, started_before: other });
            all.push(I::Exited { restart: other.then_some(SECOND), auto_remove: on });
        }
    }
    all
}

/// The next phase in one letter per input, in the order of [`letters`]; `.` stays, `!` refuses.
fn letters(phase: Phase) -> String {
    let columns = [
        I::Start,
        I::Stop,
        I::Restart,
        I::Kill { ends: true },
        I::Kill { ends: false },
        I::Pause,
        I::Unpause,
        I::Remove { force: false },
        I::Remove { force: true },
        I::Launched,
        I::Exited { restart: None, auto_remove: false },
        I::Exited { restart: Some(SECOND), auto_remove: false },
        I::Exited { restart: None, auto_remove: true },
        I::LaunchFailed { auto_remove: false, started_before: false },
        I::LaunchFailed { auto_remove: false, started_before: true },
        I::LaunchFailed { auto_remove: true, started_before: true },
        I::BackoffOver,
        I::Destroyed,
        I::NotDestroyed { started_before: true },
    ];
    columns
        .into_iter()
        .map(|input| {
            let step = step(phase, input);
            match (step.answer, step.phase) {
                (Answer::Refuse(_), _) => '!',
                (_, next) if next == phase => '.',
                (_, P::Created) => 'C',
                (_, P::Starting) => 'S',
                (_, P::Running) => 'R',
                (_, P::Paused) => 'P',
                (_, P::Stopping(After::Rest)) => 'e',
                (_, P::Stopping(After::Start)) => 's',
                (_, P::Stopping(After::Remove)) => 'r',
                (_, P::Backoff) => 'B',
                (_, P::Exited) => 'E',
                (_, P::Removing) => 'X',
                (_, P::Gone) => 'G',
            }
        })
        .collect()
}

#[test]
fn every_phase_meets_every_input() {
    //                                      start stop restart kill kill- pause unpause rm rm-f
    //                                      launched exited restart autorm failed… backoff destroyed…
    let rows = [
        (P::Created, "S!S!!!!XX.........."),
        (P::Starting, "!!!!!!!!!REBXCEX..."),
        (P::Running, "!es..P!!r.EBX......"),
        (P::Paused, "!esR.!R!r.EBX......"),
        (P::Stopping(After::Rest), "!.s..!!!r.EEX......"),
        (P::Stopping(After::Start), "!....!!!r.SSS......"),
        (P::Stopping(After::Remove), "!.!..!!!..XXX......"),
        (P::Backoff, "SESE!!!!X.......S.."),
        (P::Exited, "S!S!!!!XX.........."),
        (P::Removing, "!!!!!!!!!........GE"),
        (P::Gone, "!!!!!!!!!.........."),
    ];
    for (phase, expected) in rows {
        assert_eq!(letters(phase), expected, "{phase:?}");
    }
}

#[test]
fn a_refusal_changes_nothing_and_does_nothing() {
    for phase in PHASES {
        for input in inputs() {
            let step = step(phase, input);
            if matches!(step.answer, Answer::Refuse(_)) {
                assert_eq!((step.phase, step.actions.len()), (phase, 0), "{phase:?} {input:?}");
            }
        }
    }
}

#[test]
fn clients_and_only_clients_are_answered() {
    for phase in PHASES {
        for input in inputs() {
            let asked = matches!(
                input,
                I::Start | I::Stop | I::Restart | I::Kill { .. } | I::Pause | I::Unpause | I::Remove { .. }
            );
            assert_eq!(step(phase, input).answer != Answer::Nobody, asked, "{phase:?} {input:?}");
        }
    }
}

#[test]
fn each_change_of_phase_carries_its_duty() {
    for phase in PHASES {
        for input in inputs() {
            let step = step(phase, input);
            let has = |action| step.actions.contains(&action);
            if step.phase == phase {
                continue;
            }
            let duty = match step.phase {
                P::Starting => has(A::Launch),
                P::Removing => has(A::Destroy),
                P::Gone => has(A::Forget),
                P::Exited | P::Created => has(A::Save),
                P::Stopping(_) => has(A::SignalStop) || has(A::SignalKill) || matches!(phase, P::Stopping(_)),
                P::Backoff => step.actions.iter().any(|a| matches!(a, A::ArmBackoff(_))),
                P::Running | P::Paused => true,
            };
            assert!(duty, "{phase:?} {input:?} {step:?}");
        }
    }
}

#[test]
fn a_run_dies_exactly_once() {
    for phase in PHASES {
        for restart in [None, Some(SECOND)] {
            for auto_remove in [true, false] {
                let step = step(phase, I::Exited { restart, auto_remove });
                let deaths = step.actions.iter().filter(|a| **a == A::Announce(N::Die)).count();
                assert_eq!(deaths == 1, phase.is_live(), "{phase:?}");
                assert!(!step.phase.is_live() || step.phase == P::Starting, "{phase:?}");
            }
        }
    }
}

#[test]
fn a_paused_container_that_is_told_to_end_is_thawed_after_the_signal() {
    for input in [I::Stop, I::Restart, I::Kill { ends: true }, I::Remove { force: true }] {
        let actions = step(P::Paused, input).actions;
        let signal = actions.iter().position(|a| matches!(a, A::SignalStop | A::SignalKill | A::SignalGiven));
        let thaw = actions.iter().position(|a| *a == A::Thaw);
        assert!(signal.is_some() && signal < thaw, "{input:?}: {actions:?}");
    }
}
