//! `hull login` and `hull logout`: proving oneself to a registry, and forgetting it.

use std::io::{BufRead as _, Read as _, Write as _};

use hull_types::Fault;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::credentials::{self, Credentials, Login as Proof};
use crate::session::terminal;

/// Flags of `login`.
#[derive(clap::Args, Debug)]
pub(crate) struct Login {
    /// Password or Personal Access Token (PAT)
    #[arg(short, long, value_name = "string")]
    password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "string")]
    username: Option<String>,
    #[arg(value_name = "SERVER", hide = true)]
    server: Option<String>,
}

impl Spoken for Login {
    const NAME: &'static str = "login";
    const ABOUT: &'static str = "Authenticate to a registry";
    const USAGE: &'static str = "[OPTIONS] [SERVER]";

    fn run(self, context: &Context) -> Outcome {
        let domain = credentials::domain(self.server.as_deref()).map_err(Failure::usage)?;
        let mut stored = Credentials::read()?;
        let (proof, known) = self.proof(&stored, &domain)?;
        let client = context.client()?;
        let answer = client.login(&proof.document(&domain)).map_err(Fault::from)?;
        let identity = if answer.identity_token.is_empty() { proof.identity.clone() } else { answer.identity_token };
        if !known || identity != proof.identity {
            let kept = Proof { identity, ..proof };
            if let Some(warning) = stored.store(&domain, &kept)? {
                eprintln!("warning: {warning}");
            }
        }
        io::say(answer.status).map(|()| 0)
    }
}

impl Login {
    /// What the user gives, or what is known already; and whether it was.
    fn proof(&self, stored: &Credentials, domain: &str) -> Result<(Proof, bool), Failure> {
        if self.password.is_some() && self.password_stdin {
            return Err(Failure::usage(Fault::invalid("--password and --password-stdin are mutually exclusive")));
        }
        if self.password_stdin && self.username.is_none() {
            return Err(Failure::usage(Fault::invalid("must provide --username with --password-stdin")));
        }
        if self.username.is_none()
            && self.password.is_none()
            && let Some(proof) = stored.get(domain)?
        {
            eprintln!("Authenticating with existing credentials...");
            return Ok((proof, true));
        }
        let user = match &self.username {
            Some(user) => user.clone(),
            None => ask("Username: ", false)?,
        };
        let password = match (&self.password, self.password_stdin) {
            (Some(password), _) => {
                eprintln!("warning: a password on the command line can be seen by others; use --password-stdin");
                password.clone()
            }
            (None, true) => {
                let mut text = String::new();
                let read = std::io::stdin().take(1 << 16).read_to_string(&mut text);
                read.map_err(|error| Fault::invalid("cannot read the password").cause(error))?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
            (None, false) => ask("Password: ", true)?,
        };
        if user.is_empty() || password.is_empty() {
            return Err(Failure::usage(Fault::invalid("username and password must not be empty")));
        }
        Ok((Proof { user, password, identity: String::new() }, false))
    }
}

/// A line from the terminal, unseen if it is secret.
fn ask(prompt: &str, secret: bool) -> Result<String, Failure> {
    if !terminal::stdin_is_terminal() {
        let fault = Fault::invalid("cannot ask for a user name and password: standard input is no terminal");
        return Err(Failure::usage(fault.hint("give --username and --password-stdin")));
    }
    let wrong = |error: std::io::Error| Fault::internal("cannot read from the terminal").cause(error);
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(|errno| wrong(errno.into()))?;
    if secret {
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|errno| wrong(errno.into()))?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if secret {
        let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
        eprintln!();
    }
    read.map_err(wrong)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Flags of `logout`.
#[derive(clap::Args, Debug)]
pub(crate) struct Logout {
    #[arg(value_name = "SERVER", hide = true)]
    server: Option<String>,
}

impl Spoken for Logout {
    const NAME: &'static str = "logout";
    const ABOUT: &'static str = "Log out from a registry";
    const USAGE: &'static str = "[SERVER]";

    fn run(self, _: &Context) -> Outcome {
        let domain = credentials::domain(self.server.as_deref()).map_err(Failure::usage)?;
        let shown = credentials::key(&domain).to_owned();
        if Credentials::read()?.erase(&domain)? {
            return io::say(format_args!("Removing login credentials for {shown}")).map(|()| 0);
        }
        io::say(format_args!("Not logged in to {shown}")).map(|()| 0)
    }
}
