//! What a hostile image or container tries. Each test makes the attempt; the host's census at the end of
//! each shows that nothing moved.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use hull_testkit::{Host, hull_binary, run};

/// Imports busybox with changes made to its tree.
fn image(host: &Host, name: &str, change: impl Fn(&PathBuf)) {
    let tree = host.path().join(format!("tree-{name}"));
    fs::create_dir_all(&tree).expect("mkdir");
    run(Command::new("tar").arg("-C").arg(&tree).arg("-xf").arg(hull_testkit::busybox_tar()), b"").ok();
    change(&tree);
    let tar = host.path().join(format!("{name}.tar"));
    run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(&tree).arg("-cf").arg(&tar).arg("."), b"").ok();
    host.hull(&["import", &tar.to_string_lossy(), name]).ok();
}

#[test]
fn cve_2019_5736_the_binary_cannot_be_written_through_proc_self_exe() {
    let host = Host::new();
    let before = fs::read(hull_binary()).expect("the binary");
    let out = host.hull(&["run", "--rm", "-v", "/proc/self/exe:/x", "busybox", "true"]);
    drop(out);
    let script = "#!/proc/self/exe\n";
    image(&host, "selfexe", |tree| {
        fs::write(tree.join("entry"), script).expect("write");
        run(Command::new("chmod").arg("755").arg(tree.join("entry")), b"").ok();
    });
    host.hull(&["run", "--rm", "selfexe", "/entry"]);
    let loops = "i=0; while [ $i -lt 3000 ]; do for p in /proc/[0-9]*; do (echo bad > $p/exe) 2>/dev/null; done; i=$((i+1)); [ $i -gt 40 ] && break; done; true";
    let id = host.hull(&["run", "-d", "--cap-add=ALL", "busybox", "sh", "-c", loops]).ok();
    for _ in 0..20 {
        host.hull(&["exec", &id, "true"]);
    }
    assert!(fs::read(hull_binary()).expect("the binary") == before, "the binary was changed");
}

#[test]
fn cve_2024_21626_no_descriptor_leads_out() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    for fd in 3..40 {
        for out in [
            host.hull(&[
                "run",
                "--rm",
                "-w",
                &format!("/proc/self/fd/{fd}"),
                "busybox",
                "ls",
                "../../../../etc/os-release",
            ]),
            host.hull(&["exec", "-w", &format!("/proc/self/fd/{fd}"), &id, "ls", "../../../../etc/os-release"]),
        ] {
            assert_ne!(out.code, 0, "fd {fd} led to the host: {}", out.stdout);
        }
    }
    let open = host.sh(&[], "ls -l /proc/self/fd | grep -v -- '-> /proc' | grep -c -- '->'");
    assert_eq!(open, "3", "a container starts with 0, 1 and 2");
}

#[test]
fn cve_2025_31133_dev_null_of_the_image_is_not_believed() {
    let host = Host::new();
    image(&host, "evilnull", |tree| {
        let _ = fs::remove_file(tree.join("dev/null"));
        symlink("/proc/sys/kernel/core_pattern", tree.join("dev/null")).expect("symlink");
    });
    let before = fs::read("/proc/sys/kernel/core_pattern").expect("core_pattern");
    let seen = host
        .hull(&[
            "run",
            "--rm",
            "evilnull",
            "sh",
            "-c",
            "stat -c %t:%T /dev/null; cat /proc/kcore | wc -c; (echo x > /proc/sys/kernel/core_pattern) 2>&1; true",
        ])
        .ok();
    assert!(seen.starts_with("1:3\n0\n"), "{seen}");
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").expect("core_pattern"), before);
}

#[test]
fn cve_2019_19921_system_directories_that_are_links_are_refused_or_confined() {
    let host = Host::new();
    let canary = host.path().join("canary");
    fs::create_dir_all(&canary).expect("mkdir");
    for dir in ["proc", "sys", "dev"] {
        image(&host, &format!("link{dir}"), |tree| {
            fs::remove_dir_all(tree.join(dir)).expect("rmdir");
            symlink(&canary, tree.join(dir)).expect("symlink");
        });
        let out = host.hull(&["run", "--rm", &format!("link{dir}"), "true"]);
        if out.code != 0 {
            assert!(out.stderr.contains(&format!("/{dir}")), "{dir}: {}", out.stderr);
        }
        assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0, "{dir}: something was made on the host");
    }
}

#[test]
fn mount_points_are_made_in_the_container_only() {
    let host = Host::new();
    let canary = host.path().join("outside");
    fs::create_dir_all(&canary).expect("mkdir");
    image(&host, "climb", |tree| {
        symlink("../../../../../../../..", tree.join("up")).expect("symlink");
        symlink(&canary, tree.join("out")).expect("symlink");
    });
    let dir = host.path().to_string_lossy().into_owned();
    let name = canary.file_name().expect("a name").to_string_lossy().into_owned();
    for target in
        [format!("/up{dir}/{name}/made"), "/out/made".to_string(), format!("/proc/self/root/up{dir}/{name}/made")]
    {
        host.hull(&["run", "--rm", "--tmpfs", &target, "climb", "true"]);
        host.hull(&["run", "--rm", "-v", &format!("/tmp:{target}"), "climb", "true"]);
    }
    assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0);
}

#[test]
fn kernel_knobs_cannot_be_written() {
    let host = Host::new();
    let probe = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/vm/overcommit_memory; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; find /sys/fs/cgroup -name release_agent | while read f; do (echo /x > $f) 2>/dev/null && echo wrote $f; done; true";
    assert_eq!(host.sh(&[], probe), "");
}

#[test]
fn dangerous_system_calls_are_denied() {
    let host = Host::new();
    // keyctl, bpf, open_by_handle_at, AF_ALG and AF_VSOCK sockets, by number; python of the machine's twin makes them.
    let program = "import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\nfor name, args in [('keyctl', (250, 0, 0, 0, 0, 0)), ('bpf', (321, 0, 0, 0)), ('handle', (304, 0, 0, 0)), ('alg', (41, 38, 5, 0)), ('vsock', (41, 40, 1, 0)), ('userns', (272, 0x10000000))]:\n    r = l.syscall(*args)\n    print(name, r, ctypes.get_errno())\n";
    if !PathBuf::from("/usr/bin/python3").exists() {
        panic!("python3 is needed: cargo xtask test installs it");
    }
    let seen = host.hull(&["run", "--rm", "hull/host", "/usr/bin/python3", "-c", program]).ok();
    for line in seen.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[1], "-1", "{line}");
        assert!(["1", "38", "97", "22"].contains(&words[2]), "{line}");
    }
    assert_eq!(seen.lines().filter(|l| l.ends_with(" 1")).count(), 6, "each is denied with EPERM:\n{seen}");
}

#[test]
fn hostile_passwd_files_do_not_hang_or_promote() {
    let host = Host::new();
    image(&host, "fifo", |tree| {
        fs::remove_file(tree.join("etc/passwd")).expect("rm");
        run(Command::new("mkfifo").arg(tree.join("etc/passwd")), b"").ok();
    });
    assert_ne!(host.hull(&["run", "--rm", "-u", "app", "fifo", "id", "-u"]).code, 0);
    image(&host, "link", |tree| {
        fs::remove_file(tree.join("etc/passwd")).expect("rm");
        symlink("/proc/self/environ", tree.join("etc/passwd")).expect("symlink");
    });
    assert_ne!(host.hull(&["run", "--rm", "-u", "app", "link", "id", "-u"]).code, 0);
}

#[test]
fn masking_uses_a_verified_null_device_while_mounts_are_swapped() {
    let host = Host::new();
    let shared = host.path().join("shared");
    fs::create_dir_all(shared.join("a")).expect("mkdir");
    let canary = host.path().join("never");
    fs::create_dir_all(&canary).expect("mkdir");
    symlink(&canary, shared.join("b")).expect("symlink");
    let swap =
        "while :; do mv -T /s/a /s/t 2>/dev/null; mv -T /s/b /s/a 2>/dev/null; mv -T /s/t /s/b 2>/dev/null; done";
    let id = host.hull(&["run", "-d", "-v", &format!("{}:/s", shared.display()), "busybox", "sh", "-c", swap]).ok();
    for _ in 0..25 {
        host.hull(&[
            "run",
            "--rm",
            "-v",
            &format!("{}:/s", shared.display()),
            "--tmpfs",
            "/s/a/deep",
            "busybox",
            "true",
        ]);
    }
    host.hull(&["rm", "-f", &id]).ok();
    assert_eq!(fs::read_dir(&canary).expect("canary").count(), 0);
}
