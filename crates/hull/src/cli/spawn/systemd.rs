//! Starting a keeper where systemd runs: the installed unit where that is the one, else units of this boot.
//!
//! As in contrib/systemd, the containers live in a unit of their own, with one process that sleeps beside theirs:
//! the engine's unit can then be started again while they run (docs/adr/0004).

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::context::Context;
use super::instance;

/// What contrib/systemd installs.
const INSTALLED: &str = "hull.service";

/// Whether the installed unit runs the engine of this context: that is the one with the default places.
pub(super) fn is_installed(context: &Context) -> bool {
    let default = context.root == Path::new("/var/lib/hull")
        && context.run == Path::new("/run/hull")
        && context.host == "unix:///run/hull/engine.sock";
    default && knows(INSTALLED)
}

/// Whether systemd has a file for the unit.
fn knows(unit: &str) -> bool {
    let mut show = Command::new("systemctl");
    show.args(["show", "--property=FragmentPath", "--value", unit]).stderr(Stdio::null());
    show.output().is_ok_and(|out| out.stdout.contains(&b'/'))
}

/// The command that starts it.
pub(super) fn start_installed() -> Command {
    let mut command = Command::new("systemctl");
    command.args(["start", INSTALLED]).stdin(Stdio::null());
    command
}

/// `systemd-run` up to the program: a unit that ends with the keeper. The unit for the containers is
/// started before, and stopped after it if nothing runs in it any more.
pub(super) fn unit(context: &Context, log: &Path, program: &Path, more: &[(&str, OsString)]) -> io::Result<Command> {
    let name = instance(&context.root);
    // Of the default root with other places than the installed unit has.
    let name = if knows(&format!("{name}.service")) { format!("{name}-by-hand") } else { name };
    let containers = format!("{name}-containers.service");
    hold(&containers)?;
    let events = format!("/sys/fs/cgroup/system.slice/{containers}/{}/cgroup.events", instance(&context.root));
    // Not when the keeper is only to be started again.
    let tidy = format!(
        "/bin/sh -c 'test $SERVICE_RESULT = success && ! grep -qsx populated.1 {events} && systemctl --no-block stop {containers}'"
    );
    let mut command = systemd_run(&name);
    for property in [
        format!("Requires={containers}"),
        format!("After={containers}"),
        "KillMode=process".to_owned(),
        "Restart=on-failure".to_owned(),
        "RestartSec=200ms".to_owned(),
        "LimitNOFILE=1048576".to_owned(),
        "TasksMax=infinity".to_owned(),
        format!("StandardError=append:{}", log.display()),
        format!("ExecStopPost=-{tidy}"),
    ] {
        command.arg("--property").arg(property);
    }
    command.args(environment().iter().map(|name| format!("--setenv={name}")));
    for (name, value) in more {
        command.arg(format!("--setenv={name}={}", value.to_string_lossy()));
    }
    command.arg(program);
    Ok(command)
}

/// Starts the unit for containers, unless it is there.
fn hold(unit: &str) -> io::Result<()> {
    let active = Command::new("systemctl").args(["--quiet", "is-active", unit]).status()?;
    if active.success() {
        return Ok(());
    }
    let mut command = systemd_run(unit.trim_end_matches(".service"));
    for property in ["Type=exec", "Delegate=yes", "TasksMax=infinity", "TimeoutStopSec=10"] {
        command.arg("--property").arg(property);
    }
    let status = command.args(["sleep", "infinity"]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("systemd did not start {unit}"))) }
}

fn systemd_run(unit: &str) -> Command {
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--collect"]).arg(format!("--unit={unit}")).stdin(Stdio::null());
    command
}

/// The settings of this command that its engine shall have too.
fn environment() -> Vec<String> {
    let ours = |name: &OsStr| name.to_str().filter(|name| name.starts_with("HULL_")).map(str::to_owned);
    std::env::vars_os().filter_map(|(name, _)| ours(&name)).collect()
}
