//! `root`, masked and read-only paths, propagation: the file system that the container stands on.

use std::fs;

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    the_root_is_written_to_unless_it_is_read_only;
    a_read_only_root_refuses_writes_and_its_mounts_do_not;
    the_hosts_files_are_not_reachable;
    masked_files_are_empty_and_masked_directories_too;
    a_masked_path_that_is_missing_is_passed_over;
    read_only_paths_refuse_writes;
    a_read_only_path_that_is_missing_is_passed_over;
    a_read_only_path_keeps_its_other_flags.not_over(Runtime::Crun, "1.8 loses them");
    the_proc_that_is_usual_cannot_be_harmed;
    root_propagation_private;
    root_propagation_slave_and_shared
        .not_over(Runtime::Runc, "1.1 makes the parent private first")
        .not_over(Runtime::Crun, "1.8 makes no slave of it");
    an_unknown_propagation_is_refused.not_over(Runtime::Crun, "passes over it");
    no_pivot_still_confines;
    the_hosts_mount_table_stays;
    a_root_below_a_link_is_found;
    two_containers_of_one_root;
];

fn the_root_is_written_to_unless_it_is_read_only(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(site.sh("echo x > /made; cat /made"), "x");
    assert_eq!(read(site.rootfs().join("made")), "x\n");
}

fn a_read_only_root_refuses_writes_and_its_mounts_do_not(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["root"]["readonly"] = json!(true);
    assert_eq!(
        site.sh("(echo x > /made) 2>/dev/null || echo refused; echo y > /dev/shm/y; cat /dev/shm/y"),
        "refused\ny"
    );
    assert!(!site.rootfs().join("made").exists());
}

fn the_hosts_files_are_not_reachable(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::write(site.bundle().join("outside"), "").expect("write");
    assert_eq!(site.sh("cd /; cd ../../..; pwd; ls outside ../outside config.json 2>/dev/null | wc -l"), "/\n0");
    assert_eq!(site.sh("grep -c ' / ' /proc/mounts"), "1", "the old root is still mounted");
}

fn masked_files_are_empty_and_masked_directories_too(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::create_dir(site.rootfs().join("secrets")).expect("mkdir");
    fs::write(site.rootfs().join("secrets/file"), "secret").expect("write");
    fs::write(site.rootfs().join("secret"), "secret").expect("write");
    site.config["linux"]["maskedPaths"] = json!(["/secret", "/secrets", "/proc/keys", "/proc/kcore"]);
    assert_eq!(site.sh("cat /secret /proc/keys /proc/kcore | wc -c; ls -A /secrets | wc -l"), "0\n0");
    assert_eq!(site.sh("(echo x > /secrets/new) 2>/dev/null || echo refused"), "refused");
    assert_eq!(read(site.rootfs().join("secret")), "secret");
}

fn a_masked_path_that_is_missing_is_passed_over(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["maskedPaths"] = json!(["/proc/not-there", "/not/there/either"]);
    assert_eq!(site.sh("echo fine"), "fine");
    assert!(!site.rootfs().join("not").exists());
}

fn read_only_paths_refuse_writes(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["readonlyPaths"] = json!(["/home", "/etc/passwd", "/proc/sys"]);
    let script = "for f in /home/new /etc/passwd /proc/sys/kernel/domainname; do (echo x >> $f) 2>/dev/null || echo refused; done";
    assert_eq!(site.sh(script), "refused\nrefused\nrefused");
    assert!(read(site.rootfs().join("etc/passwd")).starts_with("root:"));
}

fn a_read_only_path_that_is_missing_is_passed_over(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["readonlyPaths"] = json!(["/proc/not-there", "/not-there"]);
    assert_eq!(site.sh("echo fine"), "fine");
}

fn a_read_only_path_keeps_its_other_flags(rt: Runtime) {
    let mut site = Site::new(rt);
    site.mounts().push(json!({ "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["noexec", "nosuid", "nodev"] }));
    site.config["linux"]["readonlyPaths"] = json!(["/scratch"]);
    let line = site.sh("grep ' /scratch ' /proc/mounts | tail -n 1");
    for flag in ["ro,", "noexec", "nosuid", "nodev"] {
        assert!(line.contains(flag), "{flag}: {line}");
    }
}

fn the_proc_that_is_usual_cannot_be_harmed(rt: Runtime) {
    let mut site = Site::new(rt);
    let script = "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/irq/default_smp_affinity /sys/kernel/uevent_helper; do
        test -e $f || continue; (echo x > $f) 2>/dev/null && echo written $f; done; echo done";
    assert_eq!(site.sh(script), "done");
}

/// The optional fields of mountinfo for a mount point.
fn propagation(site: &mut Site, path: &str) -> String {
    let text =
        site.sh(&format!("awk '$5 == \"{path}\" {{ for (i = 7; $i != \"-\"; i++) print $i }}' /proc/self/mountinfo"));
    text.replace('\n', " ")
}

fn root_propagation_private(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["rootfsPropagation"] = json!("private");
    assert_eq!(propagation(&mut site, "/"), "");
}

fn root_propagation_slave_and_shared(rt: Runtime) {
    let mut site = Site::new(rt);
    // The bundle lies on a mount that is shared, in the site's own namespace.
    let path = site.path().to_string_lossy().into_owned();
    let script = format!("mount --bind {path} {path}; mount --make-shared {path}; exec \"$@\"; ");
    site.wrapper = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).into();
    site.config["linux"]["rootfsPropagation"] = json!("shared");
    assert!(propagation(&mut site, "/").starts_with("shared:"));
    site.config["linux"]["rootfsPropagation"] = json!("slave");
    assert!(propagation(&mut site, "/").starts_with("master:"));
}

fn an_unknown_propagation_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["rootfsPropagation"] = json!("wonder");
    assert_ne!(site.create(&[]).code, 0);
    assert_eq!(site.status(), "");
}

fn no_pivot_still_confines(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::write(site.bundle().join("outside"), "").expect("write");
    let script =
        "cd /; cd ../..; pwd; test -e /outside || test -e ../outside || echo confined; test -d /proc/1 && echo proc";
    site.args(&["sh", "-c", script]);
    assert_eq!(site.run(&["--no-pivot"]).ok(), "/\nconfined\nproc");
}

fn the_hosts_mount_table_stays(rt: Runtime) {
    let site = Site::new(rt);
    let table = || {
        let out = site.to_the_end(site.inside("cat").arg("/proc/self/mountinfo"));
        out.ok()
    };
    let before = table();
    site.up();
    assert_eq!(table(), before);
}

fn a_root_below_a_link_is_found(rt: Runtime) {
    let mut site = Site::new(rt);
    std::os::unix::fs::symlink("rootfs", site.bundle().join("link")).expect("symlink");
    site.config["root"]["path"] = json!("link");
    let out = site.args(&["echo", "fine"]).run(&[]);
    // Taken or refused, but never something else than what it points to.
    assert!(out.code != 0 || out.stdout == "fine\n", "{out:?}");
}

fn two_containers_of_one_root(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    let first = site.id.clone();
    site.id = format!("{first}-2");
    site.config["linux"]["cgroupsPath"] = json!(format!("/{first}-2"));
    assert_eq!(site.sh("echo second"), "second");
    site.id = first;
    assert_eq!(site.exec_sh(&[], "echo first"), "first");
}
