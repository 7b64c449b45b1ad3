//! `hull run`: create, attach, register the wait, start, follow to the end.
//!
//! ORDER: the streams are attached and the wait is registered before the start, so that neither a
//! first byte nor an exit can be missed.

mod table;

use std::cell::Cell;
use std::time::{Duration, Instant};

use hull_client::{AttachOptions, Client, Error, RemoveOptions, WaitCondition};
use hull_sys::signals::SignalFd;
use hull_types::{Fault, Kind};
use hull_wire::ContainerCreateRequest;

use super::context::Context;
use super::explain::start::{Asked, tell};
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::why::tell_if_killed;
use super::{creation, io, quick};
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
    /// Tell the story of the start when the command has ended: what was done when, and where the time went
    #[arg(long)]
    explain: bool,
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

    fn quick(args: &[String]) -> Option<Self> {
        let mut run = Self::unset();
        run.words = quick::read(table::FLAGS, args, &mut run)?;
        Some(run)
    }

    fn run(self, context: &Context) -> Outcome {
        let (image, command) = creation::image_and_command(&self.words)?;
        let mut request = request::request(&self.flags, image, command, self.detach).map_err(Failure::usage)?;
        creation::add_proxies(context, &mut request);
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
        let begun = Instant::now();
        let id = creation::create(&client, &self.flags, &request).map_err(Failure::of_run)?;
        let create = begun.elapsed();
        // ORDER: from before the start on, signals are the container's; until here they end the CLI
        let signals = signals::open(self.sig_proxy)?;
        let started = Cell::default();
        let session =
            Session { client: &client, id: &id, tty, streams, forward: self.sig_proxy, started: &started, run: &self };
        let outcome = session.foreground(&signals, escape);
        let told = self.tell(&client, &id, Asked { create, start: started.get() });
        let code = outcome?;
        told?;
        tell_if_killed(&client, &id, code)
    }
}

impl Run {
    /// What the flags are when none is given.
    fn unset() -> Self {
        let mut flags = ContainerFlags::default();
        flags.life.pull = "missing".to_owned();
        flags.life.restart = "no".to_owned();
        flags.life.disable_content_trust = true;
        Self { detach: false, detach_keys: None, explain: false, sig_proxy: true, flags, words: Vec::new() }
    }

    fn in_background(&self, client: &Client, request: &ContainerCreateRequest) -> Outcome {
        let begun = Instant::now();
        let id = creation::create(client, &self.flags, request).map_err(Failure::of_run)?;
        let create = begun.elapsed();
        let started = start_once(client, &id).map_err(|error| Failure::of_run(error.into()));
        let asked = Asked { create, start: begun.elapsed().saturating_sub(create) };
        if started.is_ok() {
            io::say(&id)?;
        }
        let told = self.tell(client, &id, asked);
        started.and(told).map(|()| 0)
    }

    /// The story of the start, if it is wanted.
    fn tell(&self, client: &Client, id: &str, asked: Asked) -> Result<(), Failure> {
        if self.explain {
            tell(client, id, asked).map_err(Failure::of_run)?;
        }
        Ok(())
    }
}

/// A container in the foreground.
struct Session<'a> {
    client: &'a Client,
    id: &'a str,
    tty: bool,
    streams: Streams,
    forward: bool,
    /// How long the start took.
    started: &'a Cell<Duration>,
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
        let removed = self.run.flags.life.rm;
        let condition = if removed { WaitCondition::Removed } else { WaitCondition::NextExit };
        let (link, waiting) = self.client.container_attach_and_wait(self.id, options, condition)?;
        let begun = Instant::now();
        let outcome = self.client.container_start(self.id);
        self.started.set(begun.elapsed());
        match outcome {
            Ok(()) => Ok((link, waiting)),
            // the request itself was turned away: nothing was started, so nothing removes it
            Err(error @ Error::Refused(_)) if removed && error.kind() == Kind::Unavailable => {
                drop((link, waiting));
                let options = RemoveOptions { force: true, volumes: true, link: false };
                let _ = self.client.container_remove(self.id, options);
                Err(error)
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{Verb, by_clap};
    use crate::cli::quick::Slot;

    #[test]
    fn the_table_has_every_flag_with_its_kind() {
        let command = Verb::of::<Run>().command("hull");
        let mut count = 0;
        for arg in command.get_arguments().filter(|arg| !arg.is_positional() && arg.get_id() != "help") {
            let mut names = vec![arg.get_long().unwrap_or_default()];
            names.extend(arg.get_all_aliases().unwrap_or_default());
            for (at, name) in names.iter().enumerate() {
                let found = table::FLAGS.iter().find(|(long, _, _)| long == name);
                let (_, short, slot) = found.unwrap_or_else(|| panic!("the table lacks --{name}"));
                let want = if at == 0 { arg.get_short() } else { None };
                assert_eq!((*short != '\0').then_some(*short), want, "short form of --{name}");
                let is_flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
                assert_eq!(matches!(slot, Slot::Flag(_)), is_flag, "--{name}");
                count += 1;
            }
        }
        assert_eq!(count, table::FLAGS.len());
    }

    #[test]
    fn both_readers_read_the_same() {
        let lines = [
            "img",
            "--rm -it img sh -c x",
            "-itd --rm=false --sig-proxy=false -eA=1 -e=B=2 -e -C img -d -- -x",
            "--memory-swap -1 -m 64m --cpu-shares=5 --blkio-weight 10 --net host --network-alias a -- img -x",
            "--name a --name=b -p80:80 -P -hh1 --time-offset boottime=1h --restart always --pull=never img",
            "-v /a:/b -v/c:/d --mount type=tmpfs,dst=/t --tmpfs /x -c 7 -u 0:0 -w / --dns-opt x -l a=b img",
        ];
        for line in lines {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let quick = Run::quick(&args).unwrap_or_else(|| panic!("not read: {line}"));
            let slow: Run = by_clap(&args);
            assert_eq!(format!("{quick:?}"), format!("{slow:?}"), "{line}");
        }
        for line in
            ["--frob img", "--help", "-Z img", "--memory", "--cpu-shares many img", "-t=maybe img", "--rm", "--"]
        {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert!(Run::quick(&args).is_none(), "left to clap: {line}");
        }
    }
}
