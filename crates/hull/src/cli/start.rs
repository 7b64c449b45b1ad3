//! `hull start`, in the background or attached.

use hull_client::{AttachOptions, Client, WaitCondition};
use hull_types::{Fault, Kind};

use super::context::Context;
use super::each::each;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::run::finish_code;
use super::why::tell_if_killed;
use crate::session::escape::Escape;
use crate::session::follow::Follow;
use crate::session::signals;
use crate::session::terminal::{self, RawMode};

/// Flags of `start`.
#[derive(clap::Args, Debug)]
pub(crate) struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Restore from this checkpoint
    #[arg(long, value_name = "string", hide = true)]
    checkpoint: Option<String>,
    /// Use a custom checkpoint storage directory
    #[arg(long, value_name = "string", hide = true)]
    checkpoint_dir: Option<String>,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Proxy received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::SetTrue, hide = true)]
    sig_proxy: bool,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Start one or more stopped containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        if self.checkpoint.is_some() || self.checkpoint_dir.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--checkpoint` is not supported yet")));
        }
        let client = context.client()?;
        if !self.attach && !self.interactive {
            return each(&self.containers, |name| already_is_fine(client.container_start(name)));
        }
        match self.containers.as_slice() {
            [one] => self.attached(&client, one),
            _ => Err(Failure::usage(Fault::invalid("only one container can be started attached"))),
        }
    }
}

/// Starting what runs is no error.
fn already_is_fine(result: Result<(), hull_client::Error>) -> Result<(), Fault> {
    match result {
        Err(error) if error.kind() == Kind::NotModified => Ok(()),
        other => other.map_err(Fault::from),
    }
}

impl Start {
    fn attached(&self, client: &Client, name: &str) -> Outcome {
        let inspect = client.container_inspect(name, false).map_err(Fault::from)?;
        let tty = inspect.config.tty;
        let stdin = self.interactive && inspect.config.open_stdin;
        terminal::require_terminal(stdin, tty)?;
        let escape = Escape::parse(self.detach_keys.as_deref().unwrap_or_default()).map_err(Failure::usage)?;
        let signals = signals::open(self.sig_proxy)?;
        let options = AttachOptions {
            stdin,
            stdout: true,
            stderr: true,
            stream: true,
            logs: false,
            detach_keys: self.detach_keys.clone(),
        };
        let fault = |error: hull_client::Error| Failure::from(Fault::from(error));
        let link = client.container_attach(&inspect.id, &options).map_err(fault)?;
        let removed = inspect.host_config.auto_remove;
        let running = inspect.state.running;
        let condition = match (removed, running) {
            (true, _) => WaitCondition::Removed,
            (false, true) => WaitCondition::NotRunning,
            (false, false) => WaitCondition::NextExit,
        };
        let waiting = client.container_wait(&inspect.id, condition).map_err(fault)?;
        already_is_fine(client.container_start(&inspect.id)).map_err(Failure::of_run)?;
        let raw = if stdin && tty { Some(RawMode::enter()?) } else { None };
        if tty && let Some((rows, columns)) = terminal::size() {
            let _ = client.container_resize(&inspect.id, rows, columns);
        }
        let follow = Follow {
            client,
            id: &inspect.id,
            tty,
            options,
            escape: (tty && stdin).then_some(escape),
            signals: &signals,
            forward: self.sig_proxy,
            from_start: false,
            removed,
        };
        let finish = follow.run(Some((link, waiting)));
        drop(raw);
        finish_code(finish).and_then(|code| tell_if_killed(client, &inspect.id, code))
    }
}
