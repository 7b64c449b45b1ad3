//! `hull/host`: a throwaway twin of this machine.

use std::fs;

use hull_testkit::Host;

#[test]
fn the_twin_sees_the_machines_files_and_changes_none() {
    let host = Host::new();
    // The canary lives on the root file system, where the twin looks; a fresh name, removed below.
    let canary = tempfile::Builder::new().prefix("hull-canary-").tempdir_in("/var/tmp").expect("a directory");
    let file = canary.path().join("file");
    fs::write(&file, "alive").expect("write");
    let path = file.to_string_lossy();
    let script = format!(
        "cat {path} && echo changed > {path} && cat {path} && rm -r {} && ls {} 2>&1 | tail -1",
        canary.path().display(),
        canary.path().display()
    );
    let out = host.hull(&["run", "--rm", "hull/host", "sh", "-c", &script]);
    assert!(out.stdout.starts_with("alivechanged\n"), "{}{}", out.stdout, out.stderr);
    assert!(out.stdout.contains("No such file"), "{}", out.stdout);
    assert_eq!(fs::read_to_string(&file).expect("the canary"), "alive");
}

#[test]
fn homes_and_the_engines_own_files_are_hidden() {
    let host = Host::new();
    let seen = host
        .hull(&[
            "run",
            "--rm",
            "hull/host",
            "sh",
            "-c",
            "ls -A /root /home /run | grep -v : ; ls /var/lib/hull 2>/dev/null; echo end",
        ])
        .ok();
    assert_eq!(seen.trim(), "end", "{seen}");
}

#[test]
fn programs_of_the_machine_run_in_it() {
    let host = Host::new();
    assert_eq!(host.hull(&["run", "--rm", "hull/host", "sh", "-c", "echo $$"]).ok(), "1");
    assert!(host.hull(&["run", "--rm", "hull/host", "cat", "/etc/os-release"]).ok().contains("ID="));
    assert!(host.hull(&["images", "hull/host"]).ok().contains("hull/host"));
}
