//! How fast things may change while somebody is told of each change.

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

use super::Side;
use crate::bench::aims::Figures;

/// Each of so many clients changes its own container's name so many times.
const CLIENTS: usize = 4;
const CHANGES: usize = 1000;

/// Renames by four clients, one reader of events.
pub fn run(sides: &[Side], figures: &mut Figures) -> Result<()> {
    println!("\n### events: {CLIENTS} clients rename containers, one reader is told\n");
    println!("| | changes per second | not told |\n|---|---|---|");
    for side in sides {
        let (rate, lost) = told(side)?;
        println!("| {} | {rate:.0} | {lost} |", side.name);
        if side.name == "hull" {
            figures.note("events", rate);
            figures.note("events lost", lost as f64);
        }
    }
    Ok(())
}

/// Changes per second until the last was told, and how many were not.
fn told(side: &Side) -> Result<(f64, usize)> {
    let lines = side.api()?.lines("/events?filters={%22event%22:[%22rename%22,%22create%22]}")?;
    let reader = thread::spawn(move || -> Result<usize> {
        let mut renames = 0;
        for line in lines {
            // An engine may send several in one chunk.
            let text = String::from_utf8_lossy(&line?).into_owned();
            renames += text.matches("\"Action\":\"rename\"").count();
            if text.contains("\"Action\":\"create\"") {
                break;
            }
        }
        Ok(renames)
    });
    let begin = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || rename(side, n))).collect();
        clients.into_iter().try_for_each(|client| client.join().ok().context("a client panicked")?)
    })?;
    // The reader ends with the event of this volume, which comes after all others.
    side.api()?.call("POST", "/volumes/create", r#"{"Name":"bench-events"}"#)?;
    let renames = reader.join().ok().context("the reader panicked")??;
    let rate = (CLIENTS * CHANGES) as f64 / begin.elapsed().as_secs_f64();
    side.api()?.call("DELETE", "/volumes/bench-events", "")?;
    Ok((rate, (CLIENTS * CHANGES).saturating_sub(renames)))
}

fn rename(side: &Side, client: usize) -> Result<()> {
    let mut api = side.api()?;
    let (mut old, mut new) = (format!("bench-{client}"), format!("renamed-{client}"));
    for _ in 0..CHANGES {
        api.call("POST", &format!("/containers/{old}/rename?name={new}"), "")?;
        std::mem::swap(&mut old, &mut new);
    }
    Ok(())
}
