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
    let trials = modules.into_iter().flatten().flat_map(|case| case.trials()).collect();
    run(&Arguments::from_args(), trials).exit();
}
