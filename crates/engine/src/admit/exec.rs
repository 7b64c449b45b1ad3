//! An exec request → the typed wish for one more process.

use std::path::PathBuf;

use hull_launch::spec::{ExecSpec, Process, Spec};
use hull_types::Fault;
use hull_wire as wire;

use super::{Context, command, text};

/// Admits an exec in the container with this spec. It inherits the container's confinement, user,
/// environment and directory where it does not say otherwise.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn exec(context: &Context<'_>, spec: &Spec, request: &wire::ExecConfig) -> Result<ExecSpec, Fault> {
    text::words_of("Cmd", &request.cmd)?;
    text::words_of("Env", &request.env)?;
    text::plain("User", &request.user, 255)?;
    text::plain("WorkingDir", &request.working_dir, 4095)?;
    command::variables(&request.env)?;
    if request.cmd.is_empty() {
        return Err(Fault::invalid("No exec command specified"));
    }
    let own = &spec.process;
    let mut env = own.env.clone();
    if request.tty && !env.iter().any(|pair| pair.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    env = command::overlay(&env, &request.env);
    env.retain(|pair| pair.contains('='));
    let cwd = match request.working_dir.as_str() {
        "" => own.cwd.clone(),
        path => PathBuf::from(command::directory(path)?),
    };
    let mut process = Process {
        argv: request.cmd.clone(),
        env,
        cwd,
        user: if request.user.is_empty() { own.user.clone() } else { request.user.clone() },
        tty: request.tty,
        stdin: request.attach_stdin,
        ..own.clone()
    };
    if request.privileged {
        // COMPAT(docker 28): the container's filter stays; what it makes depend on capabilities follows them.
        process.capabilities = context.host.capabilities.0;
        process.lsm.apparmor = None;
    }
    Ok(ExecSpec { process, privileged: request.privileged })
}
