//! Installing Debian packages that a command needs, and only those that are missing.

use anyhow::{Result, bail};

use crate::sh;

/// What has to be there: (a program or file that proves it, the package that brings it).
pub type Need = (&'static str, &'static str);

/// Installs the packages whose proof is missing. Says so before it does.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|(proof, _)| !present(proof)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !sh::found("apt-get") {
        bail!("this needs {}; there is no apt-get here, so install them by hand", missing.join(", "));
    }
    sh::need_root("installing packages")?;
    eprintln!("installing: {}", missing.join(" "));
    if !all_known(&missing) {
        sh::run(&mut sh::cmd("apt-get", &["update", "-qq"]))?;
    }
    let mut install = sh::cmd("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
    install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    if sh::run(&mut install).is_err() {
        // A list that is out of date names files the mirror no longer has.
        sh::run(&mut sh::cmd("apt-get", &["update", "-qq"]))?;
        sh::run(&mut install)?;
    }
    Ok(())
}

fn present(proof: &str) -> bool {
    if proof.starts_with('/') { std::path::Path::new(proof).exists() } else { sh::found(proof) }
}

fn all_known(packages: &[&str]) -> bool {
    packages.iter().all(|p| {
        sh::read(&mut sh::cmd("apt-cache", &["policy", p]))
            .is_ok_and(|out| out.contains("Candidate:") && !out.contains("Candidate: (none)"))
    })
}
