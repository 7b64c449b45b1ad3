//! The one binary: keeper, engine, OCI runtime or command line, by its first words.
//!
//! Dispatch happens before anything costly: the keeper stays tiny, the command line starts no
//! runtime. Exit code 125 and one sentence for what is wrong, as docker's.
#![forbid(unsafe_code)]

mod cli;
mod credentials;
mod options;
mod output;
mod role;
mod session;
mod template;

use std::process::exit;

/// musl's own allocator asks the kernel for each page and takes four times as long over JSON (docs/adr/0009-musl.md).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: hull_sys::Allocator = hull_sys::Allocator;

fn main() {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    if let Some(words) = role::oci(&called, &args) {
        exit(hull_oci::main(words.to_vec()));
    }
    if role::daemon::is_called(&called) {
        exit(i32::from(role::daemon::dockerd(args)));
    }
    let word = |at: usize| args.get(at).and_then(|arg| arg.to_str());
    let code = match (word(0), word(1)) {
        (Some("keeper"), _) => role::keeper(&args[1..]),
        (Some("engine"), Some("run")) => role::engine(&args[2..]),
        _ => cli::main(args),
    };
    exit(i32::from(code));
}
