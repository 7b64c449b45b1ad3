//! Bundles, images and processes that attack the host, over the product only: older runtimes would do what they ask.
//!
//! The canary is a directory on the host that stays as it is; what a case names as a CVE was found in other runtimes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use hull_testkit::{Out, hull_binary};
use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

const WHY: &str = "hostile bundles are not for old runtimes";

cases![
    the_binary_cannot_be_written_from_inside.hull_only(WHY);
    an_entry_point_that_is_the_runtime_itself.hull_only(WHY);
    a_working_directory_through_a_descriptor.hull_only(WHY);
    an_exec_with_a_working_directory_through_a_descriptor.hull_only(WHY);
    dev_null_that_is_a_link_while_masking.hull_only(WHY);
    a_console_that_is_a_link.hull_only(WHY);
    a_proc_that_is_made_up_does_not_redirect_writes.hull_only(WHY);
    targets_that_are_exchanged_while_mounting.hull_only(WHY);
    proc_sys_or_dev_that_is_a_link.hull_only(WHY);
    a_dev_that_leads_out_of_the_image.hull_only(WHY);
    a_root_that_is_a_link_out_of_the_bundle_is_what_it_says.hull_only(WHY);
    users_of_exec_that_look_like_numbers.hull_only(WHY);
    inheritable_capabilities_are_empty.hull_only(WHY);
    groups_of_the_caller_do_not_arrive.hull_only(WHY);
    files_of_the_kernel_cannot_be_written.hull_only(WHY);
    a_configuration_without_end.hull_only(WHY);
    strings_that_are_none_for_the_kernel.hull_only(WHY);
    an_image_with_a_passwd_that_is_a_pipe.hull_only(WHY);
    a_cgroup_path_with_dots_and_newlines.hull_only(WHY);
    an_id_cannot_leave_the_root_by_any_verb.hull_only(WHY);
    a_mask_through_a_link.hull_only(WHY);
    a_pid_file_is_not_written_through_the_container.hull_only(WHY);
];

fn canary(site: &Site) -> PathBuf {
    let dir = site.path().join("canary");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("file"), "untouched").expect("write");
    dir
}

#[track_caller]
fn untouched(canary: &Path, out: &Out) {
    let names: Vec<_> = fs::read_dir(canary).expect("canary").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["file"], "something was made on the host: {out:?}");
    assert_eq!(read(canary.join("file")), "untouched", "{out:?}");
    let mode = fs::metadata(canary).expect("metadata").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o755, "{out:?}");
}

/// A sentence, no panic.
#[track_caller]
fn refused(site: &Site, out: &Out) {
    assert!(out.code != 0 && out.code < 128, "{out:?}");
    assert!(!out.stderr.is_empty() && !out.stderr.contains("panicked"), "{out:?}");
    assert_eq!(site.status(), "");
}

fn hash() -> String {
    let out = Command::new("sha256sum").arg(hull_binary()).output().expect("sha256sum");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// CVE-2019-5736: a process inside writes to `/proc/PID/exe` of the runtime that enters.
fn the_binary_cannot_be_written_from_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    let before = hash();
    let script = "while :; do for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) continue;; esac; (echo x >> $p/exe) 2>/dev/null && echo $p >> /hit; done; done";
    site.args(&["sh", "-c", script]);
    site.up();
    for _ in 0..15 {
        site.exec(&[], &["true"]).ok();
        site.exec(&[], &["/proc/self/exe"]);
    }
    site.verb("delete", &["--force"]).ok();
    assert_eq!(hash(), before);
}

fn an_entry_point_that_is_the_runtime_itself(rt: Runtime) {
    let mut site = Site::new(rt);
    let before = hash();
    let evil = site.rootfs().join("evil");
    fs::write(&evil, "#!/proc/self/exe\n").expect("write");
    fs::set_permissions(&evil, PermissionsExt::from_mode(0o755)).expect("chmod");
    // It runs inside, as anybody's program would, and knows nothing to do there.
    for (entry, code, said) in
        [("/evil", 125, "unknown command"), ("/proc/self/exe", 0, "Usage"), ("/proc/1/exe", 0, "Usage")]
    {
        let out = site.args(&[entry]).run(&[]);
        assert!(out.code == code && (out.stdout + &out.stderr).contains(said), "{entry}");
    }
    site.args(&["sleep", "1000"]);
    site.up();
    site.exec(&[], &["/evil"]);
    assert_eq!(hash(), before);
}

/// Descriptors of the host's directories are open in the runtime, as they were in those that leaked.
fn with_open_directories(site: &mut Site) {
    site.wrapper = ["sh", "-c", "exec 7</ 8</etc 9</sys/fs/cgroup; exec \"$@\"", "sh"].map(str::to_owned).into();
}

/// In hull's words, or in runc's.
fn names_the_directory(out: &Out) -> bool {
    ["working directory", "chdir to cwd"].iter().any(|words| out.stderr.contains(words))
}

/// CVE-2024-21626.
fn a_working_directory_through_a_descriptor(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    with_open_directories(&mut site);
    symlink("/proc/self/fd/8", site.rootfs().join("link")).expect("symlink");
    let script = format!(
        "for up in . .. ../.. ../../.. ../../../..; do cat $up{}/file; done 2>/dev/null; echo done",
        canary.display()
    );
    site.args(&["sh", "-c", &script]);
    for n in 3..20 {
        site.config["process"]["cwd"] = json!(format!("/proc/self/fd/{n}"));
        let out = site.run(&[]);
        refused(&site, &out);
        assert!(out.stdout.is_empty() && names_the_directory(&out), "{n}: {out:?}");
    }
    for cwd in ["/link", "/proc/1/cwd", "/proc/self/root/../.."] {
        site.config["process"]["cwd"] = json!(cwd);
        let out = site.run(&[]);
        refused(&site, &out);
        assert_eq!(out.stdout, "", "{cwd}: {out:?}");
    }
}

fn an_exec_with_a_working_directory_through_a_descriptor(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    site.up();
    with_open_directories(&mut site);
    let script = format!(
        "for up in . .. ../.. ../../.. ../../../..; do cat $up{}/file; done 2>/dev/null; echo done",
        canary.display()
    );
    for n in 3..20 {
        let out = site.exec(&["--cwd", &format!("/proc/self/fd/{n}")], &["/bin/sh", "-c", &script]);
        assert_eq!((out.code, out.stdout.as_str()), (255, ""), "{n}: {out:?}");
        assert!(names_the_directory(&out), "{n}: {out:?}");
    }
}

/// The image has its own `/dev`, with no file system over it.
fn without_dev(site: &mut Site) {
    site.mounts().retain(|m| !m["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
}

/// CVE-2025-31133: what masks is bound from `/dev/null` of the image.
fn dev_null_that_is_a_link_while_masking(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    let pattern = read("/proc/sys/kernel/core_pattern");
    without_dev(&mut site);
    for target in
        ["/proc/sys/kernel/core_pattern".to_owned(), "/etc/passwd".into(), format!("{}/file", canary.display())]
    {
        let null = site.rootfs().join("dev/null");
        let _ = fs::remove_file(&null);
        symlink(&target, &null).expect("symlink");
        site.config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/sysrq-trigger"]);
        site.config["linux"]["readonlyPaths"] = json!([]);
        let out = site
            .args(&["sh", "-c", "cat /proc/keys | head -c 100; (echo hacked > /proc/sysrq-trigger) 2>/dev/null; true"])
            .run(&[]);
        refused(&site, &out);
        assert!(out.stderr.contains("/dev/null"), "{target}: {out:?}");
        assert_eq!(read("/proc/sys/kernel/core_pattern"), pattern);
        untouched(&canary, &out);
        assert!(!read(site.rootfs().join("etc/passwd")).contains("hacked"));
    }
}

/// CVE-2025-52565: the console is bound over a link of the image.
fn a_console_that_is_a_link(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    site.mounts().retain(|m| m["destination"] != "/dev");
    for target in ["/proc/sys/kernel/core_pattern".to_owned(), format!("{}/file", canary.display()), "pts/0".into()] {
        let console = site.rootfs().join("dev/console");
        let _ = fs::remove_file(&console);
        symlink(&target, &console).expect("symlink");
        site.config["process"]["terminal"] = json!(true);
        let listener = site.listen("console");
        let socket = listener.path();
        let pattern = read("/proc/sys/kernel/core_pattern");
        site.args(&["sh", "-c", "echo hacked > /dev/console; sleep 1000"]);
        let out = site.run(&["-d", "--console-socket", &socket]);
        refused(&site, &out);
        assert!(out.stderr.contains("/dev/console"), "{target}: {out:?}");
        drop(std::os::unix::net::UnixStream::connect(&socket));
        assert_eq!(read("/proc/sys/kernel/core_pattern"), pattern, "{target}");
        untouched(&canary, &out);
        site.verb("delete", &["--force"]).ok();
        fs::remove_file(socket).expect("rm");
    }
}

/// CVE-2025-52881: writes to procfs land in what the bundle put in its place.
fn a_proc_that_is_made_up_does_not_redirect_writes(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    let fake = site.path().join("fake");
    for dir in ["sys/net/ipv4", "self/attr", "self/fd", "1"] {
        fs::create_dir_all(fake.join(dir)).expect("mkdir");
    }
    symlink(canary.join("file"), fake.join("sys/net/ipv4/ip_forward")).expect("symlink");
    symlink(canary.join("file"), fake.join("self/oom_score_adj")).expect("symlink");
    site.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    site.config["process"]["oomScoreAdj"] = json!(100);
    site.config["linux"]["maskedPaths"] = json!([]);
    site.config["linux"]["readonlyPaths"] = json!([]);
    for mount in [
        json!({ "destination": "/proc", "type": "bind", "source": fake, "options": ["bind"] }),
        json!({ "destination": "/proc", "type": "tmpfs", "source": "tmpfs", "options": [] }),
    ] {
        site.mounts().retain(|m| m["destination"] != "/proc");
        site.mounts().push(mount);
        let out = site.args(&["true"]).run(&[]);
        refused(&site, &out);
        untouched(&canary, &out);
    }
}

/// CVE-2021-30465, CVE-2024-45310: another container exchanges a directory with a link while mounts are made.
fn targets_that_are_exchanged_while_mounting(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    let (volume, source) = (site.path().join("volume"), site.path().join("source"));
    fs::create_dir_all(volume.join("target")).expect("mkdir");
    fs::create_dir(&source).expect("mkdir");
    symlink(&canary, volume.join("link")).expect("symlink");
    site.mounts().push(json!({ "destination": "/volume", "type": "bind", "source": volume, "options": ["bind"] }));
    site.mounts()
        .push(json!({ "destination": "/volume/target/made", "type": "bind", "source": source, "options": ["bind"] }));
    site.mounts()
        .push(json!({ "destination": "/volume/target/scratch", "type": "tmpfs", "source": "tmpfs", "options": [] }));
    site.config["linux"]["maskedPaths"] = json!(["/volume/target/masked"]);
    site.config["linux"]["readonlyPaths"] = json!(["/volume/target"]);
    // What is mounted from the canary itself, and not from the image's directory of its name.
    let script = format!("awk '$4 == \"{}\"' /proc/self/mountinfo", canary.display());
    site.args(&["sh", "-c", &script]);
    let _exchanging = Exchanging::new(&volume);
    for _ in 0..40 {
        let out = site.run(&[]);
        assert_eq!(out.stdout, "", "{out:?}");
        untouched(&canary, &out);
    }
}

/// `target` and `link` of a directory change places all the time, until it is dropped.
struct Exchanging(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Exchanging {
    fn new(directory: &Path) -> Self {
        let dir = fs::File::open(directory).expect("open");
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(&dir, "target", &dir, "link", rustix::fs::RenameFlags::EXCHANGE);
            }
        });
        Self(end, Some(thread))
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        drop(self.1.take().map(JoinHandle::join));
    }
}

/// CVE-2019-19921 and kin.
fn proc_sys_or_dev_that_is_a_link(rt: Runtime) {
    for name in ["proc", "sys"] {
        let mut site = Site::new(rt);
        let canary = canary(&site);
        for target in [canary.to_string_lossy().into_owned(), "/tmp".into(), "../../../../../..".into()] {
            let place = site.rootfs().join(name);
            let _ = fs::remove_dir(&place);
            let _ = fs::remove_file(&place);
            symlink(&target, &place).expect("symlink");
            let out = site.args(&["true"]).run(&[]);
            untouched(&canary, &out);
            refused(&site, &out);
            assert!(out.stderr.contains(&format!("/{name}")), "{out:?}");
        }
    }
}

/// CVE-2026-41579.
fn a_dev_that_leads_out_of_the_image(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    for own_mount in [true, false] {
        if !own_mount {
            without_dev(&mut site);
        }
        for target in [canary.to_string_lossy().into_owned(), format!("../../../../../../..{}", canary.display())] {
            let place = site.rootfs().join("dev");
            let _ = fs::remove_dir_all(&place);
            let _ = fs::remove_file(&place);
            symlink(&target, &place).expect("symlink");
            let out = site.args(&["true"]).run(&[]);
            refused(&site, &out);
            assert!(out.stderr.contains("/dev"), "{out:?}");
            untouched(&canary, &out);
        }
    }
}

fn a_root_that_is_a_link_out_of_the_bundle_is_what_it_says(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    // The bundle is the caller's word, not the image's: it may lead elsewhere, but nothing is made where it leads to nothing.
    symlink(canary.join("missing"), site.bundle().join("link")).expect("symlink");
    site.config["root"]["path"] = json!("link");
    let out = site.create(&[]);
    refused(&site, &out);
    untouched(&canary, &out);
}

/// CVE-2026-30892 of crun: a user that is read wrongly is root.
fn users_of_exec_that_look_like_numbers(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    site.up();
    let id = ["/bin/sh", "-c", "echo $(id -u):$(id -g)"];
    for (user, seen) in [("1", "1:"), ("1:1", "1:1"), ("0", "0:"), ("1234", "1234:"), ("4294967294:7", "4294967294:7")]
    {
        let out = site.exec(&["--user", user], &id);
        assert!(out.code == 0 && out.stdout.starts_with(seen), "{user}: {out:?}");
    }
    for user in [
        "4294967295",
        "4294967296",
        "-1",
        "-0",
        "1x",
        "0x0",
        " 0",
        "0 ",
        "1:",
        ":1",
        ":",
        "1:-1",
        "1:4294967295",
        "app",
        "1:app",
        "1e3",
        "18446744073709551616",
    ] {
        let out = site.exec(&["--user", user], &id);
        assert!(out.code != 0 && out.stdout.is_empty(), "{user:?}: {out:?}");
    }
    let out = site.exec(&["--user", ""], &id);
    assert_eq!((out.code, out.stdout.as_str()), (0, "1000:1000\n"), "{out:?}");
}

/// CVE-2022-24769 and kin.
fn inheritable_capabilities_are_empty(rt: Runtime) {
    let mut site = Site::new(rt);
    // The caller has some.
    site.wrapper = ["setpriv", "--inh-caps", "+chown,+kill,+net_raw"].map(str::to_owned).into();
    let inheritable = "grep -E 'CapInh|CapAmb' /proc/self/status | cut -f2 | sort -u";
    assert_eq!(site.sh(inheritable), "0000000000000000");
    site.up();
    assert_eq!(site.exec_sh(&[], inheritable), "0000000000000000");
    assert_eq!(site.exec_sh(&["--user", "1000:1000"], inheritable), "0000000000000000");
}

/// CVE-2022-36109 and kin.
fn groups_of_the_caller_do_not_arrive(rt: Runtime) {
    let mut site = Site::new(rt);
    site.wrapper = ["setpriv", "--groups", "4,27,999"].map(str::to_owned).into();
    let groups = "grep ^Groups /proc/self/status | tr -d '\\t '";
    assert_eq!(site.sh(groups), "Groups:");
    site.up();
    assert_eq!(site.exec_sh(&[], groups), "Groups:");
    assert_eq!(site.exec_sh(&["--user", "1000:1000"], groups).trim_end_matches("1000"), "Groups:");
}

fn files_of_the_kernel_cannot_be_written(rt: Runtime) {
    let mut site = Site::new(rt);
    site.mounts().push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"] }));
    let before = read("/proc/sys/kernel/core_pattern");
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/kernel/modprobe \
            /sys/fs/cgroup/*/release_agent /proc/sys/vm/panic_on_oom /sys/module/*/parameters/*; do
            test -e $f && (echo hacked > $f) 2>/dev/null && echo written $f; done
        mount -t cgroup -o pids x /mnt 2>/dev/null && echo mounted; mount -t proc x /tmp 2>/dev/null && echo mounted
        mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; umount /proc/keys 2>/dev/null && echo unmounted
        mknod /disk b 254 0 2>/dev/null && echo made; unshare -m true 2>/dev/null && echo unshared; echo done";
    assert_eq!(site.sh(script), "done");
    assert_eq!(read("/proc/sys/kernel/core_pattern"), before);
}

fn a_configuration_without_end(rt: Runtime) {
    let site = Site::new(rt);
    let bundle = site.bundle().to_string_lossy().into_owned();
    let deep = format!("{{\"ociVersion\":\"1.0.2\",\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let long = format!(
        "{{\"ociVersion\":\"1.0.2\",\"process\":{{\"cwd\":\"/\",\"args\":[\"{}\"]}},\"root\":{{\"path\":\"rootfs\"}}}}",
        "x".repeat(20 << 20)
    );
    for text in [deep, long] {
        fs::write(site.bundle().join("config.json"), text).expect("write");
        let out = site.oci(&["create", "--bundle", &bundle, &site.id]);
        refused(&site, &out);
        assert!(out.stderr.len() < 16 << 10, "{} bytes", out.stderr.len());
    }
}

fn strings_that_are_none_for_the_kernel(rt: Runtime) {
    let mut site = Site::new(rt);
    let usual = site.config.clone();
    let changes: [(&str, Value); 12] = [
        ("/process/args/0", json!("a\0b")),
        ("/process/env/0", json!("A=\0")),
        ("/process/cwd", json!("/a\0b")),
        ("/process/user/uid", json!(-1)),
        ("/process/user/uid", json!(4294967296u64)),
        ("/process/user/uid", json!(4294967295u64)),
        ("/process/user/gid", json!(4294967295u64)),
        ("/root/path", json!("root\0fs")),
        ("/root/path", json!("")),
        ("/mounts/0/destination", json!("/a\0b")),
        ("/mounts/0/destination", json!("")),
        ("/linux/cgroupsPath", json!("/a\0b")),
    ];
    for (pointer, value) in changes {
        site.config = usual.clone();
        *site.config.pointer_mut(pointer).expect("a field") = value.clone();
        let out = site.create(&[]);
        assert!(out.code != 0, "{pointer} {value}: {out:?}");
        refused(&site, &out);
    }
    site.config = usual;
    site.config["hostname"] = json!("x".repeat(1000));
    let out = site.create(&[]);
    refused(&site, &out);
}

fn an_image_with_a_passwd_that_is_a_pipe(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["env"] = json!(["PATH=/bin"]);
    let passwd = site.rootfs().join("etc/passwd");
    fs::remove_file(&passwd).expect("rm");
    Command::new("mkfifo").arg(&passwd).status().expect("mkfifo");
    assert_eq!(site.args(&["echo", "fine"]).run(&[]).ok(), "fine");
    fs::remove_file(&passwd).expect("rm");
    symlink("/dev/zero", &passwd).expect("symlink");
    assert_eq!(site.run(&[]).ok(), "fine");
}

fn a_cgroup_path_with_dots_and_newlines(rt: Runtime) {
    let mut site = Site::new(rt);
    let id = site.id.clone();
    for path in [
        format!("/../../../../tmp/{id}"),
        format!("/{id}/../../.."),
        format!("/{id}\n/x"),
        format!("../../{id}"),
        "/".into(),
        "/.".into(),
        "..".into(),
    ] {
        site.config["linux"]["cgroupsPath"] = json!(path);
        let out = site.create(&[]);
        refused(&site, &out);
        assert!(site.cgroups().is_empty(), "{path:?}: {out:?}");
    }
}

fn an_id_cannot_leave_the_root_by_any_verb(rt: Runtime) {
    let site = Site::new(rt);
    let canary = canary(&site);
    fs::create_dir_all(site.root()).expect("mkdir");
    for id in ["../canary", "..", ".", "../../", "canary/../../canary", "a\nb", "-"] {
        for verb in ["start", "state", "kill", "pause", "resume", "ps"] {
            assert_ne!(site.oci(&[verb, "--", id]).code, 0, "{verb} {id:?}");
        }
        let out = site.oci(&["delete", "--force", "--", id]);
        untouched(&canary, &out);
    }
}

fn a_mask_through_a_link(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    symlink(&canary, site.rootfs().join("out")).expect("symlink");
    site.config["linux"]["maskedPaths"] = json!(["/out/file", "/out"]);
    site.config["linux"]["readonlyPaths"] = json!(["/out/file", "/out"]);
    let out = site.args(&["true"]).run(&[]);
    assert_eq!(out.code, 0, "{out:?}");
    untouched(&canary, &out);
}

fn a_pid_file_is_not_written_through_the_container(rt: Runtime) {
    let mut site = Site::new(rt);
    let canary = canary(&site);
    // A link where the file is to be is replaced, not followed: whoever placed it there gets nothing written.
    let place = site.path().join("pid");
    symlink(canary.join("file"), &place).expect("symlink");
    let out = site.args(&["sleep", "1000"]).create(&["--pid-file", &place.to_string_lossy()]);
    untouched(&canary, &out);
    assert_eq!((out.code, read(&place)), (0, site.pid().to_string()), "{out:?}");
}
