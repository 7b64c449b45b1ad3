//! `hull engine start|stop|status|restart`: keeper and engine by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hull_client::ListOptions;
use hull_types::{Fault, Kind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use super::{contexts, spawn};
use crate::output::format;
use crate::role::{daemon, sockets};

/// How long keeper and engine may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Flags of `engine start`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Start {
    /// Listen on a further socket, as in path=/run/x.sock,access=read,label=team=web,mode=0666 (access is full, read or write)
    #[arg(long, value_name = "spec")]
    socket: Vec<String>,
    /// Listen at docker's usual place, too
    #[arg(long)]
    docker_socket: bool,
    /// Settings of the engine and of new containers, instead of /etc/hull/daemon.json
    #[arg(long, value_name = "file")]
    config_file: Option<PathBuf>,
}

impl Spoken for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Start keeper and engine, if they do not run";
    const USAGE: &'static str = "[OPTIONS]";
    const MORE: &'static str = "Through a socket with read access the engine and its objects can be looked at, not \
        changed, and no files be read: a dashboard needs no more. An engine that a unit starts gets the same from \
        HULL_SOCKETS in its environment, with `;` between the specs.";

    fn run(self, context: &Context) -> Outcome {
        here(context)?;
        let mut specs = self.socket;
        specs.extend(self.docker_socket.then(|| sockets::DOCKER.to_owned()));
        let specs = specs.join(";");
        let asked = sockets::parse(&specs).map_err(Failure::usage)?;
        let client = match context.running()? {
            Some(_) if !asked.is_empty() || self.config_file.is_some() => {
                let fault = Fault::conflict("an engine runs already, and gets no further sockets or settings");
                return Err(fault.hint("`hull engine stop` it first").into());
            }
            Some(client) => client,
            None => {
                asked.iter().try_for_each(sockets::Socket::check)?;
                let config = self.config_file.map(std::path::absolute).transpose();
                let config = config.map_err(|e| Fault::invalid("`--config-file` is no usable path").cause(e))?;
                daemon::check_own(config.as_deref())?;
                spawn::start_with(context, &specs, config.as_deref())?
            }
        };
        client.ping().map_err(Fault::from)?;
        Ok(0)
    }
}

/// Flags of `engine stop`.
#[derive(clap::Args, Debug)]
pub(crate) struct Stop {
    /// Stop the running containers first; their restart policies start them with the next engine
    #[arg(long)]
    containers: bool,
    /// Stop although containers run: they go on, and the next engine finds them again, but their
    /// exit codes may be lost meanwhile
    #[arg(short, long)]
    force: bool,
}

impl Spoken for Stop {
    const NAME: &'static str = "stop";
    const ABOUT: &'static str = "Stop engine and keeper";
    const USAGE: &'static str = "[OPTIONS]";
    const MORE: &'static str = "Refused while containers run, because the keeper is their parent: give --containers to \
        stop them first, or --force to leave them running without a keeper. To restart only the engine, which \
        containers do not notice, use `hull engine restart`.";

    fn run(self, context: &Context) -> Outcome {
        here(context)?;
        let Some(client) = context.running()? else { return Ok(0) };
        let running = client.containers(&ListOptions::default()).map_err(Fault::from)?;
        if !running.is_empty() && self.containers {
            client.stop_containers().map_err(Fault::from)?;
        } else if !running.is_empty() && !self.force {
            let fault = Fault::conflict(format!("cannot stop the engine: {} container(s) run", running.len()));
            return Err(fault.hint("stop them with `hull engine stop --containers`, or add --force").into());
        }
        let pids = Pids::find(context)?;
        drop(client);
        pids.end()?;
        Ok(0)
    }
}

/// Flags of `engine restart`.
#[derive(clap::Args, Debug)]
pub(crate) struct Restart {}

impl Spoken for Restart {
    const NAME: &'static str = "restart";
    const ABOUT: &'static str = "Restart the engine; the keeper and the containers go on";
    const USAGE: &'static str = "";

    fn run(self, context: &Context) -> Outcome {
        here(context)?;
        let Some(client) = context.running()? else {
            return Start::default().run(context);
        };
        client.ping().map_err(Fault::from)?;
        let before = Pids::find(context)?;
        let Some(engine) = before.engine else {
            return Err(Fault::internal("the engine's process was not found").into());
        };
        // What the next engine can take over stays, such as bridges.
        signal(engine, Signal::USR2)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // the keeper keeps the socket: a new connection waits for the new engine
            let answers = context.connect()?.and_then(|client| client.ping()).is_ok();
            if answers && Pids::find(context).is_ok_and(|now| now.engine.is_some() && now.engine != before.engine) {
                return Ok(0);
            }
            sleep(Duration::from_millis(5));
        }
        Err(Fault::new(Kind::Unavailable, "the engine did not come back").into())
    }
}

/// Flags of `engine status`.
#[derive(clap::Args, Debug)]
pub(crate) struct Status {
    /// Format output: 'json' or a Go template, as in '{{.Engine.Pid}} {{.Keeper.Pid}}'
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
}

impl Spoken for Status {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Show whether keeper and engine run, and where";
    const USAGE: &'static str = "[OPTIONS]";
    const MORE: &'static str = "Exit code 3 if no engine runs, as systemctl's.";

    fn run(self, context: &Context) -> Outcome {
        here(context)?;
        let Some(client) = context.running()? else {
            if self.format.is_none() {
                io::say(format_args!("no engine runs at {}", context.host))?;
            }
            return Err(Failure::silent(3));
        };
        let version = client.version().map_err(Fault::from)?;
        let pids = Pids::find(context)?;
        let status = json!({
            "Engine": {"Pid": pids.engine.unwrap_or(0), "Version": version.version},
            "Keeper": {"Pid": pids.keeper.unwrap_or(0)},
            "Host": context.host,
            "Root": context.root,
            "Run": context.run,
        });
        if let Some(format) = self.format.as_deref().filter(|format| !format.is_empty()) {
            io::say(format::object(format, &status).map_err(format::refused)?)?;
            return Ok(0);
        }
        let pid = |pid: Option<i32>| pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        io::say(format_args!(
            "engine   pid {}, version {}\nkeeper   pid {}\nsocket   {}\nroot     {}\nrun      {}",
            pid(pids.engine),
            version.version,
            pid(pids.keeper),
            context.host,
            context.root.display(),
            context.run.display(),
        ))?;
        Ok(0)
    }
}

/// Keeper and engine are processes of this machine.
fn here(context: &Context) -> Result<(), Fault> {
    if context.host.starts_with("unix://") && context.named == contexts::DEFAULT {
        return Ok(());
    }
    let fault = Fault::unsupported(format!("the engine at {} is another's", context.host));
    Err(fault.hint("`hull --context default engine …` is about the one of this machine"))
}

/// The two processes, as the kernel knows them: whoever made the socket listen is or was a keeper.
#[derive(Debug, Default, PartialEq)]
struct Pids {
    keeper: Option<i32>,
    engine: Option<i32>,
}

impl Pids {
    fn find(context: &Context) -> Result<Self, Fault> {
        let run = context.run.as_os_str().as_encoded_bytes().to_vec();
        let mut out = Self::default();
        let entries = fs::read_dir("/proc").map_err(|e| Fault::internal("cannot read /proc").cause(e))?;
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            match role(&entry.path(), &run) {
                Some("keeper") => out.keeper = Some(pid),
                Some(_) => out.engine = Some(pid),
                None => {}
            }
        }
        // a keeper that is just starting its engine appears twice: its own word decides
        let file = fs::read_to_string(context.run.join("keeper.pid")).ok();
        if let Some(pid) = file.and_then(|text| text.trim().parse::<i32>().ok())
            && role(&Path::new("/proc").join(pid.to_string()), &run) == Some("keeper")
        {
            out.keeper = Some(pid);
        }
        Ok(out)
    }

    /// Ends the engine's keeper first, so that it does not start another engine.
    fn end(&self) -> Result<(), Fault> {
        for pid in [self.keeper, self.engine].into_iter().flatten() {
            signal(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + PATIENCE;
        // One that has ended but was not waited for has no command line any more.
        let gone = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |words| words.is_empty());
        while Instant::now() < deadline {
            if [self.keeper, self.engine].iter().flatten().all(gone) {
                return Ok(());
            }
            sleep(Duration::from_millis(5));
        }
        Err(Fault::new(Kind::Unavailable, "keeper or engine did not end"))
    }
}

/// `keeper` or `engine` for a process of ours with that `--run`.
fn role(process: &Path, run: &[u8]) -> Option<&'static str> {
    let command = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let role = match words.as_slice() {
        [_, b"keeper", ..] => "keeper",
        [_, b"engine", b"run", ..] => "engine",
        _ => return None,
    };
    let ours = words.windows(2).any(|pair| pair[0] == b"--run" && pair[1] == run);
    ours.then_some(role)
}

fn signal(pid: i32, signal: Signal) -> Result<(), Fault> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => {
            let pid = pid.as_raw_nonzero();
            Err(Fault::new(Kind::Forbidden, format!("cannot signal process {pid}")).cause(error))
        }
    }
}
