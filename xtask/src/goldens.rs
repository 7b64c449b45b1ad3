//! `cargo xtask goldens`: asks Docker's own engine what its CLI prints, and writes the transcripts that hull is compared with
//! (crates/hull/tests/peers/goldens). A change of them is looked at like a change of code.

use anyhow::Result;

use crate::{apt, oracle, sh};

const NEEDS: &[apt::Need] = &[
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("runc", "runc"),
    ("unshare", "util-linux"),
];

/// Records the transcripts with these names, or all.
pub fn run(names: &[String]) -> Result<()> {
    sh::need_root("running dockerd")?;
    apt::ensure(NEEDS)?;
    oracle::fetch()?;
    sh::run(&mut sh::cmd("cargo", &["build", "--package", "hull"]))?;
    let record = ["test", "--package", "hull", "--test", "peers", "goldens::record", "--", "--ignored", "--exact"];
    if names.is_empty() {
        return sh::run(&mut sh::cmd("cargo", &record));
    }
    names.iter().try_for_each(|name| sh::run(sh::cmd("cargo", &record).env("HULL_TEST_ONLY", name)))
}
