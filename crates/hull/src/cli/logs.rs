//! `hull logs`: what a container wrote.

use std::io::{ErrorKind, Write};

use hull_client::LogOptions;
use hull_types::Fault;
use hull_wire::StdStream;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::moments::moment;
use super::parse::{Spoken, shortened};

/// Flags of `logs`.
#[derive(clap::Args, Debug)]
pub(crate) struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, value_name = "string", default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string")]
    until: Option<String>,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Logs {
    const NAME: &'static str = "logs";
    const ABOUT: &'static str = "Fetch the logs of a container";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let time = |flag: &str, value: &Option<String>| value.as_deref().map(|text| moment(flag, text)).transpose();
        let options = LogOptions {
            stdout: true,
            stderr: true,
            follow: self.follow,
            timestamps: self.timestamps,
            details: self.details,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            tail: tail(&self.tail)?,
        };
        let client = context.client()?;
        let mut logs = client.container_logs(&self.container, &options).map_err(Fault::from)?;
        let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
        loop {
            let piece = logs.next_piece().map_err(|e| Fault::internal("lost the logs").cause(e))?;
            let written = match piece {
                None => return Ok(0),
                Some((StdStream::Stderr, bytes)) => stderr.write_all(bytes),
                Some((_, bytes)) => stdout.write_all(bytes).and_then(|()| stdout.flush()),
            };
            match written {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(Failure::silent(0)),
                other => other.map_err(|e| Fault::internal("cannot write the logs").cause(e))?,
            }
        }
    }
}

/// `all`, or a number of lines; a negative one is all, as docker's.
fn tail(text: &str) -> Result<Option<u64>, Failure> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(None),
        (_, Ok(number)) => Ok(u64::try_from(number).ok()),
        _ => {
            let shown = shortened(text);
            Err(Failure::usage(Fault::invalid(format!(
                "invalid value `{shown}` for `--tail`: it must be a number or all"
            ))))
        }
    }
}
