//! `cargo xtask check`: everything that can be judged without running the product.

pub mod layers;
mod pages;
mod tools;

use anyhow::{Result, bail};

use crate::sh;

type Check = fn() -> Result<()>;

/// Runs every check, reports all that fail, not only the first.
pub fn run(_args: &[String]) -> Result<()> {
    let checks: [(&str, Check); 8] = [
        ("fmt", || sh::run(&mut sh::cmd("cargo", &["fmt", "--all", "--", "--check"]))),
        ("clippy", || {
            sh::run(&mut sh::cmd(
                "cargo",
                &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
            ))
        }),
        ("layers", layers::run),
        ("rustdoc", || {
            let mut doc = sh::cmd("cargo", &["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
            sh::run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
        }),
        ("pages", pages::run),
        ("licences", tools::licences),
        ("unused dependencies", tools::unused),
        ("spelling", tools::spelling),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        eprintln!("== {name}");
        if let Err(error) = check() {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    eprintln!("all checks passed");
    Ok(())
}
