//! Starting keeper and engine when none answers: once, however many commands ask at the same time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hull_client::Client;
use hull_types::{Digest, Fault, Kind};
use rustix::fs::{FlockOperation, flock};

use super::context::Context;
use crate::role::daemon::FILE_VARIABLE;
use crate::role::sockets::VARIABLE;

mod systemd;

/// How long the socket is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Starts an engine and connects to it; connects to the one that another command started first.
pub(crate) fn start(context: &Context) -> Result<Client, Fault> {
    start_with(context, "", None)
}

/// As [`start`], with further sockets (see [`crate::role::sockets`]) and a file of settings.
pub(crate) fn start_with(context: &Context, sockets: &str, config: Option<&Path>) -> Result<Client, Fault> {
    let failed = |what: &str, error: io::Error| {
        let fault = Fault::new(Kind::Unavailable, format!("cannot start the engine: {what}")).cause(&error);
        if error.kind() == io::ErrorKind::PermissionDenied {
            return fault.hint("run it as root");
        }
        fault
    };
    let run = context.run.display();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&context.run)
        .map_err(|e| failed(&format!("{run} cannot be made"), e))?;
    let lock =
        File::create(context.run.join("start.lock")).map_err(|e| failed(&format!("{run} is not writable"), e))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed("its lock cannot be taken", e.into()))?;
    if let Some(client) = context.running()? {
        return Ok(client);
    }
    let log = context.run.join("engine.log");
    let mut more: Vec<(&str, OsString)> = config.map(|file| (FILE_VARIABLE, file.into())).into_iter().collect();
    more.extend((!sockets.is_empty()).then(|| (VARIABLE, sockets.into())));
    let child = launch(context, &log, &more).map_err(|e| failed("its process cannot be made", e))?;
    await_socket(context, child, &log)
}

/// The keeper as a process of its own (it calls `setsid` itself), under systemd as a unit.
fn launch(context: &Context, log: &Path, more: &[(&str, OsString)]) -> io::Result<Child> {
    let own = std::env::current_exe()?;
    let mut command = match Path::new("/run/systemd/system").is_dir() {
        true if systemd::is_installed(context) && !more.is_empty() => {
            let names: Vec<&str> = more.iter().map(|(name, _)| *name).collect();
            let what = format!("hull.service has an environment of its own: set {} there", names.join(" and "));
            return Err(io::Error::other(what));
        }
        true if systemd::is_installed(context) => return systemd::start_installed().spawn(),
        true => systemd::unit(context, log, &own, more)?,
        false => Command::new(&own),
    };
    let output = OpenOptions::new().create(true).append(true).mode(0o640).open(log)?;
    command
        .envs(more.iter().cloned())
        .arg("keeper")
        .arg("--root")
        .arg(&context.root)
        .arg("--run")
        .arg(&context.run)
        .arg("--host")
        .arg(&context.host)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    command.spawn()
}

fn await_socket(context: &Context, mut child: Child, log: &Path) -> Result<Client, Fault> {
    let deadline = Instant::now() + PATIENCE;
    let refused = |why: String| {
        let fault = Fault::new(Kind::Unavailable, format!("cannot start the engine: {why}"));
        let hint = format!("its log is {}", log.display());
        match last_line(log) {
            Some(line) => fault.cause(line).hint(hint),
            None => fault.hint(hint),
        }
    };
    loop {
        if let Some(client) = context.running()? {
            return Ok(client);
        }
        // systemd-run ends at once, the keeper stays
        if let Ok(Some(status)) = child.try_wait()
            && !status.success()
        {
            return Err(refused(format!("it ended with {status}")));
        }
        if Instant::now() > deadline {
            return Err(refused("its socket did not appear".to_owned()));
        }
        sleep(Duration::from_millis(2));
    }
}

fn last_line(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// The engine's name where names are global: `hull`, or `hull-` and eight digits of the root's hash.
pub(crate) fn instance(root: &Path) -> String {
    if root == Path::new("/var/lib/hull") {
        return "hull".to_owned();
    }
    let digest = Digest::of(root.as_os_str().as_encoded_bytes());
    format!("hull-{}", &digest.hex()[..8])
}
