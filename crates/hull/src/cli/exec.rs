//! `hull exec`: a further process in a running container.

use hull_client::Client;
use hull_types::{Fault, Kind};
use hull_wire::{ExecConfig, ExecStartConfig};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::run::finish_code;
use crate::options::env;
use crate::session::escape::Escape;
use crate::session::follow::Finish;
use crate::session::relay::{Control, End, Outputs, Relay, Sides};
use crate::session::signals;
use crate::session::terminal::{self, RawMode};

/// Flags of `exec`.
#[derive(clap::Args, Debug)]
pub(crate) struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "string")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    workdir: Option<String>,
    #[arg(value_name = "CONTAINER", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

impl Spoken for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Execute a command in a running container";
    const USAGE: &'static str = "[OPTIONS] CONTAINER COMMAND [ARG...]";

    fn run(self, context: &Context) -> Outcome {
        let (container, command) = match self.words.as_slice() {
            [container, command @ ..] if !command.is_empty() => (container, command),
            _ => return Err(Failure::usage(Fault::invalid("`hull exec` needs a container and a command"))),
        };
        let escape = Escape::parse(self.detach_keys.as_deref().unwrap_or_default()).map_err(Failure::usage)?;
        let mut config = self.config(command).map_err(Failure::usage)?;
        terminal::require_terminal(config.attach_stdin, self.tty)?;
        if self.tty {
            config.console_size = terminal::size().map(|(rows, columns)| [u32::from(rows), u32::from(columns)]);
        }
        let client = context.client()?;
        let id = client.exec_create(container, &config).map_err(|e| Failure::from(Fault::from(e)))?.id;
        if self.detach {
            client.exec_start_detached(&id, self.tty).map_err(of_exec)?;
            return Ok(0);
        }
        self.attached(&client, &id, &config, escape)
    }
}

/// 126 and 127 for a command that cannot be executed, else 1.
fn of_exec(error: hull_client::Error) -> Failure {
    let fault = Fault::from(error);
    match fault.kind {
        Kind::NotExecutable | Kind::CommandNotFound => Failure::of_run(fault),
        _ => Failure::from(fault),
    }
}

/// Sizes go to the exec; signals end the CLI, as docker's.
struct ToExec<'a> {
    client: &'a Client,
    id: &'a str,
    tty: bool,
}

impl Control for ToExec<'_> {
    fn signal(&self, _number: i32) {}

    fn resize(&self) {
        if self.tty
            && let Some((rows, columns)) = terminal::size()
        {
            let _ = self.client.exec_resize(self.id, rows, columns);
        }
    }
}

impl Exec {
    fn config(&self, command: &[String]) -> Result<ExecConfig, Fault> {
        Ok(ExecConfig {
            user: self.user.clone().unwrap_or_default(),
            privileged: self.privileged,
            tty: self.tty,
            console_size: None,
            attach_stdin: !self.detach && self.interactive,
            attach_stderr: !self.detach,
            attach_stdout: !self.detach,
            detach: self.detach,
            detach_keys: self.detach_keys.clone().unwrap_or_default(),
            env: env::environment(&self.env_file, &self.env)?,
            working_dir: self.workdir.clone().unwrap_or_default(),
            cmd: command.to_vec(),
        })
    }

    fn attached(&self, client: &Client, id: &str, config: &ExecConfig, escape: Escape) -> Outcome {
        let signals = signals::open(false)?;
        let start = ExecStartConfig { detach: false, tty: self.tty, console_size: config.console_size };
        let link = client.exec_start(id, &start).map_err(of_exec)?;
        let stdin = config.attach_stdin;
        let raw = if stdin && self.tty { Some(RawMode::enter()?) } else { None };
        let control = ToExec { client, id, tty: self.tty };
        control.resize();
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let mut outputs = Outputs::new(std::os::fd::AsFd::as_fd(&stdout), std::os::fd::AsFd::as_fd(&stderr));
        let mut escape = (self.tty && stdin).then_some(escape);
        let sides = Sides { stdin, escape: escape.as_mut(), signals: &signals, forward: false, control: &control };
        let end = Relay::new(&link, &mut outputs, sides).run();
        drop(raw);
        match end.map_err(|e| Fault::internal("lost the streams of the command").cause(e))? {
            End::Closed => exit_code(client, id),
            End::Detached => finish_code(Ok(Finish::Detached)),
            End::ReaderGone => finish_code(Ok(Finish::ReaderGone)),
            End::Killed(signal) => finish_code(Ok(Finish::Killed(signal))),
        }
    }
}

/// The streams have ended; the exit is known then or a moment later (a restarting engine reads it back).
fn exit_code(client: &Client, id: &str) -> Outcome {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let pause = std::time::Duration::from_millis(2);
    loop {
        match client.exec_inspect(id) {
            Ok(found) if !found.running => match found.exit_code {
                Some(code) => return Ok((code & 0xff) as u8),
                None => return Err(Fault::internal("the exit code of the command is not known").into()),
            },
            // Another engine answers: an exec is known to the one that began it.
            Err(error) if error.kind() == Kind::NotFound => {
                let fault = Fault::internal("the engine ended while the command ran: how it ends is not known");
                let fault = fault.hint("the command goes on in the container, without its streams");
                return Err(Failure { code: 125, fault: Some(fault) });
            }
            Err(error) if error.kind() != Kind::Unavailable => return Err(Fault::from(error).into()),
            Err(error) if std::time::Instant::now() > deadline => return Err(Fault::from(error).into()),
            Ok(_) | Err(_) => std::thread::sleep(pause),
        }
    }
}
