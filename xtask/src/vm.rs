//! `cargo xtask vm`: Debian's cloud kernel (6.1) under qemu with cgroup v2; emulated where the machine has no KVM.
//!
//! Two disks, both under `target/vm` and never written by the guest (its writes go to an unlinked
//! file): [`base`], made once, and [`load`], with this build's executables. An initrd mounts them and
//! hands over to a script from [`guest`]. The run's result is what the guest prints on its console.
//!
//! A round survives the machine: [`round`] boots it again when it falls silent or ends too early, and
//! [`machine`] tells the new one what is done already.

mod base;
mod guest;
mod hearing;
mod load;
mod machine;
mod round;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::test::Total;
use crate::{apt, sh};
use guest::Flavour;
use machine::Machine;

const NEEDS: &[apt::Need] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("strip", "binutils"),
    ("setpriv", "util-linux"),
];

/// How long one test executable may run: a crate's, and the suite of the whole.
const LIMIT_OF_ONE: Duration = Duration::from_secs(6 * 60);
const LIMIT_OF_SUITE: Duration = Duration::from_secs(25 * 60);

const HELP: &str = "\
cargo xtask vm test [--package P]... [FILTER]...     the tests that meet the kernel, on cgroup v2 without systemd
cargo xtask vm systemd [--package P]... [FILTER]...  under systemd, in delegated units (default: hull-cgroup, hull)
cargo xtask vm shell [--package P]...                a shell in the guest, with hull and the test executables
cargo xtask vm base                                  only make the guest's disk
With --release the guest gets hull as it is shipped, which is smaller and starts sooner there.
";

/// Which tests are to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    packages: Vec<String>,
    filters: Vec<String>,
    release: bool,
}

impl Wish {
    /// Reads `[--release] [--package P]... [FILTER]...`. `P` may leave the `hull-` out.
    pub fn parse(args: &[String], default: &[&str]) -> Result<Self> {
        let mut wish = Self { packages: Vec::new(), filters: Vec::new(), release: false };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg {
                "--release" => {
                    wish.release = true;
                    continue;
                }
                "-E" | "--filterset" => {
                    let expression = args.next().context("-E needs an expression")?;
                    wish.filters.extend(names(expression)?);
                    continue;
                }
                _ => {}
            }
            let package = match arg {
                "--package" | "-p" => Some(args.next().context("--package needs a name")?),
                _ => arg.strip_prefix("--package="),
            };
            match package {
                Some(name) if name == "hull" || name.starts_with("hull-") => wish.packages.push(name.to_owned()),
                Some(name) => wish.packages.push(format!("hull-{name}")),
                None if arg.starts_with('-') => bail!("unknown option `{arg}`\n{HELP}"),
                None => wish.filters.push(arg.to_owned()),
            }
        }
        if wish.packages.is_empty() {
            wish.packages = default.iter().map(|p| (*p).to_owned()).collect();
        }
        Ok(wish)
    }
}

/// Of cargo-nextest's language that which the test executables can do as well: names.
fn names(expression: &str) -> Result<Vec<String>> {
    let name = |one: &str| {
        let name = one.trim().strip_prefix("test(")?.strip_suffix(')')?;
        name.chars().all(|c| c.is_alphanumeric() || "_:".contains(c)).then(|| name.to_owned())
    };
    let all: Option<Vec<String>> = expression.split(['|', '+']).map(name).collect();
    all.with_context(|| format!("the virtual machine knows only `test(NAME) | test(NAME)`, not `{expression}`"))
}

/// See [`HELP`].
pub fn run(args: &[String]) -> Result<()> {
    let rest = args.get(1..).unwrap_or_default();
    let total = match args.first().map(String::as_str) {
        Some("test") => test(rest)?,
        Some("systemd") => systemd(rest)?,
        Some("shell") => return shell(rest),
        Some("base") => {
            let dir = dir()?;
            let _lock = lock(&dir)?;
            return base::make(&dir).map(drop);
        }
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            return Ok(());
        }
        Some(other) => bail!("unknown command `vm {other}`\n{HELP}"),
    };
    if total.failed > 0 {
        bail!("tests failed in the virtual machine");
    }
    if total.passed == 0 {
        bail!("no test ran in the virtual machine");
    }
    Ok(())
}

/// Builds, boots, runs the wished tests without systemd, and returns the guest's totals.
pub fn test(args: &[String]) -> Result<Total> {
    round::play(&Machine::make(Flavour::Test, &Wish::parse(args, &load::PACKAGES)?)?)
}

/// As [`test()`], under systemd, each executable in a unit with `Delegate=yes`.
pub fn systemd(args: &[String]) -> Result<Total> {
    round::play(&Machine::make(Flavour::Systemd, &Wish::parse(args, &["hull-cgroup", "hull"])?)?)
}

fn shell(args: &[String]) -> Result<()> {
    let machine = Machine::make(Flavour::Shell, &Wish::parse(args, &load::PACKAGES)?)?;
    sh::run(&mut machine.qemu())
}

/// Where the disks are kept.
fn dir() -> Result<PathBuf> {
    let dir = sh::target().join("vm");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// One run at a time; what an interrupted one has left is removed.
fn lock(dir: &Path) -> Result<File> {
    let file = File::create(dir.join("lock"))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another virtual machine of this checkout to end");
        file.lock()?;
    }
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".tmp") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_filters_are_told_apart() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            Wish::parse(&args, &["hull-sys"]).map(|w| (w.packages.join(" "), w.filters.join(" ")))
        };
        for (args, packages, filters) in [
            (&["--package", "cgroup", "freeze"][..], "hull-cgroup", "freeze"),
            (&["-p", "hull", "a", "--package=hull-launch", "b"], "hull hull-launch", "a b"),
            (&["-E", "test(a::b) | test(c)"], "hull-sys", "a::b c"),
            (&[], "hull-sys", ""),
        ] {
            assert_eq!(parse(args).unwrap(), (packages.to_owned(), filters.to_owned()));
        }
        assert!(parse(&["--package"]).is_err());
        assert!(parse(&["-E", "not test(a)"]).is_err());
        assert!(parse(&["--frobnicate"]).is_err());
    }
}
