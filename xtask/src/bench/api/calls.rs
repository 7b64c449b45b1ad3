//! Each call many times on one connection: the middle and the 99th percentile.

use std::time::Instant;

use anyhow::Result;

use super::{Side, running};
use crate::bench::aims::Figures;
use crate::bench::stats::median;

const TIMES: usize = 300;

/// What is asked for with nothing to undo.
const READS: [(&str, &str); 14] = [
    ("ping", "/_ping"),
    ("version", "/version"),
    ("info", "/info"),
    ("list of all 500", "/containers/json?all=1"),
    ("list of those that run", "/containers/json"),
    ("list by label", "/containers/json?all=1&filters={%22label%22:[%22bench=77%22]}"),
    ("inspect", "/containers/bench-7/json"),
    ("top", "/containers/RUNNING/top"),
    ("stats, one shot", "/containers/RUNNING/stats?stream=false&one-shot=true"),
    ("logs", "/containers/RUNNING/logs?stdout=1"),
    ("list of images", "/images/json"),
    ("inspect of an image", "/images/busybox/json"),
    ("list of networks", "/networks"),
    ("list of volumes", "/volumes"),
];

/// The table, and the worst of hull's.
pub fn run(sides: &[Side], figures: &mut Figures) -> Result<()> {
    println!("\n### API calls on one connection, 500 containers, ms\n\n| | median | 99 % |\n|---|---|---|");
    let mut worst = 0f64;
    for (what, path) in READS {
        let path = path.replace("RUNNING", &running());
        for side in sides {
            let mut api = side.api()?;
            let high = row(side, what, || api.call("GET", &path, "").map(drop))?;
            worst = worst.max(if side.name == "hull" { high } else { 0.0 });
        }
    }
    for side in sides {
        let high = changes(side)?;
        worst = worst.max(if side.name == "hull" { high } else { 0.0 });
    }
    figures.note("calls p99", worst);
    Ok(())
}

/// Calls that change something; the worst of them.
fn changes(side: &Side) -> Result<f64> {
    let mut api = side.api()?;
    let body = r#"{"Image":"busybox","Cmd":["true"],"HostConfig":{"NetworkMode":"none"}}"#;
    let mut n = 0;
    let mut next = || {
        n += 1;
        (n - 1) % TIMES
    };
    let mut worst =
        row(side, "create", || api.call("POST", &format!("/containers/create?name=extra-{}", next()), body).map(drop))?;
    worst = worst.max(row(side, "rename", || {
        let n = next();
        api.call("POST", &format!("/containers/extra-{n}/rename?name=other-{n}"), "").map(drop)
    })?);
    worst =
        worst.max(row(side, "remove", || api.call("DELETE", &format!("/containers/other-{}", next()), "").map(drop))?);
    worst = worst.max(row(side, "create a volume", || {
        api.call("POST", "/volumes/create", &format!(r#"{{"Name":"extra-{}"}}"#, next())).map(drop)
    })?);
    worst = worst
        .max(row(side, "remove a volume", || api.call("DELETE", &format!("/volumes/extra-{}", next()), "").map(drop))?);
    let create = format!("/containers/{}/exec", running());
    worst = worst.max(row(side, "create an exec", || api.call("POST", &create, r#"{"Cmd":["true"]}"#).map(drop))?);
    Ok(worst)
}

/// Prints one row; the 99th percentile.
fn row(side: &Side, what: &str, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begin = Instant::now();
        call()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let high = times[TIMES * 99 / 100];
    println!("| {} | {:.2} | {high:.2} |", side.row(what), median(&times));
    Ok(high)
}
