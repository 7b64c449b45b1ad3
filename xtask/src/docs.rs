//! `cargo xtask docs`: docs/cli and the man pages, from the binary's own parser.

use anyhow::Result;

use crate::sh;

/// Regenerates docs/cli; `git diff` shows what changed.
pub fn run() -> Result<()> {
    sh::run(&mut sh::cmd("cargo", &["build", "--quiet", "--package", "hull"]))?;
    let binary = sh::built(&sh::host_tuple()?, "debug")?;
    let dir = sh::root().join("docs/cli");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    sh::run(&mut sh::cmd(&binary, &["docs", &dir.to_string_lossy()]))
}
