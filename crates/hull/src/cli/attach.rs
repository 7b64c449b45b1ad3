//! `hull attach`: the streams of a running container.

use hull_client::{AttachOptions, WaitCondition};
use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::run::finish_code;
use super::why::tell_if_killed;
use crate::session::escape::Escape;
use crate::session::follow::Follow;
use crate::session::signals;
use crate::session::terminal::{self, RawMode};

/// Flags of `attach`.
#[derive(clap::Args, Debug)]
pub(crate) struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::SetTrue)]
    sig_proxy: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Attach {
    const NAME: &'static str = "attach";
    const ABOUT: &'static str = "Attach local standard input, output, and error streams to a running container";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let escape = Escape::parse(self.detach_keys.as_deref().unwrap_or_default()).map_err(Failure::usage)?;
        let client = context.client()?;
        let inspect = client.container_inspect(&self.container, false).map_err(Fault::from)?;
        if let Some(state) = unattachable(&inspect.state) {
            let name = super::parse::shortened(&self.container);
            return Err(Fault::conflict(format!("cannot attach to container `{name}`: it is {state}")).into());
        }
        let tty = inspect.config.tty;
        let stdin = !self.no_stdin && inspect.config.open_stdin;
        terminal::require_terminal(stdin, tty)?;
        let signals = signals::open(self.sig_proxy)?;
        let options = AttachOptions {
            stdin,
            stdout: true,
            stderr: true,
            stream: true,
            logs: false,
            detach_keys: self.detach_keys.clone(),
        };
        // ORDER: registered before the streams, so that the exit of a container that ends now is not missed
        let waiting = client.container_wait(&inspect.id, WaitCondition::NotRunning).map_err(Fault::from)?;
        let link = client.container_attach(&inspect.id, &options).map_err(Fault::from)?;
        let raw = if stdin && tty { Some(RawMode::enter()?) } else { None };
        if tty && let Some((rows, columns)) = terminal::size() {
            let _ = client.container_resize(&inspect.id, rows, columns);
        }
        let follow = Follow {
            client: &client,
            id: &inspect.id,
            tty,
            options,
            escape: (tty && stdin).then_some(escape),
            signals: &signals,
            forward: self.sig_proxy,
            from_start: false,
            removed: inspect.host_config.auto_remove,
        };
        let finish = follow.run(Some((link, waiting)));
        drop(raw);
        finish_code(finish).and_then(|code| tell_if_killed(&client, &inspect.id, code))
    }
}

fn unattachable(state: &hull_wire::ContainerState) -> Option<&'static str> {
    match (state.running, state.paused, state.restarting) {
        (false, _, _) => Some("not running"),
        (_, true, _) => Some("paused: unpause it first"),
        (_, _, true) => Some("restarting: wait until it runs"),
        _ => None,
    }
}
