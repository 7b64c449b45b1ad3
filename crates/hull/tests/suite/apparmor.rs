//! AppArmor, by profiles of the test's own.
//!
//! Not every kernel has it: the virtual machine's has, and there the test must find it.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, run};

use crate::by_hand::ByHand;

/// All that a container may do anyway, but for one directory.
fn profile(name: &str) -> String {
    format!(
        "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  signal,\n  ptrace,\n  \
         mount,\n  umount,\n  pivot_root,\n  unix,\n  deny /denied/** w,\n}}\n"
    )
}

/// A profile in the kernel.
struct Loaded(std::path::PathBuf);

impl Loaded {
    fn new(host: &Host, name: &str) -> Self {
        let file = host.path().join("profile");
        fs::write(&file, profile(name)).expect("write");
        run(Command::new("apparmor_parser").arg("--skip-cache").arg("--replace").arg(&file), b"").ok();
        Self(file)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = Command::new("apparmor_parser").arg("--remove").arg(&self.0).status();
    }
}

#[test]
fn a_profile_confines_a_container_and_what_is_executed_in_it() {
    let active = fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'));
    if !active && !Path::new("/load").exists() {
        eprintln!("AppArmor is not active here: it is looked at in the virtual machine");
        return;
    }
    assert!(active, "AppArmor is active in the guest");
    let host = Host::new();
    let name = "hull-test-denies";
    let loaded = Loaded::new(&host, name);
    let option = format!("apparmor={name}");
    let confined = format!("{name} (enforce)");
    let tries = "cat /proc/self/attr/current; mkdir -p /denied; echo 1 >/denied/file || echo refused; echo 1 >/other && echo written";
    let seen = host.hull(&["run", "--rm", "--security-opt", &option, "busybox", "sh", "-c", tries]);
    assert_eq!(seen.stdout.trim(), format!("{confined}\nrefused\nwritten"), "{seen:?}");
    assert!(seen.stderr.contains("Permission denied"), "{seen:?}");

    host.sleeper(&["--name", "held", "--network", "none", "--security-opt", &option]);
    assert_eq!(host.hull(&["inspect", "-f", "{{.AppArmorProfile}}", "held"]).ok(), name);
    assert_eq!(host.hull(&["exec", "held", "cat", "/proc/self/attr/current"]).ok(), confined);
    let told = host.hull(&["explain", "held"]).ok();
    let line = told.lines().find(|line| line.contains("security label")).expect("its label is told");
    assert!(line.contains(&confined) && line.contains("--security-opt"), "{line}");
    let mut by_hand = ByHand::of(&host, "held");
    let pid = by_hand.pid(&host, "sleep");
    let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).expect("its label");
    assert_eq!(label.trim_end_matches(['\0', '\n']), confined, "the same by hand");
    by_hand.end();

    for free in [&["--security-opt", "apparmor=unconfined"][..], &["--privileged"]] {
        assert_eq!(host.sh(free, "cat /proc/self/attr/current"), "unconfined", "{free:?}");
    }
    let unknown = host.hull(&["run", "--rm", "--security-opt", "apparmor=hull-test-nosuch", "busybox", "true"]);
    assert!(unknown.code == 125 && unknown.stderr.contains("hull-test-nosuch"), "{unknown:?}");
    host.hull(&["rm", "-f", "held"]).ok();
    drop(loaded);
    host.assert_clean();
}
