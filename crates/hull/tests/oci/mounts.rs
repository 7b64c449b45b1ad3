//! `mounts`: every kind and option, seen from inside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    bind_of_a_directory;
    bind_of_a_file;
    bind_without_a_type;
    a_relative_source_is_found_in_the_bundle;
    a_missing_source_is_refused;
    a_missing_target_is_made;
    a_target_through_a_link_stays_inside;
    a_target_that_climbs_stays_inside;
    read_only_bind;
    rbind_takes_what_is_mounted_below;
    bind_leaves_what_is_mounted_below;
    ro_does_not_reach_below_and_rro_does;
    flags_of_a_bind;
    tmpfs_with_size_and_mode.not_over(Runtime::Runc, "1.1 keeps the mode of the directory below");
    tmpfs_with_owner;
    tmpfs_copies_up;
    mounts_are_made_in_order;
    propagation_of_a_mount.not_over(Runtime::Crun, "1.8 leaves a shared mount private");
    mqueue;
    devpts_is_its_own;
    sysfs_is_read_only;
    proc_shows_the_containers_processes;
    cgroup_is_mounted_and_read_only;
    the_relatime_family;
    an_unknown_file_system_is_refused;
    an_unknown_option_is_refused;
    idmap_of_a_bind.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "needs a user namespace");
    idmap_with_mappings_of_the_mount.hull_only("newer than Debian 12's");
    a_mount_over_proc_is_refused.not_over(Runtime::Crun, "mounts it");
    a_link_as_a_bind_source_is_followed;
    more_mounts_than_a_page;
    dev_is_filled_when_it_is_a_tmpfs;
    dev_of_the_host_is_left_alone;
];

fn mount(site: &mut Site, destination: &str, kind: &str, source: &str, options: &[&str]) {
    site.mounts().push(json!({ "destination": destination, "type": kind, "source": source, "options": options }));
}

/// A directory with one file beside the bundle.
fn source(site: &Site) -> String {
    let dir = site.path().join("source");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("file"), "content\n").expect("write");
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).expect("chmod");
    dir.to_string_lossy().into_owned()
}

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
}

/// The options of the mount, as `/proc/mounts` says.
fn options(site: &mut Site, path: &str) -> Vec<String> {
    let line = site.sh(&format!("grep ' {path} ' /proc/mounts | tail -n 1"));
    line.split(' ').nth(3).expect("options").split(',').map(str::to_owned).collect()
}

#[track_caller]
fn has(options: &[String], wanted: &[&str]) {
    for option in wanted {
        assert!(options.iter().any(|o| o == option), "{option} is not in {options:?}");
    }
}

fn bind_of_a_directory(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/tmp", "bind", &source, &["bind"]);
    assert_eq!(site.sh("cat /tmp/file; echo new > /tmp/new"), "content");
    assert_eq!(read(format!("{source}/new")), "new\n");
}

fn bind_of_a_file(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/etc/given", "bind", &format!("{source}/file"), &["bind", "ro"]);
    assert_eq!(site.sh("cat /etc/given; (echo x > /etc/given) 2>/dev/null || echo refused"), "content\nrefused");
}

fn bind_without_a_type(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    for option in ["bind", "rbind"] {
        site.mounts().push(json!({ "destination": "/tmp", "source": source, "options": [option] }));
        assert_eq!(site.sh("cat /tmp/file"), "content");
        site.mounts().pop();
    }
}

fn a_relative_source_is_found_in_the_bundle(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::create_dir(site.bundle().join("own")).expect("mkdir");
    fs::write(site.bundle().join("own/file"), "own\n").expect("write");
    mount(&mut site, "/tmp", "bind", "own", &["bind"]);
    assert_eq!(site.sh("cat /tmp/file"), "own");
}

fn a_missing_source_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let nowhere = site.path().join("nowhere").to_string_lossy().into_owned();
    mount(&mut site, "/tmp", "bind", &nowhere, &["bind"]);
    let out = site.create(&[]);
    assert!(out.code != 0 && out.stderr.contains("nowhere"), "{out:?}");
    assert_eq!(site.status(), "");
    assert!(!fs::exists(nowhere).expect("stat"), "it was made");
}

fn a_missing_target_is_made(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/new/deep/dir", "bind", &source, &["bind"]);
    mount(&mut site, "/new/deep/file", "bind", &format!("{source}/file"), &["bind"]);
    mount(&mut site, "/other/scratch", "tmpfs", "tmpfs", &[]);
    assert_eq!(
        site.sh("cat /new/deep/dir/file /new/deep/file; touch /other/scratch/x && echo fine"),
        "content\ncontent\nfine"
    );
}

fn a_target_through_a_link_stays_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    let canary = site.path().join("canary");
    fs::create_dir(&canary).expect("mkdir");
    symlink(&canary, site.rootfs().join("out")).expect("symlink");
    mount(&mut site, "/out/made", "bind", &source, &["bind"]);
    let out = site.args(&["true"]).run(&[]);
    assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0, "{out:?}");
    symlink("/home", site.rootfs().join("inside")).expect("symlink");
    site.mounts().pop();
    mount(&mut site, "/inside/made", "bind", &source, &["bind"]);
    assert_eq!(site.sh("cat /home/made/file"), "content");
}

fn a_target_that_climbs_stays_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/../../../climbed", "bind", &source, &["bind"]);
    let out = site.args(&["cat", "/climbed/file"]).run(&[]);
    assert!(out.code != 0 || out.stdout == "content\n", "{out:?}");
    assert!(!fs::exists("/climbed").expect("stat") && !site.path().join("climbed").exists());
}

fn read_only_bind(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/tmp", "bind", &source, &["bind", "ro"]);
    assert_eq!(site.sh("(echo x > /tmp/new) 2>/dev/null || echo refused"), "refused");
    assert!(!fs::exists(format!("{source}/new")).expect("stat"));
}

/// The runtime sees a tmpfs below the source.
fn with_one_below(site: &mut Site) -> String {
    let source = source(site);
    fs::create_dir(format!("{source}/below")).expect("mkdir");
    let script = format!("mount -t tmpfs below {source}/below; echo deep > {source}/below/deep; exec \"$@\"");
    site.wrapper = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).into();
    source
}

fn rbind_takes_what_is_mounted_below(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = with_one_below(&mut site);
    mount(&mut site, "/tmp", "bind", &source, &["rbind"]);
    assert_eq!(site.sh("cat /tmp/below/deep"), "deep");
}

fn bind_leaves_what_is_mounted_below(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = with_one_below(&mut site);
    mount(&mut site, "/tmp", "bind", &source, &["bind"]);
    assert_eq!(site.sh("test -e /tmp/below/deep || echo none; cat /tmp/file"), "none\ncontent");
}

fn ro_does_not_reach_below_and_rro_does(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = with_one_below(&mut site);
    let script = "for f in /tmp/x /tmp/below/x; do (echo x > $f) 2>/dev/null && echo written || echo refused; done";
    mount(&mut site, "/tmp", "bind", &source, &["rbind", "ro"]);
    assert_eq!(site.sh(script), "refused\nwritten");
    site.mounts().pop();
    mount(&mut site, "/tmp", "bind", &source, &["rbind", "rro"]);
    assert_eq!(site.sh(script), "refused\nrefused");
}

fn flags_of_a_bind(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/tmp", "bind", &source, &["bind", "nosuid", "nodev", "noexec", "noatime"]);
    has(&options(&mut site, "/tmp"), &["rw", "nosuid", "nodev", "noexec", "noatime"]);
}

fn tmpfs_with_size_and_mode(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/scratch", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "size=1024k", "mode=1770"]);
    has(&options(&mut site, "/scratch"), &["rw", "nosuid", "nodev", "noexec", "size=1024k", "mode=1770"]);
    assert_eq!(
        site.sh("stat -c %a /scratch; dd if=/dev/zero of=/scratch/f bs=1k count=2000 2>/dev/null || echo full"),
        "1770\nfull"
    );
}

fn tmpfs_with_owner(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/scratch", "tmpfs", "tmpfs", &["uid=1000", "gid=2000", "mode=700"]);
    assert_eq!(site.sh("stat -c %u:%g:%a /scratch"), "1000:2000:700");
}

fn tmpfs_copies_up(rt: Runtime) {
    let mut site = Site::new(rt);
    let dir = site.rootfs().join("data");
    fs::create_dir_all(dir.join("sub")).expect("mkdir");
    fs::write(dir.join("file"), "from the image\n").expect("write");
    fs::write(dir.join("sub/deep"), "deep\n").expect("write");
    symlink("file", dir.join("link")).expect("symlink");
    fs::set_permissions(dir.join("file"), PermissionsExt::from_mode(0o640)).expect("chmod");
    mount(&mut site, "/data", "tmpfs", "tmpfs", &["tmpcopyup", "size=1m"]);
    assert_eq!(
        site.sh("cat /data/link /data/sub/deep; stat -c %a /data/file; echo new > /data/new"),
        "from the image\ndeep\n640"
    );
    assert!(!dir.join("new").exists());
}

fn mounts_are_made_in_order(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/a", "tmpfs", "tmpfs", &[]);
    mount(&mut site, "/a/b", "bind", &source, &["bind"]);
    mount(&mut site, "/c", "bind", &source, &["bind"]);
    mount(&mut site, "/c", "tmpfs", "tmpfs", &[]);
    assert_eq!(site.sh("cat /a/b/file; ls -A /c | wc -l"), "content\n0");
}

fn propagation_of_a_mount(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    let show = "awk '$5 == \"/tmp\" { print $7 }' /proc/self/mountinfo | cut -d: -f1";
    for (option, seen) in [("private", "-"), ("shared", "shared"), ("rshared", "shared"), ("unbindable", "unbindable")]
    {
        mount(&mut site, "/tmp", "bind", &source, &["rbind", option]);
        assert_eq!(site.sh(show), seen, "{option}");
        site.mounts().pop();
    }
}

fn mqueue(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    assert_eq!(site.sh("grep -c ' /dev/mqueue mqueue ' /proc/mounts; stat -c %a /dev/mqueue"), "1\n1777");
}

fn devpts_is_its_own(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(site.sh("ls /dev/pts; stat -c %a /dev/pts/ptmx; readlink /dev/ptmx"), "ptmx\n666\npts/ptmx");
    has(&options(&mut site, "/dev/pts"), &["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"]);
}

fn sysfs_is_read_only(rt: Runtime) {
    let mut site = Site::new(rt);
    has(&options(&mut site, "/sys"), &["ro", "nosuid", "nodev", "noexec"]);
    assert_eq!(site.sh("ls /sys/class/net"), "lo");
}

fn proc_shows_the_containers_processes(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(site.sh("echo $$; ls -d /proc/[0-9]* | wc -l"), "1\n3");
}

fn cgroup_is_mounted_and_read_only(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
    let script = "test -e /sys/fs/cgroup/cgroup.procs || cd /sys/fs/cgroup/pids; mkdir /sys/fs/cgroup/x x 2>/dev/null || echo refused
        grep -q cgroup /proc/mounts && echo mounted";
    assert_eq!(site.sh(script), "refused\nmounted");
    if hull_testkit::on_v2() {
        // In the host's cgroup namespace that was the host's mount.
        site.namespaces().push(json!({ "type": "cgroup" }));
        assert_eq!(site.sh(script), "refused\nmounted");
    }
    let seen = site.sh("cat /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs 2>/dev/null | head -n 1");
    assert_eq!(seen, "1", "the container's own cgroup is what is mounted");
}

fn the_relatime_family(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    for (option, there, not) in
        [("noatime", "noatime", "relatime"), ("relatime", "relatime", "noatime"), ("strictatime", "rw", "relatime")]
    {
        mount(&mut site, "/tmp", "bind", &source, &["bind", option]);
        let seen = options(&mut site, "/tmp");
        has(&seen, &[there]);
        assert!(!seen.iter().any(|o| o == not), "{option}: {seen:?}");
        site.mounts().pop();
    }
}

fn an_unknown_file_system_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/tmp", "wonderfs", "wonder", &[]);
    refused(&site);
}

fn an_unknown_option_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    mount(&mut site, "/tmp", "tmpfs", "tmpfs", &["wonder=1"]);
    refused(&site);
}

/// A file of user 1000 beside the bundle.
fn owned(site: &Site) -> String {
    let source = source(site);
    std::os::unix::fs::chown(format!("{source}/file"), Some(1000), Some(1000)).expect("chown");
    source
}

fn with_user_namespace(site: &mut Site) {
    site.namespaces().push(json!({ "type": "user" }));
    let map = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    site.config["linux"]["uidMappings"] = map.clone();
    site.config["linux"]["gidMappings"] = map;
    crate::site::give(&site.rootfs(), 100_000);
}

fn idmap_of_a_bind(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = owned(&site);
    with_user_namespace(&mut site);
    mount(&mut site, "/tmp", "bind", &source, &["bind", "idmap"]);
    assert_eq!(site.sh("stat -c %u /tmp/file; echo x > /tmp/new; stat -c %u /tmp/new"), "1000\n0");
    assert_eq!(fs::metadata(format!("{source}/new")).expect("metadata").uid(), 0, "on the host it is root's");
}

fn idmap_with_mappings_of_the_mount(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = owned(&site);
    let map = json!([{ "containerID": 1000, "hostID": 5000, "size": 1 }]);
    site.mounts().push(json!({ "destination": "/tmp", "type": "bind", "source": source, "options": ["bind"],
        "uidMappings": map, "gidMappings": map }));
    assert_eq!(site.sh("stat -c %u:%g /tmp/file"), "5000:5000");
}

fn a_mount_over_proc_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    mount(&mut site, "/proc/sys/kernel", "bind", &source, &["bind"]);
    refused(&site);
}

fn a_link_as_a_bind_source_is_followed(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    let link = site.path().join("link");
    symlink(source, &link).expect("symlink");
    mount(&mut site, "/tmp", "bind", &link.to_string_lossy(), &["bind"]);
    assert_eq!(site.sh("cat /tmp/file"), "content");
}

fn more_mounts_than_a_page(rt: Runtime) {
    let mut site = Site::new(rt);
    let source = source(&site);
    for n in 0..120 {
        mount(
            &mut site,
            &format!("/mounts/with/a/rather/long/path/{n}"),
            "bind",
            &source,
            &["bind", "ro", "nosuid", "nodev"],
        );
    }
    assert_eq!(site.sh("cat /mounts/with/a/rather/long/path/*/file | wc -l"), "120");
}

fn dev_is_filled_when_it_is_a_tmpfs(rt: Runtime) {
    let mut site = Site::new(rt);
    let script = "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done
        for l in fd stdin stdout stderr; do readlink /dev/$l; done; echo x > /dev/null; head -c 3 /dev/zero | wc -c";
    assert_eq!(site.sh(script), "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n3");
}

fn dev_of_the_host_is_left_alone(rt: Runtime) {
    let mut site = Site::new(rt);
    let dev = site.path().join("dev");
    fs::create_dir(&dev).expect("mkdir");
    fs::write(dev.join("marker"), "").expect("write");
    // The controls look for it.
    site.to_the_end(site.inside("mknod").arg(dev.join("null")).args(["c", "1", "3"])).ok();
    site.mounts().retain(|m| !m["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
    let dev = dev.to_string_lossy().into_owned();
    mount(&mut site, "/dev", "bind", &dev, &["rbind"]);
    site.args(&["ls", "/dev"]);
    let out = site.run(&[]);
    assert!(out.stdout.lines().any(|l| l == "marker"), "{out:?}");
    assert!(!fs::exists(format!("{dev}/zero")).expect("stat"), "devices were made in the host's directory");
}
