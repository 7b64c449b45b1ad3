//! Hooks of a bundle: programs that are run on the way, with the container's state on stdin.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hull_sys::{Error, Named, Result};
use rustix::io::Errno;

use super::Child;
use crate::plan::Hook;

impl Child<'_> {
    pub(super) fn hooks(&self, hooks: &[Hook]) -> Result<()> {
        hooks.iter().try_for_each(|hook| run(hook, std::process::id()))
    }
}

/// Runs one hook to its end. Its output goes where the caller's goes, but for stdout, which is the container's.
pub(crate) fn run(hook: &Hook, pid: u32) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let describe = || format!("{} hook {:?}", hook.kind, hook.path);
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.envs(hook.env.iter().filter_map(|pair| pair.split_once('=')));
    let mut child = command.spawn().named(describe)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its state.
        _ = write!(stdin, "{}{pid}{}", hook.state.0, hook.state.1);
    }
    let status = match hook.timeout {
        None => child.wait().named(describe)?,
        Some(seconds) => match wait_at_most(&mut child, Duration::from_secs(seconds.into())).named(describe)? {
            Some(status) => status,
            None => {
                _ = child.kill();
                _ = child.wait();
                return Err(Error::new(format!("{}: no end after {seconds} s", describe()), Errno::TIMEDOUT));
            }
        },
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Error::new(format!("{}: exit status {code}", describe()), Errno::CANCELED)),
        (None, signal) => {
            let signal = signal.unwrap_or(0);
            Err(Error::new(format!("{}: killed by signal {signal}", describe()), Errno::CANCELED))
        }
    }
}

fn wait_at_most(child: &mut std::process::Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
