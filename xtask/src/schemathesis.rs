//! `cargo xtask schemathesis`: the test that sends requests made up from docker's description of the API, for as long as is asked for.

use anyhow::{Context, Result, bail};

use crate::{clients, sh};

/// Above a minute the requests are new ones each time.
const SECONDS: u64 = 300;

/// Brings schemathesis and runs it.
pub fn run(args: &[String]) -> Result<()> {
    let seconds = match args {
        [] => SECONDS,
        [text] => text.parse().with_context(|| format!("`{text}` is no number of seconds"))?,
        _ => bail!("one number of seconds is all that is read"),
    };
    sh::need_root("cargo xtask schemathesis")?;
    clients::fetch()?;
    let test = ["test", "--package", "hull", "--test", "peers", "schemathesis", "--", "--nocapture"];
    sh::run(sh::cmd("cargo", &test).env("HULL_SCHEMATHESIS", seconds.to_string()))
}
