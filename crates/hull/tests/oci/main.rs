//! The conformance suite of OCI runtimes: what runtime-spec 1.3 says and what callers of runc's command line rely
//! on, each case over three runtimes. `hull::…` are the product's tests. `runc::…` and `crun::…` are controls of the
//! expectations: they are `ignored`, run them with `cargo nextest run -p hull --test oci --run-ignored only`.
//!
//! Each test has a mount and a network namespace, a `--root`, a bundle and a cgroup name of its own, and compares
//! the machine before and after.

mod bundles;
mod case;
mod cgroups;
mod command;
mod costs;
mod devices;
mod exec;
mod fallbacks;
mod hooks;
mod hostile;
mod killed;
mod lifecycle;
mod mounts;
mod namespaces;
mod operations;
mod process;
mod rootfs;
mod schema;
mod seccomp;
mod site;
mod systemd;
mod terminal;

use libtest_mimic::{Arguments, run};

fn main() {
    let modules = [
        bundles::CASES,
        cgroups::CASES,
        command::CASES,
        costs::CASES,
        devices::CASES,
        exec::CASES,
        fallbacks::CASES,
        hooks::CASES,
        hostile::CASES,
        killed::CASES,
        lifecycle::CASES,
        mounts::CASES,
        namespaces::CASES,
        operations::CASES,
        process::CASES,
        rootfs::CASES,
        schema::CASES,
        seccomp::CASES,
        systemd::CASES,
        terminal::CASES,
    ];
    let (wished, options) = split(std::env::args());
    let arguments = Arguments::from_iter(options);
    let is_wished = |name: &str| match arguments.exact {
        true => wished.iter().any(|wish| wish == name),
        false => wished.iter().any(|wish| name.contains(wish.as_str())),
    };
    let trials = modules.into_iter().flatten().flat_map(|case| case.trials());
    let trials = trials.filter(|trial| wished.is_empty() || is_wished(trial.name())).collect();
    run(&arguments, trials).exit();
}

/// The names asked for, and the rest of the command line. libtest-mimic knows one name, the standard harness any number.
fn split(words: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    const WITH_VALUE: [&str; 6] = ["--skip", "--test-threads", "--color", "--format", "--logfile", "-Z"];
    let (mut names, mut options) = (Vec::new(), Vec::new());
    let mut value = true; // the program's own name is none of a test
    for word in words {
        let is_option = value || word.starts_with('-');
        value = !value && WITH_VALUE.contains(&word.as_str());
        if is_option { options.push(word) } else { names.push(word) }
    }
    (names, options)
}
