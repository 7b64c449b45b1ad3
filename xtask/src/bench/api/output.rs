//! A container that prints 1 GiB in lines: how long until it has ended and the log has it.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Side, compare};
use crate::bench::aims::Figures;

const LINE: &str =
    "the quick brown fox jumps over the lazy dog, and what it says is told line by line to whom it concerns\n";
/// Of one file that is printed again and again.
const PIECE: usize = 16 << 20;
const PIECES: usize = 64;

/// Both engines keep the last 30 MiB in files of 10, which is hull's default.
pub fn run(sides: &[Side], dir: &Path, figures: &mut Figures) -> Result<()> {
    let file = dir.join("lines");
    fs::write(&file, LINE.repeat(PIECE / LINE.len() + 1))?;
    let script = format!("n=0; while [ $n -lt {PIECES} ]; do cat /lines; n=$((n+1)); done");
    let body = json!({
        "Image": "busybox",
        "Cmd": ["sh", "-c", script],
        "HostConfig": {
            "NetworkMode": "none",
            "Binds": [format!("{}:/lines:ro", file.display())],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        },
    });
    compare("a container that prints 1 GiB", "docker/log", sides, 3, figures, |side| {
        let mut api = side.api()?;
        api.call("POST", "/containers/create?name=printer", &body.to_string())?;
        api.call("POST", "/containers/printer/start", "")?;
        let waited: Value = serde_json::from_slice(&api.call("POST", "/containers/printer/wait", "")?)?;
        let tail = api.call("GET", "/containers/printer/logs?stdout=1&tail=1", "")?;
        if waited["StatusCode"] != 0 || !tail.ends_with(b"to whom it concerns\n") {
            bail!("{}: it did not print to the end: {waited}", side.name);
        }
        api.call("DELETE", "/containers/printer", "").map(drop)
    })
}
