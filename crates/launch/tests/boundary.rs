//! What the child makes of each step, seen from inside and outside of the process.

mod common;
use common::*;

use std::io::{Read, Write};

use hull_launch::plan::*;

#[test]
fn a_container_is_pid_1_with_its_own_hostname_and_mounts() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let script = "echo $$; hostname; cat /proc/mounts | wc -l; ls /; ls /proc/self/fd";
    let mut launch = sh("c", root.path(), script);
    launch.plan.exec.candidates = vec![c"/nope/sh".into(), c"/bin/sh".into()];
    let (text, code) = keeper.output(launch);
    assert_eq!(code, 0, "{text}");
    assert_eq!(text, "1\ninside\n4\nbin\ndev\netc\nproc\nsys\ntmp\n0\n1\n2\n3\n");
}

#[test]
fn masked_and_read_only_paths() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    std::fs::create_dir(root.path().join("secret")).unwrap();
    std::fs::write(root.path().join("secret/x"), "x").unwrap();
    std::fs::create_dir_all(root.path().join("secret2/below")).unwrap();
    std::fs::write(root.path().join("file"), "content").unwrap();
    // CVE-2025-31133: the image's own null device is a link to something else.
    let script = "ls /secret /secret2; cat /file; echo x > /file; ls -l /file; \
        echo y > /proc/sys/kernel/core_pattern; cat /proc/mounts";
    let mut launch = sh("m", root.path(), script);
    before_pivot(
        &mut launch,
        vec![
            Step::MaskedPath("/secret".into()),
            Step::MaskedPath("/secret2".into()),
            Step::MaskedPath("/file".into()),
            Step::MaskedPath("/missing/file".into()),
            Step::ReadonlyPath("/proc/sys".into()),
            Step::ReadonlyPath("/missing".into()),
        ],
    );
    let (text, _) = keeper.output(launch);
    assert!(text.starts_with("/secret:\n\n/secret2:\n"), "{text}");
    assert!(!text.contains("content"), "{text}");
    assert!(text.contains("1,   3"), "{text}");
    assert!(text.contains("core_pattern: Read-only file system"), "{text}");
    assert!(text.contains("tmpfs /secret tmpfs ro,nosuid,nodev,noexec"), "{text}");
    assert_eq!(std::fs::read_to_string(root.path().join("file")).unwrap(), "content");
}

#[test]
fn links_of_the_image_never_lead_a_mount_out_of_the_root() {
    let mut keeper = Keeper::start();
    let outside = tempfile::tempdir().unwrap();
    for (name, step) in [
        ("proc", new_mount("tmpfs", "/proc/x", &[])),
        ("dev", new_mount("tmpfs", "/dev", &[])),
        ("sys", new_mount("tmpfs", "/sys/fs", &[])),
    ] {
        let root = rootfs();
        std::fs::remove_dir(root.path().join(name)).unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join(name)).unwrap();
        let mut launch = sh(name, root.path(), "true");
        launch.plan.steps.retain(|s| !matches!(s, Step::NewMount { .. } | Step::Device { .. } | Step::Symlink { .. }));
        before_pivot(&mut launch, vec![step]);
        let failure = keeper.launch(launch).err().unwrap();
        assert!(failure.call.contains("is a symbolic link in the image"), "{failure:?}");
    }
    let root = rootfs();
    std::os::unix::fs::symlink(outside.path(), root.path().join("volume")).unwrap();
    let mut launch = sh("out", root.path(), "cat /proc/mounts");
    before_pivot(&mut launch, vec![new_mount("tmpfs", "/volume/data", &[])]);
    let (text, _) = keeper.output(launch);
    let inside = format!("tmpfs {}/data tmpfs", outside.path().display());
    assert!(text.contains(&inside), "beneath the root, the link's target is made: {text}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_failing_step_names_itself() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    std::fs::write(root.path().join("plain"), "not executable").unwrap();
    let write = |name: &str, bytes: &[u8]| {
        use std::os::unix::fs::PermissionsExt;
        let path = root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("noshebang", b"#!/no/such/interpreter -x\n");
    let mut arm = vec![0u8; 300];
    arm[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
    write("arm", &arm);
    for (path, errno, head) in [
        ("/nope", 2, &b""[..]),
        ("/plain", 13, b"not executable"),
        ("/noshebang", 2, b"#!/no/such/interpreter -x\n"),
        ("/arm", 8, &arm[..]),
        ("/bin", 13, b""),
    ] {
        let launch = container("x", root.path(), &[path]);
        let failure = keeper.launch(launch).err().unwrap();
        assert_eq!((failure.step, failure.errno), (STEP_EXEC, errno), "{path}");
        let (_, got) = failure.file.as_ref().unwrap();
        assert_eq!(got.len(), head.len());
        assert_eq!(failure.file, Some((path.as_bytes().to_vec(), head.to_vec())), "{path}");
        assert_eq!(failure.call, format!("execve({path:?})"));
    }
    // A directory earlier in the search does not hide the command; a forbidden file is remembered.
    let mut launch = container("y", root.path(), &["/bin/true"]);
    launch.plan.exec.candidates = vec![c"/bin".into(), c"/plain".into(), c"/bin/true".into()];
    keeper.output(launch);
    let mut launch = container("z", root.path(), &["x"]);
    launch.plan.exec.candidates = vec![c"/plain".into(), c"/nope".into()];
    assert_eq!(keeper.launch(launch).err().unwrap().errno, 13);
    let mut launch = container("w", root.path(), &["/bin/true"]);
    let steps = launch.plan.steps.len() as u32;
    launch.step(Step::Workdir { path: "/plain".into(), create: true });
    let failure = keeper.launch(launch).err().unwrap();
    assert_eq!((failure.step, failure.errno), (steps, 20), "{failure:?}");
}

#[test]
fn a_child_killed_at_a_step_is_reported_as_that() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sh("k", root.path(), "true");
    let steps = launch.plan.steps.len() as u32;
    // A filter that kills at the next call: ld nothing, ret KILL_PROCESS.
    let kill = 0x06 | 0x8000_0000_u64 << 32;
    launch.step(Step::Seccomp { program: vec![kill], flags: 0, clock: false });
    launch.step(Step::Umask(0));
    let failure = keeper.launch(launch).err().unwrap();
    assert_eq!(failure.errno, 0);
    assert!(failure.step >= steps && failure.call == "killed by signal 31", "{failure:?}");
}

#[test]
fn the_working_directory_stays_beneath_the_root() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    std::os::unix::fs::symlink("/proc/self/fd/3", root.path().join("escape")).unwrap();
    for path in ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/cwd", "/escape", "/proc/1/root"] {
        for create in [true, false] {
            let mut launch = sh("w", root.path(), "pwd");
            launch.step(Step::Workdir { path: path.into(), create });
            let failure = keeper.launch(launch).err().unwrap();
            assert!([2, 20, 40].contains(&failure.errno), "{path}: {failure:?}");
        }
    }
    let mut launch = sh("made", root.path(), "pwd; ls -ld .");
    launch.step(Step::Workdir { path: "/a/../b/c".into(), create: true });
    let (text, _) = keeper.output(launch);
    assert!(text.starts_with("/b/c\ndrwxr-xr-x"), "{text}");
}

#[test]
fn identity_capabilities_rlimits_and_the_rest_of_the_process() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let script = "id; cat /proc/self/status; ulimit -n; umask; cat /proc/self/oom_score_adj; pwd; \
        cat /proc/sys/kernel/shm_rmid_forced; hostname -f; cat /proc/sys/kernel/domainname";
    let mut launch = sh("i", root.path(), script);
    launch.plan.steps.insert(0, Step::OomScoreAdj { value: 500, required: true });
    launch.plan.steps.insert(0, Step::Keyring);
    launch.step(Step::Sysctl { key: "kernel.shm_rmid_forced".into(), value: "1".into() });
    launch.step(Step::Domainname("example.org".into()));
    launch.step(Step::Rlimit { resource: 7, soft: 123, hard: 456, required: true });
    launch.step(Step::Umask(0o027));
    launch.step(Step::Identity { uid: 1000, gid: 1001, groups: vec![5, 7] });
    let caps = 1 << 10 | 1 << 5;
    launch.step(Step::Capabilities {
        bounding: caps,
        permitted: caps,
        effective: caps,
        inheritable: caps,
        ambient: 1 << 10,
    });
    launch.step(Step::NoNewPrivileges);
    // ret ALLOW
    launch.step(Step::Seccomp { program: vec![0x06 | 0x7fff_0000_u64 << 32], flags: 0, clock: true });
    let (text, code) = keeper.output(launch);
    assert_eq!(code, 0, "{text}");
    for wanted in [
        "uid=1000 gid=1001 groups=5,7",
        "CapInh:\t0000000000000420",
        "CapPrm:\t0000000000000400",
        "CapEff:\t0000000000000400",
        "CapBnd:\t0000000000000420",
        "CapAmb:\t0000000000000400",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "\n123\n0027\n500\n/\n1\n",
        "example.org",
    ] {
        assert!(text.contains(wanted), "{wanted:?} not in {text}");
    }
    let mut launch = sh("warn", root.path(), "true");
    launch.step(Step::Identity { uid: 1000, gid: 1000, groups: vec![] });
    launch.step(Step::Rlimit { resource: 7, soft: 1 << 40, hard: 1 << 40, required: false });
    let launched = keeper.launch(launch).unwrap();
    assert_eq!(launched.warnings.len(), 1);
    let mut launch = sh("fail", root.path(), "true");
    launch.step(Step::Rlimit { resource: 7, soft: 1 << 40, hard: 1 << 40, required: true });
    assert_eq!(keeper.launch(launch).err().unwrap().errno, 1);
    // To the kernel, 4294967295 means "leave it": it is never asked for.
    let mut launch = sh("id", root.path(), "true");
    launch.step(Step::Identity { uid: u32::MAX, gid: 0, groups: vec![] });
    assert_eq!(keeper.launch(launch).err().unwrap().errno, 22);
}

#[test]
fn a_terminal_is_the_containers_own() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    // The image tries to have the console bound elsewhere.
    let script = "tty; stty size; ls -l /dev/pts/0 /dev/console; echo console > /dev/console; \
        read line; echo got $line; exit 5";
    let mut launch = container("t", root.path(), &["/bin/sh", "-c", script]);
    before_pivot(&mut launch, vec![Step::Terminal { rows: 33, columns: 77, console: true, owner: 1000 }]);
    let launched = keeper.launch(launch).unwrap();
    let mut master = std::fs::File::from(launched.terminal.unwrap());
    master.write_all(b"hello\n").unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(keeper.code("t"), 5, "{text}");
    // The echo of what was typed may stand anywhere in between.
    assert!(text.contains("/dev/pts/0\r\n") && text.contains("33 77\r\n"), "{text}");
    assert_eq!(text.matches("1000").count(), 2, "owner of both names: {text}");
    assert!(text.contains("console\r\n"), "{text}");
    assert!(text.contains("got hello"), "{text}");
}

#[test]
fn init_reaps_forwards_and_exits_as_the_command() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let script = "echo $$ $(cat /proc/1/comm); sh -c 'sleep 0.01 & exit 0' & wait; \
        trap 'echo usr1; exit 9' USR1; echo ready; while true; do sleep 0.05; done";
    let mut launch = sh("init", root.path(), script);
    let mut reader = launch.capture();
    launch.step(Step::Init);
    let launched = keeper.launch(launch).unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("ready\n") {
        assert_eq!(reader.read(&mut byte).unwrap(), 1, "{text}");
        text.push(char::from(byte[0]));
    }
    assert_eq!(text, "2 hull-init\nready\n");
    assert_eq!(std::fs::read_dir(format!("/proc/{}/fd", launched.pid)).unwrap().count(), 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", launched.pid)).unwrap();
    assert!(!status.contains("zombie"));
    hull_sys::pidfd::send_signal(&launched.pidfd, 10).unwrap();
    assert_eq!(keeper.code("init"), 9);
    let mut launch = sh("sig", root.path(), "kill -9 $$");
    launch.step(Step::Init);
    keeper.launch(launch).unwrap();
    assert_eq!(keeper.code("sig"), 137);
    let mut launch = container("nope", root.path(), &["/nope"]);
    launch.step(Step::Init);
    let failure = keeper.launch(launch).err().unwrap();
    assert_eq!((failure.step, failure.errno), (STEP_EXEC, 2));
}

#[test]
fn a_process_enters_a_running_container() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let launched = keeper.launch(container("c", root.path(), &["/bin/sleep", "100"])).unwrap();
    let mut launch = Launch::new("exec", &["/bin/sh", "-c", "hostname; ps -o pid,comm; tty; echo $$"]);
    let pidfd = launch.slot(launched.pidfd.try_clone().unwrap());
    launch.plan.clone.join_pid = Some(pidfd);
    let namespaces = Namespaces::MOUNT.and(Namespaces::UTS).and(Namespaces::IPC).and(Namespaces::NETWORK);
    launch.step(Step::Enter { fd: pidfd, namespaces });
    launch.step(Step::Workdir { path: "/tmp".into(), create: false });
    let mut with_terminal =
        Launch { plan: launch.plan.clone(), fds: vec![launched.pidfd.try_clone().unwrap()], hold: Vec::new() };
    let mut reader = launch.capture();
    launch.plan.steps.rotate_left(1); // stdio first would name the host's null; after Enter is as good
    let failure = keeper.launch(launch).err();
    assert!(failure.is_none(), "{failure:?}");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(keeper.code("exec"), 0);
    assert!(text.starts_with("inside\n") && text.contains("1 sleep"), "{text}");
    // On the host's side it is a child of the keeper.
    with_terminal.plan.key = "tty".into();
    with_terminal.step(Step::Terminal { rows: 5, columns: 6, console: false, owner: 0 });
    let entered = keeper.launch(with_terminal).unwrap();
    let mut master = std::fs::File::from(entered.terminal.unwrap());
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("/dev/pts/0"), "{text}");
    assert_eq!(keeper.code("tty"), 0);
    // The next container still gets a pid namespace of its own.
    let (text, _) = keeper.output(sh("next", root.path(), "echo $$"));
    assert_eq!(text, "1\n");
}

#[test]
fn a_time_namespace_shifts_the_clocks() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sh("time", root.path(), "cat /proc/uptime; cat /proc/self/timens_offsets");
    let new = std::mem::take(&mut launch.plan.clone.new);
    let offset = 1_000_000_000_000_000_500;
    launch.plan.steps.splice(
        0..0,
        [
            Step::Unshare { namespaces: Namespaces::TIME },
            Step::TimeOffsets { monotonic: -5, boottime: offset },
            Step::Rebirth { new },
        ],
    );
    let (text, code) = keeper.output(launch);
    assert_eq!(code, 0, "{text}");
    let uptime: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 1e9, "{text}");
    assert!(text.contains("999999995"), "{text}");
}

#[test]
fn a_tmpfs_may_start_with_what_it_hides() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let data = root.path().join("data");
    std::fs::create_dir_all(data.join("sub")).unwrap();
    std::fs::write(data.join("sub/file"), "kept").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", data.join("link")).unwrap();
    std::os::unix::fs::chown(data.join("sub/file"), Some(7), Some(8)).unwrap();
    let mut launch = sh(
        "copy",
        root.path(),
        "cat /data/sub/file; ls -ln /data/sub/file; ls -l /data/link; echo new > /data/new; ls -ld /data",
    );
    before_pivot(
        &mut launch,
        vec![Step::TmpfsCopyUp { options: vec![], attrs: Attrs::default(), target: target("/data") }],
    );
    let (text, code) = keeper.output(launch);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("kept-rw-r--r--    1 7        8 "), "{text}");
    assert!(text.contains("/data/link -> /etc/passwd"), "{text}");
    assert!(!data.join("new").exists());
}

#[test]
fn read_only_root_and_remount() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sh("ro", root.path(), "echo x > /new; echo y > /dev/new && echo dev ok");
    let attrs = Attrs { set: 1, ..Attrs::default() };
    before_pivot(&mut launch, vec![Step::Remount { path: "/".into(), attrs }]);
    let (text, _) = keeper.output(launch);
    assert!(text.contains("can't create /new: Read-only file system"), "{text}");
    assert!(text.contains("dev ok"), "{text}");
    let mut launch = sh("notroot", root.path(), "true");
    before_pivot(&mut launch, vec![Step::Remount { path: "/tmp".into(), attrs }]);
    assert_eq!(keeper.launch(launch).err().unwrap().errno, 22);
}

#[test]
fn v1_tasks_are_joined_by_writing_zero() {
    let path = std::path::Path::new("/sys/fs/cgroup/pids");
    if !path.join("tasks").exists() {
        return; // v2 only: clone3 does it
    }
    let group = path.join(format!("hull-launch-test-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sh("cg", root.path(), "cat /proc/self/cgroup");
    let tasks = std::fs::OpenOptions::new().write(true).open(group.join("tasks")).unwrap();
    let tasks = launch.slot(tasks);
    launch
        .plan
        .steps
        .splice(0..0, [Step::JoinCgroups { tasks: vec![tasks] }, Step::Unshare { namespaces: Namespaces::CGROUP }]);
    let (text, code) = keeper.output(launch);
    std::fs::remove_dir(&group).unwrap();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(":pids:/\n"), "its own group is the root of what it sees: {text}");
}

#[test]
fn secrets_of_one_launch_are_not_in_the_memory_of_the_next_init() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let secret = ["PASS", "WORD=", "correct-horse-battery-staple"].concat();
    for n in 0..5 {
        let mut launch = container(&format!("s{n}"), root.path(), &["/bin/sleep", "100"]);
        // Of several sizes: a frame that is read in one piece, and in many.
        let padding = "x".repeat(n * 30_000);
        launch.plan.exec.env.push(std::ffi::CString::new(format!("PADDING={padding}")).unwrap());
        launch.plan.exec.env.push(std::ffi::CString::new(secret.clone()).unwrap());
        keeper.launch(launch).unwrap();
    }
    let mut launch = container("init", root.path(), &["/bin/sleep", "100"]);
    launch.step(Step::Init);
    let launched = keeper.launch(launch).unwrap();
    for pid in [launched.pid, keeper.process.id() as i32] {
        assert!(!memory_contains(pid, secret.as_bytes()), "pid {pid}");
    }
}

/// Whether a process's writable memory holds the bytes.
fn memory_contains(pid: i32, needle: &[u8]) -> bool {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let parse = |hex| u64::from_str_radix(hex, 16).unwrap();
        let (start, end) = (parse(start), parse(end));
        let mut bytes = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut bytes, start).is_ok() && bytes.windows(needle.len()).any(|window| window == needle)
    })
}

/// docs/kernel.md: the fallbacks for calls that a filter around the keeper answers with ENOSYS.
#[test]
fn without_clone3_openat2_and_close_range_a_container_is_the_same() {
    let script = "echo $$; hostname; cat /proc/mounts | wc -l; ls /proc/self/fd; ls /secret; pwd";
    let mut answers = Vec::new();
    for role in ["keeper", "keeper-enosys"] {
        let mut keeper = Keeper::start_as(role);
        let root = rootfs();
        std::fs::create_dir(root.path().join("secret")).unwrap();
        std::fs::write(root.path().join("secret/x"), "x").unwrap();
        std::os::unix::fs::symlink("/proc/self/cwd", root.path().join("escape")).unwrap();
        let mut launch = sh("old", root.path(), script);
        before_pivot(&mut launch, vec![Step::MaskedPath("/secret".into()), new_mount("tmpfs", "/a/b/../c", &[])]);
        launch.step(Step::Sysctl { key: "kernel.shm_rmid_forced".into(), value: "1".into() });
        launch.step(Step::Workdir { path: "/w/d".into(), create: true });
        launch.step(Step::Init);
        answers.push(keeper.output(launch));
        let mut launch = sh("escape", root.path(), "true");
        launch.step(Step::Workdir { path: "/escape".into(), create: true });
        assert_eq!(keeper.launch(launch).err().unwrap().errno, 40, "{role}");
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].0.starts_with("2\ninside\n"), "{answers:?}");
}

/// CVE-2019-5736: the command names the program that launches it.
#[test]
fn the_launching_program_cannot_be_reached_by_its_name() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let script = root.path().join("evil");
    std::fs::write(&script, "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let role = std::fs::read(ROLE).unwrap();
    // It runs as what it is, in the container, and finds no role: never the keeper's own memory or file.
    let mut launch = container("evil", root.path(), &["/evil"]);
    let mut reader = launch.capture();
    if keeper.launch(launch).is_ok() {
        assert_ne!(keeper.code("evil"), 0);
        reader.read_to_string(&mut String::new()).unwrap();
    }
    let write = "for i in 1 2 3 4 5 6 7 8 9; do echo x > /proc/$PPID/exe; echo x >> /proc/self/exe; done; \
        for f in /proc/[0-9]*/exe; do (echo x > $f) && echo wrote $f; done";
    let mut launch = sh("write", root.path(), write);
    launch.step(Step::Init);
    let (text, _) = keeper.output(launch);
    assert!(!text.contains("wrote /proc/1/"), "{text}");
    assert_eq!(std::fs::read(ROLE).unwrap(), role);
    let exe = std::fs::read(format!("/proc/{}/exe", keeper.process.id())).unwrap();
    assert_eq!(exe, role);
}

#[test]
fn a_v2_cgroup_is_joined_at_birth_or_as_the_first_act() {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let Some(base) = mounts.iter().find(|path| std::path::Path::new(path).join("cgroup.procs").exists()) else {
        return; // no v2 hierarchy
    };
    let name = format!("hull-launch-v2-{}", std::process::id());
    let group = std::path::Path::new(base).join(&name);
    for role in ["keeper", "keeper-enosys"] {
        std::fs::create_dir(&group).unwrap();
        let mut keeper = Keeper::start_as(role);
        let root = rootfs();
        let mut launch = sh("v2", root.path(), "cat /proc/self/cgroup");
        let cgroup = launch.slot(std::fs::File::open(&group).unwrap());
        launch.plan.clone.cgroup = Some(cgroup);
        let (text, code) = keeper.output(launch);
        std::fs::remove_dir(&group).unwrap();
        assert_eq!(code, 0, "{text}");
        let line = text.lines().find(|line| line.starts_with("0::")).unwrap();
        assert!(line.ends_with(&format!("/{name}")), "{role}: {text}");
    }
}
