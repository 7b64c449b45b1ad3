//! `cargo xtask install [PREFIX] [--dockerd]`: the binary and everything that belongs to it, beneath a prefix; with
//! `--dockerd` a link by which docker's scripts start it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{release, sh};

/// Installs beneath the first argument, `/usr/local` by default.
pub fn run(args: &[String]) -> Result<()> {
    let (flags, places): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| arg.starts_with("--"));
    let dockerd = flags.iter().any(|flag| *flag == "--dockerd");
    if let Some(unknown) = flags.iter().find(|flag| **flag != "--dockerd") {
        bail!("`install` has no {unknown}");
    }
    let prefix = PathBuf::from(places.first().map_or("/usr/local", |place| place.as_str()));
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
    if dockerd {
        link(&prefix.join("bin/dockerd"))?;
    }
    println!("installed {}", installed.display());
    Ok(())
}

/// Made beside the binary; what is there and is no link is not taken away.
fn link(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_symlink()) {
        bail!("{} is there and is no link: it is not taken away", path.display());
    }
    let part = path.with_extension("part");
    std::os::unix::fs::symlink("hull", &part)?;
    Ok(fs::rename(part, path)?)
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
