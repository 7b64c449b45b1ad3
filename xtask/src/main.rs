//! `cargo xtask`: what developers and CI run. One file per command.
//!
//! Owns no product code; drives cargo, apt and the built binary.
#![forbid(unsafe_code)]

mod apt;
mod bench;
mod busybox;
mod check;
mod clients;
mod demo;
mod docs;
mod engine;
mod firewalls;
mod fuzz;
mod goldens;
mod install;
mod oracle;
mod release;
mod schemathesis;
mod services;
mod sh;
mod test;
mod tour;
mod vm;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  demo [--tour]     build hull, start an engine, make a busybox image, step inside (or take the tour)
  test [ARGS]       install what tests need and run all of them, as root; one total
  fuzz [--seconds N] [--seed N] [TARGET...]
                    what strangers send, changed by libFuzzer for a minute each
  schemathesis [SECONDS]
                    requests made up from docker's description of the API, to an engine in namespaces of its own
  check             fmt, clippy, layers, docs, licences, spelling
  layers            only the layering of the crates
  bench [NAME]      hull beside floor, crun, runc, bwrap, docker, podman (NAME: start, oci, net, image, api, explain, memory, size)
  oracle start|stop Docker 28 from Debian in a namespace of its own, to ask and to measure beside (fetch: only unpack it;
                    peers: Debian unstable's crun and runc, for the benchmarks)
  clients           fetch what the tests use as clients (PyPI, npm), as services (Debian's nginx, redis, PostgreSQL) and as firewalls
  goldens [NAME...] record what docker's CLI prints over Docker's own engine, for the tests of hull under that CLI
  vm COMMAND        boot Debian's kernel with cgroup v2 under qemu and run tests in it (see `vm help`)
  docs              regenerate docs/cli and man pages
  install [PREFIX]  binary, completion, man pages, systemd units (default /usr/local)
";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("demo") => demo::run(rest),
        Some("test") => test::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("schemathesis") => schemathesis::run(rest),
        Some("check") => check::run(rest),
        Some("layers") => check::layers::run(),
        Some("bench") => bench::run(rest),
        Some("vm") => vm::run(rest),
        Some("oracle") => oracle::run(rest),
        Some("clients") => clients::fetch().and_then(|()| services::fetch()).and_then(|()| firewalls::fetch()),
        Some("goldens") => goldens::run(rest),
        Some("docs") => docs::run(),
        Some("install") => install::run(rest),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("unknown command `{other}`; `cargo xtask help` lists them"),
    }
}
