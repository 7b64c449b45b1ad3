//! `hull run`: create, attach, register the wait, start, follow to the end.
//!
//! ORDER: the streams are attached and the wait is registered before the start, so that neither a
//! first byte nor an exit can be missed.

use hull_client::{AttachOptions, Client, Error, WaitCondition};
use hull_sys::signals::SignalFd;
use hull_types::Fault;
use hull_wire::ContainerCreateRequest;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::{creation, io};
use crate::options::flags::ContainerFlags;
use crate::options::request::{self, Streams};
use crate::session::escape::Escape;
use crate::session::follow::{Attachment, Finish, Follow, start_once};
use crate::session::signals;
use crate::session::terminal::{self, RawMode};

/// Flags of `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Run {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::SetTrue)]
    sig_proxy: bool,
    #[command(flatten)]
    flags: ContainerFlags,
    #[arg(value_name = "IMAGE", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

impl Spoken for Run {
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Create and run a new container from an image";
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const MORE: &'static str = "Exit code: the command's own; 125 if hull could not run it, 126 if the command cannot \
        be executed, 127 if it is not there.";

    fn run(self, context: &Context) -> Outcome {
        let (image, command) = creation::image_and_command(&self.words)?;
        let mut request = request::request(&self.flags, image, command, self.detach).map_err(Failure::usage)?;
        let streams = request::streams(&self.flags, self.detach).map_err(Failure::usage)?;
        let escape = Escape::parse(self.detach_keys.as_deref().unwrap_or_default()).map_err(Failure::usage)?;
        let tty = self.flags.process.tty;
        terminal::require_terminal(streams.stdin, tty)?;
        if tty && let Some((rows, columns)) = terminal::size() {
            request.host_config.console_size = [u32::from(rows), u32::from(columns)];
        }
        let client = context.client().map_err(|failure| Failure { code: 125, ..failure })?;
        if self.detach || streams == Streams::default() {
            return self.in_background(&client, &request);
        }
        // ORDER: signals are taken before the container exists, so that none kills the CLI in between
        let signals = signals::open(self.sig_proxy)?;
        let id = creation::create(&client, &self.flags, &request).map_err(Failure::of_run)?;
        let session = Session { client: &client, id: &id, tty, streams, forward: self.sig_proxy, run: &self };
        session.foreground(&signals, escape)
    }
}

impl Run {
    fn in_background(&self, client: &Client, request: &ContainerCreateRequest) -> Outcome {
        let id = creation::create(client, &self.flags, request).map_err(Failure::of_run)?;
        start_once(client, &id).map_err(|error| Failure::of_run(error.into()))?;
        io::say(id).map(|()| 0)
    }
}

/// A container in the foreground.
struct Session<'a> {
    client: &'a Client,
    id: &'a str,
    tty: bool,
    streams: Streams,
    forward: bool,
    run: &'a Run,
}

impl Session<'_> {
    fn foreground(&self, signals: &SignalFd, escape: Escape) -> Outcome {
        let options = AttachOptions {
            stdin: self.streams.stdin,
            stdout: self.streams.stdout,
            stderr: self.streams.stderr,
            stream: true,
            logs: false,
            detach_keys: self.run.detach_keys.clone(),
        };
        let attachment = match self.begin(&options) {
            Ok(attachment) => Some(attachment),
            // the engine went away meanwhile: `Follow` finds out how far it came
            Err(Error::Lost { .. }) => None,
            Err(error) => return Err(Failure::of_run(error.into())),
        };
        let raw = if self.streams.stdin && self.tty { Some(RawMode::enter()?) } else { None };
        if self.tty
            && let Some((rows, columns)) = terminal::size()
        {
            // the container may have ended already
            let _ = self.client.container_resize(self.id, rows, columns);
        }
        let follow = Follow {
            client: self.client,
            id: self.id,
            tty: self.tty,
            options,
            escape: (self.tty && self.streams.stdin).then_some(escape),
            signals,
            forward: self.forward,
            from_start: true,
            removed: self.run.flags.life.rm,
        };
        let finish = follow.run(attachment);
        drop(raw);
        finish_code(finish)
    }

    fn begin(&self, options: &AttachOptions) -> Result<Attachment<'_>, Error> {
        let link = self.client.container_attach(self.id, options)?;
        let removed = self.run.flags.life.rm;
        let condition = if removed { WaitCondition::Removed } else { WaitCondition::NextExit };
        let waiting = self.client.container_wait(self.id, condition)?;
        match self.client.container_start(self.id) {
            Ok(()) => Ok((link, waiting)),
            Err(error) => {
                if removed && !matches!(error, Error::Lost { .. }) {
                    // the engine removes it; what it says about that is of no use here
                    drop(link);
                    let _ = waiting.done();
                }
                Err(error)
            }
        }
    }
}

/// The exit code of an attached command.
pub(super) fn finish_code(finish: Result<Finish, Fault>) -> Outcome {
    match finish.map_err(Failure::of_run)? {
        // COMPAT(docker 28): exit codes are the kernel's eight bits
        Finish::Exited(code) => Ok((code & 0xff) as u8),
        Finish::Detached => {
            eprintln!("\nread escape sequence");
            Ok(0)
        }
        // as if SIGPIPE had ended us
        Finish::ReaderGone => Ok(141),
        Finish::Killed(signal) => Ok((128 + signal) as u8),
    }
}
