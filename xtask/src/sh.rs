//! Running programs: loud, checked, and from the workspace's root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command that runs in the workspace's root.
///
/// What `cargo run` says of this package is not handed on: build scripts that ask for it (ring's) would see a change, and
/// half of the workspace would be compiled again for `cargo xtask …` after a plain `cargo build`.
pub fn cmd(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    for (name, _) in std::env::vars_os() {
        let own =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Prints the command, runs it, fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", show(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", show(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", show(command));
    }
    Ok(())
}

/// Runs quietly and returns stdout without the last newline; fails when the command fails.
pub fn read(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start `{}`", show(command)))?;
    if !out.status.success() {
        bail!("`{}` failed: {}\n{}", show(command), out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_string())
}

/// Whether a program of this name is on the PATH.
pub fn found(program: &str) -> bool {
    which(program).is_some()
}

/// The program's path, searched in PATH and the sbin directories.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"])
        .map(|dir| Path::new(dir).join(program))
        .find(|p| p.is_file())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    read(&mut cmd("id", &["-u"])).is_ok_and(|uid| uid == "0")
}

/// Fails unless this process is root.
pub fn need_root(what: &str) -> Result<()> {
    if !is_root() {
        bail!("{what} needs root: it makes namespaces, mounts and cgroups (try `sudo -E cargo xtask …`)");
    }
    Ok(())
}

/// The machine's own target, `x86_64-unknown-linux-gnu`.
pub fn host_tuple() -> Result<String> {
    read(&mut cmd("rustc", &["--print", "host-tuple"]))
}

/// The path of the `hull` binary built for `target` with `profile` (`debug` or `release`).
pub fn built(tuple: &str, profile: &str) -> Result<PathBuf> {
    let path = target().join(tuple).join(profile).join("hull");
    if !path.is_file() {
        bail!("{} does not exist; build it first", path.display());
    }
    Ok(path)
}

fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
