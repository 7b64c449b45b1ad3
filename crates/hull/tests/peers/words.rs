//! What docker's words do over a runtime: one set of expectations for every engine that has them.

use std::path::PathBuf;
use std::process::Command;

use hull_testkit::{Room, cgroup_file, on_a_terminal, run, status_field};

/// The runtime under an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// `hull oci`, through a link.
    Hull,
    /// Debian's, as the control.
    Runc,
}

impl Runtime {
    /// The runtime's executable in this room.
    pub fn path(self, room: &Room) -> PathBuf {
        match self {
            Self::Hull => room.hull_oci(),
            Self::Runc => PathBuf::from("/usr/sbin/runc"),
        }
    }
}

/// An engine that understands docker's words and has an image `busybox`.
pub trait Words {
    /// Where it runs.
    fn room(&self) -> &Room;
    /// Its command line, `words` split at spaces, without a container's command.
    fn command(&self, words: &str) -> Command;
    /// The flags every `run` has, so that it uses the runtime of this test.
    fn run_flags(&self) -> String;

    /// Runs words that must succeed.
    #[track_caller]
    fn ok(&self, words: &str) -> String {
        run(&mut self.command(words), b"").ok()
    }

    /// `run <flags> busybox sh -c <script>`
    fn run(&self, flags: &str, script: &str) -> Command {
        let mut command = self.command(&format!("run {} {flags} busybox sh -c", self.run_flags()));
        command.arg(script);
        command
    }

    /// `exec <flags> <name> sh -c <script>`
    fn exec(&self, flags: &str, name: &str, script: &str) -> Command {
        let mut command = self.command(&format!("exec {flags} {name} sh -c"));
        command.arg(script);
        command
    }

    /// One field of `inspect`.
    fn inspect(&self, name: &str, field: &str) -> String {
        self.ok(&format!("inspect --format {{{{{field}}}}} {name}"))
    }
}

/// Output, input and exit codes of `run` and `exec` reach the client.
pub fn output_and_exit_codes(engine: &impl Words) {
    let out = run(&mut engine.run("--rm", "echo out; echo err >&2; exit 3"), b"");
    assert_eq!((out.code, out.stdout.as_str()), (3, "out\n"), "{}", out.stderr);
    assert!(out.stderr.contains("err"), "{}", out.stderr);
    assert_eq!(run(&mut engine.run("--rm -i", "cat"), b"typed").ok(), "typed");
    run(&mut engine.run("-d --name one", "echo line; exec sleep 1000"), b"").ok();
    let out = run(&mut engine.exec("-i", "one", "cat; exit 4"), b"more");
    assert_eq!((out.code, out.stdout.as_str()), (4, "more"), "{}", out.stderr);
    let who = run(&mut engine.exec("-u app -w /tmp -e A=b", "one", "id -un; pwd; echo $A"), b"").ok();
    assert_eq!(who, "app\n/tmp\nb");
    engine.room().eventually("the line is in the log", || engine.ok("logs one") == "line");
    engine.ok("rm -f one");
}

/// Tells of its terminal until it is answered.
pub const TELLS_OF_ITS_TERMINAL: &str = "stty -echo
    until tty; stty size; test -c /dev/console && echo console; echo told; read -t 1 answer; do :; done; exit 6";

/// `-it` gives a terminal of the client's size, in `run` and in `exec`; what is typed arrives.
pub fn terminals(engine: &impl Words) {
    let told = "/dev/pts/0\n30 100\nconsole\ntold\n";
    let out = on_a_terminal(&engine.run("--rm -it", TELLS_OF_ITS_TERMINAL), (100, 30), told);
    assert_eq!(out.code, 6, "{}", out.stdout);
    run(&mut engine.run("-d --name one", "exec sleep 1000"), b"").ok();
    let out = on_a_terminal(&engine.exec("-it", "one", TELLS_OF_ITS_TERMINAL), (100, 30), "\n30 100\ntold\n");
    assert_eq!(out.code, 6, "{}", out.stdout);
    assert!(out.stdout.contains("/dev/pts/"), "{}", out.stdout);
    engine.ok("rm -f one");
}

/// A container is paused, resumed, limited anew, stopped, killed and removed.
pub fn lifecycle(engine: &impl Words) {
    let script = "trap 'exit 9' TERM; while :; do date +%s%N >/tmp/now; sleep 0.01; done";
    run(&mut engine.run("-d --name one", script), b"").ok();
    let pid: u32 = engine.inspect("one", ".State.Pid").parse().expect("a pid");
    let pid = engine_pid(engine.room(), pid);
    engine.room().eventually("it writes the time", || !now(pid).is_empty());
    engine.ok("pause one");
    assert_eq!(engine.inspect("one", ".State.Status"), "paused");
    assert_eq!(cgroup_file(pid, ("freezer", "freezer.state"), "cgroup.freeze").replace('1', "FROZEN"), "FROZEN");
    engine.ok("unpause one");
    let before = now(pid);
    engine.room().eventually("it goes on", || now(pid) != before);

    engine.ok("update --cpus 0.5 --memory 64m --memory-swap 64m one");
    assert_eq!(cgroup_file(pid, ("cpu", "cpu.cfs_quota_us"), "cpu.max").replace(" 100000", ""), "50000");
    assert_eq!(cgroup_file(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), "67108864");
    assert!(engine.ok("stats --no-stream one").contains("one"));
    assert!(engine.ok("top one").contains("sh -c"));

    engine.ok("stop -t 60 one");
    assert_eq!(engine.inspect("one", ".State.ExitCode"), "9");
    engine.ok("start one");
    engine.ok("kill one");
    engine.room().eventually("it has ended", || engine.inspect("one", ".State.ExitCode") == "137");
    engine.ok("rm one");
    engine.room().assert_calm();
}

/// What `/tmp/now` of the container says.
fn now(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/root/tmp/now")).unwrap_or_default()
}

/// The host's pid of the process that has this pid in the room.
pub fn engine_pid(room: &Room, inner: u32) -> u32 {
    room.pids()
        .into_iter()
        .find(|pid| status_field(*pid, "NSpid").split_whitespace().nth(1) == Some(&inner.to_string()))
        .expect("the container's process is in the room")
}

/// A command that cannot be run is 127 or 126, and the sentence names it.
pub fn refusals(engine: &impl Words) {
    for (words, code) in [("busybox nosuchcommand", 127), ("busybox /etc/passwd", 126)] {
        let out = run(&mut engine.command(&format!("run --rm {} {words}", engine.run_flags())), b"");
        let word = words.rsplit(' ').next().unwrap_or_default();
        assert!(out.fails(code).contains(word), "{}", out.stderr);
    }
    run(&mut engine.run("-d --name one", "exec sleep 1000"), b"").ok();
    run(&mut engine.command("exec one nosuchcommand"), b"").fails(127);
    engine.ok("rm -f one");
}

/// hull's boundary has to be the control's, with every set of flags.
pub fn boundary_is_runcs<E: Words>(engine: &mut E, over: impl Fn(&mut E, Runtime)) {
    for flags in BOUNDARIES {
        let hull = boundary(engine, flags);
        over(engine, Runtime::Runc);
        let runc = boundary(engine, flags);
        over(engine, Runtime::Hull);
        let without = |a: &str, b: &str| {
            a.lines().filter(|l| !b.lines().any(|o| o == *l)).map(|l| format!("{l}\n")).collect::<String>()
        };
        let (own, others) = (without(&hull, &runc), without(&runc, &hull));
        assert!(own.is_empty() && others.is_empty(), "with {flags}\n-- hull:\n{own}-- runc:\n{others}");
    }
}

/// What a container sees of itself, but for mounts below /proc and /sys: there hull's are stricter than runc's, read-only to the last
/// mask, and it is tried what can be read and written. `/dev/core` is made by runc only where /proc/kcore is.
/// With the same flags it has to be equal under two runtimes.
fn boundary(engine: &impl Words, flags: &str) -> String {
    let script = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Umask)' /proc/self/status
        cat /proc/self/limits; cat /proc/self/oom_score_adj; hostname; pwd
        awk '$5 !~ \"^/(proc|sys)/\" { print $5, $6, $7 }' /proc/self/mountinfo | sed 's,[0-9a-f]\\{64\\},ID,g; s,:[0-9]*$,:N,' | sort
        ls -l /dev /proc/self/ns | grep -v ' core ' | awk '{ print $1, $3, $4, ($5 ~ /,$/ ? $10 : $9) }' | sort
        ls /proc/self/fd | wc -l; id; env | grep -v HOSTNAME | sort
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/kernel/domainname
        for f in /proc/kcore /proc/keys /proc/timer_list /proc/sys/kernel/core_pattern /x; do
            cat $f 2>/dev/null | head -c 1 | wc -c; (: >>$f) 2>&1; done; true";
    let out = run(&mut engine.run(&format!("--rm {flags}"), script), b"");
    out.ok() + &out.stderr
}

/// Sets of flags under which the boundary is compared.
const BOUNDARIES: [&str; 5] = [
    "--hostname web",
    "--hostname web --read-only --tmpfs /tmp:size=1m,noexec -u app --cap-drop all --cap-add net_raw -w /home/app",
    "--hostname web --privileged",
    "--hostname web --security-opt no-new-privileges --security-opt seccomp=unconfined --pids-limit 50 --memory 64m --shm-size 8m",
    "--hostname web --ipc host --pid host --sysctl net.ipv4.ip_unprivileged_port_start=99 -v /etc:/host:ro -v /usr:/x/y --device /dev/fuse",
];
