//! Hostile bundles beside those of `hostile`, and faults of the machine: full and failing disks, no descriptors,
//! damaged records, a restart of the machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Census, Host, Inject, Out, Settings, busybox_tar, eventually, on_v2, run};

/// Imports busybox with changes made to its tree.
fn image(host: &Host, name: &str, change: impl Fn(&Path)) {
    let tree: PathBuf = host.path().join(format!("tree-{name}"));
    fs::create_dir_all(&tree).expect("mkdir");
    run(Command::new("tar").arg("-C").arg(&tree).arg("-xf").arg(busybox_tar()), b"").ok();
    change(&tree);
    let tar = host.path().join(format!("{name}.tar"));
    run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(&tree).arg("-cf").arg(&tar).arg("."), b"").ok();
    host.hull(&["import", &tar.to_string_lossy(), name]).ok();
}

/// A directory with one file, to be found unchanged.
fn canary(host: &Host) -> PathBuf {
    let dir = host.path().join("canary");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("file"), "untouched").expect("write");
    dir
}

#[track_caller]
fn assert_untouched(canary: &Path) {
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    let names: Vec<_> = fs::read_dir(canary).expect("canary").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["file"], "something was made on the host");
    assert_eq!(fs::read_to_string(canary.join("file")).expect("read"), "untouched");
    assert_eq!((mode(canary), mode(&canary.join("file"))), (0o755, 0o644));
}

#[test]
fn cve_2025_52565_a_console_that_is_a_link_leads_nowhere() {
    let host = Host::new();
    let canary = canary(&host);
    let target = canary.join("file");
    let links = |dev: &Path| {
        fs::create_dir_all(dev.join("pts")).expect("mkdir");
        for name in ["console", "ptmx", "tty", "null", "pts/ptmx", "pts/0"] {
            let _ = fs::remove_file(dev.join(name));
            symlink(&target, dev.join(name)).expect("symlink");
        }
    };
    image(&host, "console", |tree| links(&tree.join("dev")));
    let seen =
        host.hull(&["run", "--rm", "-t", "console", "sh", "-c", "stat -c %F:%t /dev/console /dev/null; tty"]).ok();
    assert!(seen.starts_with("character special file:88"), "{seen}");
    assert!(seen.contains("character special file:1") && seen.contains("/dev/"), "{seen}");
    // A volume over /dev brings links of its own.
    let own = host.path().join("own-dev");
    links(&own);
    for flags in [&["-t"][..], &[][..]] {
        let bind = format!("{}:/dev", own.display());
        let mut args = vec!["run", "--rm", "-v", &bind];
        args.extend(flags);
        args.extend(["busybox", "true"]);
        host.hull(&args);
    }
    assert_untouched(&canary);
}

#[test]
fn cve_2025_52881_nothing_is_mounted_where_labels_and_sysctls_are_written() {
    let host = Host::new();
    let canary = canary(&host);
    let source = canary.to_string_lossy().into_owned();
    for target in ["/proc", "/proc/sys", "/proc/sys/net/ipv4", "/proc/self/attr", "/proc/1/attr", "/proc/thread-self"] {
        for flags in [["-v".to_owned(), format!("{source}:{target}")], ["--tmpfs".to_owned(), target.to_owned()]] {
            let out = host.hull(&[
                "run",
                "--rm",
                "--sysctl",
                "net.ipv4.ip_forward=1",
                &flags[0],
                &flags[1],
                "busybox",
                "true",
            ]);
            assert!(out.code == 125 && out.stderr.contains("/proc"), "{flags:?}: {out:?}");
        }
    }
    // The same by a link of the image, and by `..`.
    image(&host, "prolink", |tree| {
        symlink("/proc", tree.join("p")).expect("symlink");
        symlink("proc/sys", tree.join("s")).expect("symlink");
    });
    for target in ["/p/sys", "/s/net/ipv4", "/tmp/../proc/sys", "/p/self/attr"] {
        let script = "cat /proc/sys/net/ipv4/ip_forward";
        let out = host.hull(&[
            "run",
            "--rm",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "-v",
            &format!("{source}:{target}"),
            "prolink",
            "sh",
            "-c",
            script,
        ]);
        assert!(out.code != 0, "{target} was covered: {out:?}");
    }
    assert_untouched(&canary);
    let seen = host.sh(&["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward");
    assert_eq!(seen, "1", "the write goes to the kernel");
}

#[test]
fn cve_2023_25809_no_cgroup_can_be_made_or_changed() {
    let host = Host::new();
    let probe = "for d in $(find /sys/fs/cgroup -maxdepth 2 -type d); do mkdir $d/evil 2>/dev/null && echo made $d; (echo 0 > $d/cgroup.procs) 2>/dev/null && echo joined $d; done; true";
    for flags in [&[][..], &["--cgroupns=host"], &["--cgroupns=private"], &["--userns=auto"], &["--cap-add=ALL"]] {
        assert_eq!(host.sh(flags, probe), "", "{flags:?}");
    }
    // Not even after remounting what can be remounted.
    let remount = format!(
        "mount -o remount,rw /sys/fs/cgroup 2>/dev/null; for m in $(cut -d' ' -f5 /proc/self/mountinfo | grep ^/sys); do mount -o remount,bind,rw $m 2>/dev/null; done; {probe}"
    );
    for flags in [&[][..], &["--userns=auto"]] {
        assert_eq!(host.sh(flags, &remount), "", "{flags:?}");
    }
}

/// A block device of this machine, as (major, minor).
fn host_disk() -> Option<(String, String)> {
    let number = |path: &Path| fs::read_to_string(path.join("dev")).ok();
    let disks = fs::read_dir("/sys/block").ok()?.flatten().map(|e| e.path());
    let text = disks.filter(|p| !p.ends_with("ram0")).find_map(|p| number(&p))?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.to_owned(), minor.to_owned()))
}

#[test]
fn a_disk_of_the_host_cannot_be_opened_through_a_node() {
    let host = Host::new();
    let Some((major, minor)) = host_disk() else { return };
    let probe = format!(
        "mknod /d b {major} {minor} 2>/dev/null; (head -c 1 /d >/dev/null) 2>&1; mknod /tmp/m c 1 1 2>/dev/null; (head -c 1 /tmp/m > /dev/null) 2>&1; true"
    );
    let flags: [&[&str]; 5] =
        [&[], &["--cap-add=ALL"], &["--userns=auto"], &["-v", "/data"], &["--device-cgroup-rule", "c 1:3 rwm"]];
    for flags in flags {
        let seen = host.sh(flags, &probe);
        let denied = seen.matches("not permitted").count()
            + seen.matches("denied").count()
            + seen.matches("No such file").count();
        assert_eq!((denied, seen.lines().count()), (2, 2), "{flags:?}: {seen}");
    }
    // A node that came with the image is no better.
    image(&host, "node", |tree| {
        run(Command::new("mknod").arg(tree.join("disk")).args(["b", &major, &minor]), b"").ok();
    });
    let seen = host.hull(&["run", "--rm", "node", "sh", "-c", "(head -c 1 /disk > /dev/null) 2>&1; true"]).ok();
    assert!(seen.contains("not permitted") || seen.contains("denied") || seen.contains("No such file"), "{seen}");
}

#[test]
fn ghsa_g54h_m393_a_rule_opens_one_device_and_no_other() {
    let host = Host::new();
    let probe = "mknod /mem c 1 1; mknod /kmsg c 1 11; for f in mem kmsg; do (exec 3</$f) 2>/dev/null && echo opened $f; done; true";
    for (rule, opened) in [
        ("c 1:3 r", ""),
        ("c 1:3 rwm", ""),
        ("c 1:11 r", "opened kmsg"),
        ("c 1:11 rw", "opened kmsg"),
        ("b *:* m", ""),
        ("c *:* m", ""),
    ] {
        // Reading the kernel's log takes a capability besides.
        assert_eq!(host.sh(&["--cap-add=SYSLOG", "--device-cgroup-rule", rule], probe), opened, "{rule}");
    }
    let id = host.sleeper(&["--cap-add=SYSLOG", "--device-cgroup-rule", "c 1:11 r"]);
    assert_eq!(host.hull(&["exec", &id, "sh", "-c", probe]).ok(), "opened kmsg", "exec is in the same group");
}

/// A program of one system call, as an ELF file: its exit code is the call's errno, 0 if it succeeded.
#[cfg(target_arch = "x86_64")]
mod one_call {
    /// 32-bit: `mov eax, number; mov ebx, argument; xor ecx, ecx; xor edx, edx; int 0x80; neg eax; mov ebx, eax; mov eax, 1; int 0x80`.
    pub fn ia32(number: u32, argument: u32) -> Vec<u8> {
        let mut code = vec![0xb8];
        code.extend(number.to_le_bytes());
        code.push(0xbb);
        code.extend(argument.to_le_bytes());
        code.extend([0x31, 0xc9, 0x31, 0xd2, 0xcd, 0x80, 0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
        let (base, head) = (0x0804_8000_u32, 52 + 32_u32);
        let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
        for word in [base + head, 52, 0, 0] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend([52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let size = head + code.len() as u32;
        for word in [1, 0, base, base, size, size, 5, 0x1000] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(code);
        elf
    }

    /// 64-bit entry, any number: `mov eax, number; mov edi, argument; xor esi, esi; xor edx, edx; syscall; neg eax; mov edi, eax; mov eax, 60; syscall`.
    pub fn amd64(number: u32, argument: u32) -> Vec<u8> {
        let mut code = vec![0xb8];
        code.extend(number.to_le_bytes());
        code.push(0xbf);
        code.extend(argument.to_le_bytes());
        code.extend([0x31, 0xf6, 0x31, 0xd2, 0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
        let (base, head) = (0x40_0000_u64, 64 + 56_u64);
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        for word in [base + head, 64, 0] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        let size = head + code.len() as u64;
        for word in [0, base, base, size, size, 0x1000] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(code);
        elf
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn other_call_tables_do_not_lead_around_the_filter() {
    const NEW_USER: u32 = 0x1000_0000;
    const X32: u32 = 0x4000_0000;
    let host = Host::new();
    let dir = host.path().join("calls");
    fs::create_dir_all(&dir).expect("mkdir");
    // Name, whether the kernel has its table at all is told by `getppid`, expected errno.
    let rows: [(&str, Vec<u8>, bool); 13] = [
        ("ia32-getppid", one_call::ia32(64, 0), true),
        ("ia32-unshare", one_call::ia32(310, NEW_USER), false),
        ("ia32-clone-newuser", one_call::ia32(120, NEW_USER), false),
        ("ia32-keyctl", one_call::ia32(288, 0), false),
        ("ia32-bpf", one_call::ia32(357, 0), false),
        ("ia32-swapoff", one_call::ia32(115, 0), false),
        ("ia32-open-by-handle", one_call::ia32(342, 0), false),
        ("ia32-vsock", one_call::ia32(359, 40), false),
        ("amd64-getppid", one_call::amd64(110, 0), true),
        ("amd64-unshare", one_call::amd64(272, NEW_USER), false),
        ("x32-unshare", one_call::amd64(X32 | 272, NEW_USER), false),
        ("x32-keyctl", one_call::amd64(X32 | 250, 0), false),
        ("beyond-the-table", one_call::amd64(0x3fff_ffff, 0), false),
    ];
    for (name, elf, _) in &rows {
        fs::write(dir.join(name), elf).expect("write");
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let id = host.sleeper(&["-v", &format!("{}:/calls:ro", dir.display())]);
    let has_ia32 = host.hull(&["exec", &id, "/calls/ia32-getppid"]).code == 0;
    for (name, _, allowed) in &rows {
        if name.starts_with("ia32") && !has_ia32 {
            continue;
        }
        let code = host.hull(&["exec", &id, &format!("/calls/{name}")]).code;
        // EPERM from the filter; ENOSYS where the kernel lacks the call.
        let expected: &[i32] = match (*allowed, name.starts_with("x32"), *name) {
            (true, ..) => &[0],
            (_, true, _) | (.., "beyond-the-table") => &[1, 38],
            _ => &[1],
        };
        assert!(expected.contains(&code), "{name}: {code}");
    }
    // Without the filter the same programs get further: the probe probes.
    let open = host.sleeper(&[
        "--security-opt",
        "seccomp=unconfined",
        "--cap-add=ALL",
        "-v",
        &format!("{}:/calls:ro", dir.display()),
    ]);
    assert_ne!(host.hull(&["exec", &open, "/calls/amd64-unshare"]).code, 1);
}

/// A sentence for a person: names the cause, no Rust, no panic.
#[track_caller]
fn assert_clear(what: &str, out: &Out, causes: &[&str]) {
    assert!(out.code != 0 && out.code < 128, "{what}: {out:?}");
    assert!(causes.iter().any(|c| out.stderr.to_lowercase().contains(c)), "{what}: {}", out.stderr);
    assert!(!out.stderr.contains("panicked") && !out.stderr.contains("Os {"), "{what}: {}", out.stderr);
}

#[test]
fn a_full_disk_fails_with_a_sentence_and_everything_else_works() {
    let host = Host::with(&Settings { root_size: Some("24m".into()), ..Settings::default() });
    let id = host.sleeper(&["--name", "there", "-v", "/data"]);
    let filler = "dd if=/dev/zero of=/data/fill bs=64k 2>&1 | grep -o 'No space left on device'; true";
    assert_eq!(host.hull(&["exec", &id, "sh", "-c", filler]).ok(), "No space left on device");
    let big = host.path().join("big.tar");
    fs::write(host.path().join("blob"), vec![7; 30 << 20]).expect("write");
    run(Command::new("tar").arg("-C").arg(host.path()).arg("-cf").arg(&big).arg("blob"), b"").ok();
    let full = &["no space left", "disk is full", "database or disk is full"];
    assert_clear("import", &host.hull(&["import", &big.to_string_lossy(), "big"]), full);
    assert_eq!(host.hull(&["images", "-q", "big"]).ok(), "", "nothing is tagged");
    let mut failed = 0;
    for n in 0..40 {
        let out = host.hull(&["create", "--name", &format!("more{n}"), "-v", "/v", "busybox", "true"]);
        if out.code != 0 {
            assert_clear("create", &out, full);
            failed += 1;
        }
    }
    let listed = host.hull(&["ps", "-aq"]).ok().lines().count();
    assert_eq!(listed, 41 - failed, "what was refused is not there, what was acknowledged is");
    let out = host.hull(&["run", "--name", "started", "busybox", "true"]);
    if out.code != 0 {
        assert_clear("run", &out, full);
    }
    assert_eq!(host.inspect("there")["State"]["Running"], true);
    host.hull(&["exec", "there", "rm", "/data/fill"]).ok();
    let ids = host.hull(&["ps", "-aq", "--filter", "status=created"]).ok();
    for id in ids.lines() {
        host.hull(&["rm", "-v", id]).ok();
    }
    assert_eq!(host.sh(&[], "echo room again"), "room again");
}

#[test]
fn a_failing_disk_fails_the_operation_and_undoes_it() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "there"]);
    let words = &["input/output error", "i/o error"];
    {
        let faults = ["fsync:error=EIO", "fdatasync:error=EIO", "syncfs:error=EIO"];
        let inject = Inject::attach(host.engine_pid(), &faults).expect("the engine lives");
        assert_clear("create", &host.hull(&["create", "--name", "not", "busybox", "true"]), words);
        assert_clear("import", &host.hull(&["import", &busybox_tar().to_string_lossy(), "not"]), words);
        host.hull(&["ps"]).ok();
        assert_eq!(host.inspect("there")["State"]["Running"], true);
        assert_eq!(host.hull(&["exec", &id, "echo", "fine"]).ok(), "fine");
        assert!(inject.count() > 0, "nothing was injected");
    }
    assert_eq!(host.hull(&["ps", "-aq", "--no-trunc"]).ok(), id, "what failed is not there");
    assert_eq!(host.hull(&["images", "-q", "not"]).ok(), "");
    host.assert_clean();
    for call in ["mkdirat", "fsconfig", "renameat", "openat"] {
        host.hull(&["create", "--name", "once", "busybox", "sleep", "1000"]).ok();
        {
            let fault = format!("{call}:error=EIO:when=1..3");
            let _inject = Inject::attach(host.engine_pid(), &[&fault]).expect("the engine lives");
            let out = host.hull(&["start", "once"]);
            if out.code != 0 {
                assert_clear(call, &out, words);
            }
            host.hull(&["ps", "-a"]).ok();
        }
        host.hull(&["rm", "-f", "once"]).ok();
        assert_eq!(host.sh(&[], "echo again"), "again", "after {call} works again");
        // What is still being removed must not meet the next fault: that is recovery's part.
        host.assert_clean();
    }
}

#[test]
fn without_descriptors_the_engine_refuses_and_recovers() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "there"]);
    host.sh(&[], "true");
    let engine = host.engine_pid().to_string();
    let open = || fs::read_dir(format!("/proc/{engine}/fd")).expect("fds").count();
    let limit = |soft: usize| {
        let arg = format!("--nofile={soft}:");
        run(Command::new("prlimit").args(["--pid", &engine, &arg]), b"").ok()
    };
    let before = hull_testkit::at_rest(open);
    for spare in [3, 6, 12] {
        limit(before + spare);
        let out = run(
            Command::new("timeout")
                .arg("100")
                .arg(hull_testkit::hull_binary())
                .args(["run", "--rm", "busybox", "true"])
                .envs(places(&host)),
            b"",
        );
        assert_ne!(out.code, 124, "{spare} descriptors left: it hangs");
        if out.code != 0 {
            assert_clear(
                &format!("{spare} descriptors left"),
                &out,
                &["too many open files", "no file descriptors available"],
            );
        }
        host.hull(&["ps"]).ok();
    }
    limit(4096);
    assert_eq!(host.engine_pid().to_string(), engine, "{}", host.log());
    assert_eq!(host.sh(&[], "echo again"), "again");
    assert_eq!(host.hull(&["exec", &id, "echo", "fine"]).ok(), "fine");
}

fn places(host: &Host) -> [(&'static str, String); 3] {
    [
        ("HULL_ROOT", host.root().display().to_string()),
        ("HULL_RUN", host.run_dir().display().to_string()),
        ("HULL_HOST", format!("unix://{}", host.socket().display())),
    ]
}

#[test]
fn the_machine_has_no_room_for_another_process() {
    let host = Host::new();
    for error in ["EAGAIN", "ENOMEM"] {
        {
            let faults = [format!("clone3:error={error}"), format!("clone:error={error}")];
            let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
            let _inject = Inject::attach(host.keeper_pid(), &faults).expect("the keeper lives");
            let out = host.hull(&["run", "--rm", "busybox", "true"]);
            assert_clear(error, &out, &["temporarily unavailable", "cannot allocate memory"]);
            host.hull(&["ps", "-a"]).ok();
        }
        assert_eq!(host.sh(&[], "echo again"), "again");
    }
}

/// Damages the database while no engine runs.
fn damage(host: &Host, file: &str, statements: &str) {
    let path = host.root().join(file);
    let connection = rusqlite::Connection::open(&path).expect("the database");
    connection.execute_batch(statements).expect("SQL");
}

#[test]
fn a_damaged_row_is_set_aside_and_named_and_the_others_load() {
    let mut host = Host::new();
    let names = ["truncated", "zeroed", "garbage", "empty", "whole"];
    let ids: Vec<String> = names.iter().map(|n| host.hull(&["create", "--name", n, "busybox", "true"]).ok()).collect();
    host.shut_down();
    let sql = format!(
        "UPDATE containers SET body = substr(body, 1, 40) WHERE key = '{}';
         UPDATE containers SET body = zeroblob(length(body)) WHERE key = '{}';
         UPDATE containers SET body = randomblob(100) WHERE key = '{}';
         UPDATE containers SET body = x'' WHERE key = '{}';
         UPDATE states SET body = 'nonsense' WHERE key = '{}';",
        ids[0], ids[1], ids[2], ids[3], ids[0]
    );
    damage(&host, "state.db", &sql);
    host.boot(&Settings::default());
    assert_eq!(host.hull(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "whole");
    for id in &ids[..4] {
        assert!(host.log().contains(id), "{id} is not named:\n{}", host.log());
    }
    assert_eq!(host.hull(&["start", "-a", "whole"]).ok(), "");
    let names_again: Vec<Out> =
        names[..4].iter().map(|n| host.hull(&["create", "--name", n, "busybox", "true"])).collect();
    assert!(names_again.iter().all(|out| out.code == 0), "their names are free: {names_again:?}");
}

#[test]
fn a_state_file_that_is_none_is_set_aside_and_the_engine_starts() {
    let mut host = Host::new();
    host.hull(&["create", "--name", "lost", "busybox", "true"]).ok();
    let file = host.root().join("state.db");
    let bytes = |n: u8| vec![n; 8192];
    let damages: [(&str, Vec<u8>); 4] = [
        ("zeroed", bytes(0)),
        ("garbage", bytes(0xa5)),
        ("empty", Vec::new()),
        ("cut short", b"SQLite format 3\0".to_vec()),
    ];
    for (what, content) in damages {
        host.shut_down();
        for tail in ["-wal", "-shm"] {
            let _ = fs::remove_file(host.root().join(format!("state.db{tail}")));
        }
        fs::write(&file, &content).expect("write");
        host.boot(&Settings::default());
        assert_eq!(host.hull(&["ps", "-aq"]).ok(), "", "{what}");
        if what != "empty" {
            assert!(host.log().contains("state.db"), "{what}: not named:\n{}", host.log());
        }
        host.hull(&["import", &busybox_tar().to_string_lossy(), "busybox"]).ok();
        assert_eq!(host.sh(&[], "echo fine"), "fine", "{what}");
    }
}

/// Another boot: the kernel says another boot id.
fn next_boot(host: &Host) -> Settings {
    let file = host.path().join("boot_id");
    fs::write(&file, "12345678-9abc-4def-8123-456789abcdef\n").expect("write");
    Settings {
        setup: format!("mount --bind {} /proc/sys/kernel/random/boot_id", file.display()),
        ..Settings::default()
    }
}

#[test]
fn after_a_power_cut_containers_are_known_and_only_those_that_should_start_do() {
    for stale_run in [false, true] {
        let mut host = Host::new();
        host.hull(&["run", "-d", "--name", "plain", "busybox", "sleep", "1000"]).ok();
        host.hull(&["run", "-d", "--name", "always", "--restart=always", "busybox", "sleep", "1000"]).ok();
        host.hull(&["run", "-d", "--name", "unless", "--restart=unless-stopped", "busybox", "sleep", "1000"]).ok();
        host.hull(&["run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "1000"]).ok();
        host.hull(&["create", "--name", "made", "busybox", "true"]).ok();
        host.hull(&["run", "-d", "--name", "stopped", "--restart=unless-stopped", "busybox", "sleep", "1000"]).ok();
        host.hull(&["stop", "-t", "0", "stopped"]).ok();
        host.cut_power();
        if !stale_run {
            fs::remove_dir_all(host.run_dir()).expect("rm");
            fs::create_dir_all(host.run_dir()).expect("mkdir");
        }
        host.boot(&next_boot(&host));
        let status = |name: &str| host.inspect(name)["State"]["Status"].as_str().expect("a status").to_owned();
        eventually("what is to run runs", || status("always") == "running" && status("unless") == "running");
        assert_eq!(
            (status("plain").as_str(), status("made").as_str(), status("stopped").as_str()),
            ("exited", "created", "exited")
        );
        let state = host.inspect("plain")["State"].clone();
        assert_eq!(state["Pid"], 0);
        assert!(state["Error"].as_str().is_some_and(|e| e.contains("exit code")), "it says what is not known: {state}");
        for (name, words) in [("plain", "ended while nobody watched"), ("always", "is running again")] {
            let why = host.hull(&["why", name]).ok();
            assert!(why.contains(words) && why.contains("the machine was restarted"), "{name}: {why}");
        }
        assert_ne!(host.hull(&["inspect", "brief"]).code, 0, "--rm does not outlive the boot");
        host.hull(&["start", "plain"]).ok();
        assert_eq!(host.hull(&["exec", "plain", "echo", "fine"]).ok(), "fine");
    }
}

#[test]
fn the_census_sees_a_leak() {
    // The harness itself: a cgroup below the parent, and a directory of a container, are noticed.
    let host = Host::new();
    let before = Census::take(&host);
    let stray = host.root().join("containers/stray");
    fs::create_dir(&stray).expect("mkdir");
    assert_ne!(Census::take(&host), before);
    fs::remove_dir(&stray).expect("rmdir");
    assert_eq!(Census::take(&host), before);
    let id = host.sleeper(&[]);
    assert_ne!(Census::take(&host).cgroups, before.cgroups, "{}", on_v2());
    host.hull(&["rm", "-f", &id]).ok();
}
