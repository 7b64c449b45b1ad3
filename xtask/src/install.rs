//! `cargo xtask install`: the binary and everything that belongs to it, beneath a prefix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{release, sh};

/// Installs beneath the first argument, `/usr/local` by default.
pub fn run(args: &[String]) -> Result<()> {
    let prefix = PathBuf::from(args.first().map_or("/usr/local", String::as_str));
    let binary = release::binary()?;
    let installed = prefix.join("bin/hull");
    put(&fs::read(&binary)?, &installed, 0o755)?;
    for (shell, place) in [
        ("bash", "share/bash-completion/completions/hull"),
        ("zsh", "share/zsh/site-functions/_hull"),
        ("fish", "share/fish/vendor_completions.d/hull.fish"),
    ] {
        let script = sh::read(&mut sh::cmd(&binary, &["completion", shell]))?;
        put(script.as_bytes(), &prefix.join(place), 0o644)?;
    }
    let man = prefix.join("share/man/man1");
    fs::create_dir_all(&man)?;
    sh::run(&mut sh::cmd(&binary, &["man", &man.to_string_lossy()]))?;
    for unit in ["hull.service", "hull.socket", "hull-containers.service"] {
        let text = fs::read_to_string(sh::root().join("contrib/systemd").join(unit))?;
        let text = text.replace("/usr/local/bin/hull", &installed.to_string_lossy());
        put(text.as_bytes(), &prefix.join("lib/systemd/system").join(unit), 0o644)?;
    }
    println!("installed {}", installed.display());
    Ok(())
}

/// Written beside and renamed, so that a running binary is never truncated.
fn put(bytes: &[u8], path: &Path, mode: u32) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let part = path.with_extension("part");
    fs::write(&part, bytes)?;
    fs::set_permissions(&part, fs::Permissions::from_mode(mode))?;
    Ok(fs::rename(part, path)?)
}
