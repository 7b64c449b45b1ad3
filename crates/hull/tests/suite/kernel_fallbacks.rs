//! Kernels and filters that lack a call: the documented fallback works and is as safe, or the refusal
//! names what is missing. Never a hang. The rows of docs/kernel.md name these tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Host, Inject, Settings, eventually, injected, injected_start, run};

/// A host whose keeper and engine never get these calls, and strace's log.
fn host_without(calls: &[&str]) -> (Host, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().expect("a scratch file");
    let injections: Vec<String> = calls.iter().map(|call| format!("{call}:error=ENOSYS")).collect();
    let injections: Vec<&str> = injections.iter().map(String::as_str).collect();
    let settings = Settings { wrapper: injected_start(log.path(), &injections), ..Settings::default() };
    (Host::with(&settings), log)
}

/// What most people do with containers, with their usual confinement.
fn an_ordinary_day(host: &Host) {
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    let open = host.sh(&[], "ls -l /proc/self/fd | grep -v -- '-> /proc' | grep -c -- '->'");
    assert_eq!(open, "3", "a container starts with 0, 1 and 2");
    let id = host.sleeper(&["--tmpfs", "/scratch", "-v", "/tmp:/t:ro", "-v", "/data"]);
    assert_eq!(host.hull(&["exec", &id, "echo", "exec"]).ok(), "exec");
    let seen = host.hull(&["exec", &id, "grep", "-E", "CapEff|Seccomp:", "/proc/self/status"]).ok();
    assert_eq!(seen, "CapEff:\t00000000a80425fb\nSeccomp:\t2");
    let probe = "touch /t/x 2>&1; cat /proc/kcore | wc -c; (echo 1 > /proc/sys/vm/overcommit_memory) 2>&1; unshare -m true 2>&1; true";
    let seen = host.hull(&["exec", &id, "sh", "-c", probe]).ok();
    assert_eq!(seen.matches("ead-only file system").count(), 2, "{seen}");
    assert!(seen.lines().any(|l| l == "0") && seen.contains("not permitted"), "{seen}");
    host.hull(&["stop", "-t", "0", &id]).ok();
    assert_eq!(host.inspect(&id)["State"]["ExitCode"], 137);
    host.hull(&["rm", "-v", &id]).ok();
}

#[test]
fn without_clone3_containers_start() {
    let (host, log) = host_without(&["clone3"]);
    an_ordinary_day(&host);
    assert!(injected(log.path()) > 0, "nothing was injected");
}

#[test]
fn without_close_range_no_descriptor_leaks() {
    let (host, log) = host_without(&["close_range"]);
    an_ordinary_day(&host);
    assert!(injected(log.path()) > 0, "nothing was injected");
}

#[test]
fn without_openat2_paths_are_walked() {
    let (host, log) = host_without(&["openat2"]);
    an_ordinary_day(&host);
    assert!(injected(log.path()) > 0, "nothing was injected");
}

#[test]
fn without_all_that_is_optional_containers_start() {
    let optional = [
        "close_range",
        "openat2",
        "faccessat2",
        "epoll_pwait2",
        "fchmodat2",
        "statmount",
        "listmount",
        "cachestat",
        "futex_waitv",
        "memfd_secret",
        "landlock_create_ruleset",
        "process_mrelease",
        "io_uring_setup",
        "map_shadow_stack",
    ];
    // Names that this strace does not know are left out.
    let known = |call: &&str| run(Command::new("strace").args(["-e", &format!("trace={call}"), "true"]), b"").code == 0;
    let calls: Vec<&str> = optional.into_iter().filter(known).collect();
    let (host, log) = host_without(&calls);
    an_ordinary_day(&host);
    assert!(injected(log.path()) > 0, "nothing was injected");
}

/// Imports busybox with changes made to its tree.
fn image(host: &Host, name: &str, change: impl Fn(&Path)) {
    let tree: PathBuf = host.path().join(format!("tree-{name}"));
    fs::create_dir_all(&tree).expect("mkdir");
    run(Command::new("tar").arg("-C").arg(&tree).arg("-xf").arg(hull_testkit::busybox_tar()), b"").ok();
    change(&tree);
    let tar = host.path().join(format!("{name}.tar"));
    run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(&tree).arg("-cf").arg(&tar).arg("."), b"").ok();
    host.hull(&["import", &tar.to_string_lossy(), name]).ok();
}

#[test]
fn without_openat2_links_of_an_image_still_stay_in_it() {
    let (host, log) = host_without(&["openat2"]);
    let canary = host.path().join("canary");
    fs::create_dir_all(&canary).expect("mkdir");
    fs::write(canary.join("secret"), "secret").expect("write");
    image(&host, "climb", |tree| {
        symlink("../../../../../../../..", tree.join("up")).expect("symlink");
        symlink(&canary, tree.join("out")).expect("symlink");
        symlink("/proc/1/root", tree.join("magic")).expect("symlink");
    });
    let dir = canary.to_string_lossy().into_owned();
    for target in [
        format!("/up{dir}/made"),
        "/out/made".into(),
        format!("/magic{dir}/made"),
        format!("/proc/self/root{dir}/made"),
    ] {
        host.hull(&["run", "--rm", "--tmpfs", &target, "climb", "true"]);
        host.hull(&["run", "--rm", "-v", &format!("/tmp:{target}"), "climb", "true"]);
        host.hull(&["run", "--rm", "-w", &target, "climb", "true"]);
    }
    for workdir in [format!("/up{dir}"), "/out".into(), format!("/proc/1/root{dir}"), "/proc/self/fd/3".into()] {
        let out = host.hull(&["run", "--rm", "-w", &workdir, "climb", "cat", "secret"]);
        assert!(out.code != 0 && !out.stdout.contains("secret"), "{workdir}: {out:?}");
    }
    let names: Vec<_> = fs::read_dir(&canary).expect("canary").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["secret"], "something was made on the host");
    assert!(injected(log.path()) > 0, "nothing was injected");
}

/// What Linux 5.15 has: hull does not do without.
const REQUIRED: [&str; 5] = ["fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr"];

#[test]
fn a_kernel_below_the_floor_is_refused_by_name_or_made_up_for() {
    for call in REQUIRED {
        let log = tempfile::NamedTempFile::new().expect("a scratch file");
        let injection = format!("{call}:error=ENOSYS");
        let wrapper = injected_start(log.path(), &[&injection]);
        let mut host = Host::with(&Settings { no_engine: true, ..Settings::default() });
        match host.try_boot(&Settings { wrapper, ..Settings::default() }) {
            Err(said) => {
                assert!(said.contains(call), "{call}: {said}");
                host.cut_power();
            }
            Ok(()) => {
                host.hull(&["import", &hull_testkit::busybox_tar().to_string_lossy(), "busybox"]);
                let out = host.hull(&["run", "--rm", "busybox", "echo", "fine"]);
                let named = out.code == 125 && out.stderr.contains(call);
                assert!(named || (out.code == 0 && out.stdout == "fine\n"), "{call}: {out:?}");
                host.hull(&["ps"]).ok();
            }
        }
        assert!(injected(log.path()) > 0, "{call}: nothing was injected");
    }
}

#[test]
fn a_call_that_is_missing_for_a_while_fails_one_start_and_leaves_nothing() {
    let host = Host::new();
    for call in REQUIRED {
        let injection = format!("{call}:error=ENOSYS");
        let keeper = Inject::attach(host.keeper_pid(), &[&injection]).expect("the keeper lives");
        let engine = Inject::attach(host.engine_pid(), &[&injection]).expect("the engine lives");
        let out = host.hull(&["run", "--rm", "busybox", "echo", "fine"]);
        let named = out.code == 125 && out.stderr.contains(call);
        assert!(named || (out.code == 0 && out.stdout == "fine\n"), "{call}: {out:?}");
        drop((keeper, engine));
        assert_eq!(host.sh(&[], "echo again"), "again", "after {call} is back");
    }
    host.assert_clean();
}

#[test]
fn without_pidfd_send_signal_a_stop_fails_by_name_and_works_later() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    {
        let inject = Inject::attach(host.engine_pid(), &["pidfd_send_signal:error=ENOSYS"]).expect("the engine lives");
        let out = host.hull(&["kill", &id]);
        assert!(out.code == 1 && out.stderr.contains("pidfd_send_signal"), "{out:?}");
        assert_eq!(host.inspect(&id)["State"]["Running"], true);
        assert!(inject.count() > 0, "nothing was injected");
    }
    host.hull(&["stop", "-t", "0", &id]).ok();
    assert_eq!(host.inspect(&id)["State"]["ExitCode"], 137);
}

#[test]
fn without_setns_an_exec_is_refused_by_name() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    {
        let _inject = Inject::attach(host.keeper_pid(), &["setns:error=EINVAL"]).expect("the keeper lives");
        let out = host.hull(&["exec", &id, "echo", "fine"]);
        assert!(out.code != 0 && out.stderr.contains("setns"), "{out:?}");
    }
    assert_eq!(host.hull(&["exec", &id, "echo", "fine"]).ok(), "fine");
}

/// The machine says that it runs an older kernel: what is chosen by version is chosen for that one.
fn host_of_release(release: &str) -> (Host, tempfile::NamedTempFile) {
    let field = |text: &str| format!("{:\0<65}", text);
    let bytes = format!("{}{}{release}\0", field("Linux"), field("old"));
    let hex: String = bytes.bytes().map(|b| format!("{b:02x}")).collect();
    let log = tempfile::NamedTempFile::new().expect("a scratch file");
    let wrapper = injected_start(log.path(), &[&format!("uname:poke_exit=@arg1={hex}")]);
    (Host::with(&Settings { wrapper, ..Settings::default() }), log)
}

/// Major and minor.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[test]
fn overlays_are_made_as_each_kernel_takes_them() {
    let own = fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    for release in ["5.15.0", "6.5.0", "6.13.0"].into_iter().filter(|r| version(r) <= version(&own)) {
        let (host, log) = host_of_release(release);
        assert_eq!(host.sh(&[], "echo x > /made; cat /made"), "x", "{release}");
        assert_eq!(host.sh(&["--read-only"], "(echo x > /made) 2>/dev/null || echo refused"), "refused", "{release}");
        let id = host.sleeper(&[]);
        assert_eq!(host.hull(&["exec", &id, "sh", "-c", "rm /bin/ls; test -e /bin/ls || echo gone"]).ok(), "gone");
        host.hull(&["rm", "-f", &id]).ok();
        assert_eq!(host.sh(&[], "ls /bin/ls"), "/bin/ls", "{release}: the image is as it was");
        assert!(!fs::read_to_string(log.path()).expect("log").is_empty(), "nothing was injected");
    }
}

#[test]
fn without_mfd_exec_the_keeper_starts_from_an_ordinary_memfd() {
    let log = tempfile::NamedTempFile::new().expect("a scratch file");
    let wrapper = injected_start(log.path(), &["memfd_create:error=EINVAL:when=1"]);
    let host = Host::with(&Settings { wrapper, ..Settings::default() });
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    let program = fs::read_link(format!("/proc/{}/exe", host.keeper_pid())).expect("exe");
    assert!(program.to_string_lossy().contains("memfd:"), "{program:?}");
    assert!(injected(log.path()) > 0, "nothing was injected");
}

#[test]
fn without_session_keyrings_containers_start() {
    let (host, log) = host_without(&["add_key"]);
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    drop((host, log));
    let log = tempfile::NamedTempFile::new().expect("a scratch file");
    let wrapper = injected_start(log.path(), &["keyctl:error=EPERM"]);
    let host = Host::with(&Settings { wrapper, ..Settings::default() });
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    assert!(injected(log.path()) > 0, "nothing was injected");
}

#[test]
fn without_idmapped_mounts_a_user_namespace_is_refused() {
    let host = Host::new();
    {
        let _inject = Inject::attach(host.engine_pid(), &["mount_setattr:error=EINVAL"]).expect("the engine lives");
        let out = host.hull(&["run", "--rm", "--userns=auto", "busybox", "id", "-u"]);
        assert!(out.code == 125 && out.stderr.contains("mount_setattr"), "{out:?}");
    }
    assert_eq!(host.sh(&["--userns=auto"], "id -u"), "0");
}

#[test]
fn without_pidfd_get_info_the_exit_code_of_an_orphan_is_said_to_be_unknown() {
    let mut host = Host::new();
    let id = host.sleeper(&[]);
    let (pid, keeper) = (host.pid(&id), host.keeper_pid());
    run(Command::new("kill").args(["-9", &keeper.to_string()]), b"").ok();
    eventually("there is a new keeper", || host.hull(&["run", "--rm", "busybox", "true"]).code == 0);
    let inject = Inject::attach(host.engine_pid(), &["ioctl:error=ENOTTY"]).expect("the engine lives");
    run(Command::new("kill").args(["-9", &pid.to_string()]), b"").ok();
    eventually("the exit is seen", || host.inspect(&id)["State"]["Running"] == false);
    let state = host.inspect(&id)["State"].clone();
    assert!(state["Error"].as_str().is_some_and(|e| e.contains("unknown")), "{state}");
    drop(inject);
    host.hull(&["rm", &id]).ok();
    host.keeper_was_killed();
}
