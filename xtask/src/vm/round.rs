//! A round of tests in the machine, and what happens when the machine does not survive it.
//!
//! An emulated processor may stand still for good, and a kernel may panic: neither is a verdict on
//! hull. The guest says every few seconds that it lives; when it does not, it is booted again, at most
//! [`BOOTS`] times in all, and goes on with the tests whose result was not heard. Every such boot is told.
//!
//! Under CI tests that failed are tried once more, in a machine of their own, as the other rounds do; both results
//! are shown.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::hearing::Hearing;
use super::machine::{Ending, Machine};
use crate::test::Total;

/// How long a round may take.
const LIMIT: Duration = Duration::from_secs(35 * 60);

/// How long the guest may be silent. It speaks every five seconds.
const QUIET: Duration = Duration::from_secs(90);

/// How long no test may end, nor anything else be said. Longer than the guest lets an executable run.
const STALLED: Duration = Duration::from_secs(8 * 60);

/// How often the machine is started for one round.
const BOOTS: usize = 4;

/// Plays it and returns what was counted.
pub fn play(machine: &Machine) -> Result<Total> {
    let began = Instant::now();
    let mut hearing = Hearing::default();
    hear(machine, began, &mut hearing)?;
    if hearing.finished && std::env::var_os("CI").is_some() && hearing.try_again() {
        eprintln!("tests that failed are tried once more");
        machine.tell_done(hearing.done())?;
        hear(machine, began, &mut hearing)?;
    }
    eprintln!("in {} s in the virtual machine, {}", began.elapsed().as_secs(), hearing.summary());
    if !hearing.finished {
        bail!("the virtual machine did not come to the end of the tests; {} ran", hearing.running());
    }
    Ok(hearing.total())
}

/// Boots until all has been heard, or patience ends.
fn hear(machine: &Machine, began: Instant, hearing: &mut Hearing) -> Result<()> {
    for boot in 1..=BOOTS {
        let ending = machine.boot(QUIET, began + LIMIT, |line| {
            if hearing.line(line) {
                eprintln!("vm| {line}");
            }
            let stalled = hearing.progress.is_some_and(|last| last.elapsed() > STALLED);
            if hearing.finished { Some(Ending::Heard) } else { stalled.then_some(Ending::Stalled) }
        })?;
        let what = match ending {
            Ending::Heard | Ending::Late => break,
            Ending::Silent => format!("was silent for {} s", QUIET.as_secs()),
            Ending::Stalled => format!("came no further for {} s", STALLED.as_secs()),
            Ending::Gone => "ended before the tests did".to_owned(),
        };
        eprintln!("the virtual machine {what}; {} ran (start {boot} of at most {BOOTS})", hearing.running());
        if boot == BOOTS {
            break;
        }
        hearing.cut_short();
        machine.tell_done(hearing.done())?;
    }
    Ok(())
}
