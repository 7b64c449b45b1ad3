//! `hull oci`: an OCI runtime with runc's command line.
//!
//! It reads a bundle's `config.json`, makes of it the same typed wish that the engine makes of a request, has
//! [`hull_launch`] compile it, and clones the child itself: no keeper and no engine take part. What outlives a
//! command lies in `<root>/<id>`. It knows neither images nor networks.
//!
//! One file per verb, below `verbs`. Invariants: a refusal comes before any effect; what a command made is undone
//! when it fails; what a killed command left, `delete --force` removes.
#![forbid(unsafe_code)]

mod bundle;
mod cgroups;
mod cli;
mod config;
mod console;
mod container;
mod error;
mod hooks;
mod log;
mod netdev;
mod refusals;
mod seal;
mod state;
mod stdio;
mod systemd;
mod verbs;

pub use error::Error;

/// Runs one command, with its words but for the program's. Returns the exit code.
pub fn main(args: Vec<std::ffi::OsString>) -> i32 {
    cli::main(args)
}
