//! Bind mounts, tmpfs, volumes: what is mounted, how, and where it may land.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use hull_testkit::Host;

fn data(host: &Host) -> String {
    let dir = host.path().join("data");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("file"), "content").expect("write");
    dir.to_string_lossy().into_owned()
}

#[test]
fn a_bind_mount_is_the_same_directory_and_can_be_read_only() {
    let host = Host::new();
    let dir = data(&host);
    assert_eq!(host.sh(&["-v", &format!("{dir}:/d")], "cat /d/file; echo new > /d/made"), "content");
    assert_eq!(fs::read_to_string(host.path().join("data/made")).expect("made"), "new\n");
    let seen = host.sh(&["-v", &format!("{dir}:/d:ro")], "touch /d/x 2>&1; true");
    assert!(seen.contains("Read-only file system"), "{seen}");
    let seen = host.sh(&["--mount", &format!("type=bind,src={dir},dst=/d,readonly")], "touch /d/x 2>&1; true");
    assert!(seen.contains("Read-only file system"), "{seen}");
}

#[test]
fn a_missing_source_is_made_for_v_and_refused_for_mount() {
    let host = Host::new();
    let missing = host.path().join("missing").to_string_lossy().into_owned();
    let err = host
        .hull(&["run", "--rm", "--mount", &format!("type=bind,src={missing},dst=/d"), "busybox", "true"])
        .fails(125);
    assert!(err.contains("bind source path does not exist") && err.contains(&missing), "{err}");
    host.sh(&["-v", &format!("{missing}:/d")], "touch /d/x");
    assert!(host.path().join("missing/x").exists());
}

#[test]
fn a_file_can_be_bound_over_a_file() {
    let host = Host::new();
    let dir = data(&host);
    assert_eq!(host.sh(&["-v", &format!("{dir}/file:/etc/passwd")], "cat /etc/passwd"), "content");
    assert_eq!(host.sh(&["-v", &format!("{dir}/file:/new/path/file")], "cat /new/path/file"), "content");
}

#[test]
fn a_target_through_an_absolute_link_lands_inside() {
    let host = Host::new();
    let dir = data(&host);
    let canary = host.path().join("canary");
    fs::create_dir_all(&canary).expect("mkdir");
    host.hull(&["run", "--name", "linker", "busybox", "ln", "-s", &canary.to_string_lossy(), "/link"]).ok();
    let tar = host.path().join("fs.tar");
    let tree = host.path().join("tree");
    fs::create_dir_all(tree.join("bin")).expect("mkdir");
    fs::copy("/usr/bin/busybox", tree.join("bin/busybox")).expect("copy");
    symlink(&canary, tree.join("link")).expect("symlink");
    let status = std::process::Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&tar).arg(".").status();
    assert!(status.is_ok_and(|s| s.success()));
    host.hull(&["import", &tar.to_string_lossy(), "linked"]).ok();
    let out =
        host.hull(&["run", "--rm", "-v", &format!("{dir}:/link/deep"), "linked", "/bin/busybox", "ls", "/link/deep"]);
    assert_eq!(out.ok(), "file");
    assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0, "nothing was made on the host");
}

#[test]
fn propagation_is_as_asked() {
    let host = Host::new();
    let dir = data(&host);
    let optional = |flags: &[&str]| host.sh(flags, "grep ' /d ' /proc/self/mountinfo");
    assert!(!optional(&["-v", &format!("{dir}:/d")]).contains("master:"), "private by default");
    let line = optional(&["--privileged", "-v", &format!("{dir}:/d:rprivate")]);
    assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
}

#[test]
fn tmpfs_has_its_options_and_is_empty_again_next_time() {
    let host = Host::new();
    let seen =
        host.sh(&["--tmpfs", "/scratch:size=1m,mode=700,noexec"], "grep /scratch /proc/mounts; stat -c %a /scratch");
    assert!(seen.contains("size=1024k") && seen.contains("noexec") && seen.ends_with("700"), "{seen}");
    let seen = host.sh(
        &["--mount", "type=tmpfs,dst=/scratch,tmpfs-size=2097152,tmpfs-mode=1770"],
        "grep /scratch /proc/mounts; stat -c %a /scratch",
    );
    assert!(seen.contains("size=2048k") && seen.ends_with("1770"), "{seen}");
}

#[test]
fn a_named_volume_outlives_the_container_and_starts_with_the_images_content() {
    let host = Host::new();
    host.sh(&["-v", "kept:/etc"], "echo more > /etc/more");
    assert_eq!(host.sh(&["-v", "kept:/v"], "cat /v/more; grep -c root /v/passwd"), "more\n1");
    assert!(host.root().join("volumes/kept").exists());
    fs::remove_dir_all(host.root().join("volumes/kept")).ok();
}

/// COMPAT(docker 28), asked of it.
#[test]
fn an_empty_volume_is_filled_when_a_container_is_created_and_not_when_it_starts() {
    let host = Host::new();
    let create = |name: &str, mount: &str| host.hull(&["create", "--name", name, "--mount", mount, "busybox", "true"]);
    let list = |volume: &str| host.sh(&["--mount", &format!("type=volume,src={volume},dst=/x")], "ls /x");
    create("first", "type=volume,src=data,dst=/etc").ok();
    let filled = list("data");
    assert!(filled.contains("passwd") && filled.contains("mtab"), "{filled}");
    // Emptied it stays so for those that are there; the next one that is created fills it again.
    host.sh(&["-v", "data:/x"], "rm -r /x/*");
    host.hull(&["start", "-a", "first"]).ok();
    assert!(!list("data").contains("passwd"), "{}", list("data"));
    // The places for its files that the start has made.
    host.sh(&["-v", "data:/x"], "rm -r /x/*");
    create("second", "type=volume,src=data,dst=/etc").ok();
    assert_eq!(list("data"), filled);
    for (name, mount, wanted) in [
        ("nothing", "type=volume,src=other,dst=/nosuch", ""),
        ("nocopy", "type=volume,src=other,dst=/etc,volume-nocopy", ""),
        ("kept", "type=volume,src=data,dst=/bin", &*filled),
    ] {
        create(name, mount).ok();
        assert_eq!(list(mount.split([',', '=']).nth(3).expect("a name")), wanted, "{name}");
    }
    host.hull(&["create", "--name", "theirs", "--volumes-from", "nocopy", "busybox", "true"]).ok();
    assert_eq!(list("other"), "");
    host.hull(&["run", "--rm", "-v", "other:/x", "busybox", "mkdir", "/x/sub"]).ok();
    create("subpath", "type=volume,src=other,dst=/etc,volume-subpath=sub").ok();
    assert_eq!(host.sh(&["-v", "other:/x"], "ls /x; ls /x/sub"), format!("sub\n{filled}"));
    // Files of a user namespace's are those of the image.
    host.hull(&["create", "--name", "shifted", "--userns", "auto", "-v", "own:/etc", "busybox", "true"]).ok();
    assert_eq!(host.sh(&["-v", "own:/x"], "stat -c %u /x/passwd"), "0");
    // What cannot be mounted is said at the creation, where the image has something, as docker does.
    let device = format!("device={}", host.path().join("missing").display());
    host.hull(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "away"]).ok();
    let refused = create("away", "type=volume,src=away,dst=/etc").fails(1);
    assert!(refused.contains("failed to populate volume: failed to mount local volume `away`"), "{refused}");
    create("fine", "type=volume,src=away,dst=/nosuch").ok();
    host.hull(&["ps", "-aq"]).ok().lines().for_each(|id| drop(host.hull(&["rm", id]).ok()));
    host.hull(&["volume", "prune", "-af"]).ok();
}

#[test]
fn an_anonymous_volume_goes_with_rm() {
    let host = Host::new();
    let volumes =
        || fs::read_dir(host.root().join("volumes")).map_or(0, |d| d.flatten().filter(|e| e.path().is_dir()).count());
    host.sh(&["-v", "/data"], "touch /data/x");
    assert_eq!(volumes(), 0, "--rm removes it");
    let id = host.hull(&["create", "-v", "/data", "busybox", "true"]).ok();
    assert_eq!(volumes(), 1);
    host.hull(&["rm", "-v", &id]).ok();
    assert_eq!(volumes(), 0);
}

#[test]
fn an_idmapped_bind_shows_the_containers_ids_and_changes_no_file() {
    let host = Host::new();
    let dir = data(&host);
    let seen = host.sh(
        &["--userns=auto", "-v", &format!("{dir}:/d:idmap")],
        "stat -c %u:%g /d/file; touch /d/made; stat -c %u /d/made",
    );
    assert_eq!(seen, "0:0\n0");
    assert_eq!(fs::metadata(host.path().join("data/made")).expect("made").uid(), 0);
    assert_eq!(fs::metadata(host.path().join("data/file")).expect("file").uid(), 0);
}
