//! What one `hull run` may cost, in system calls and syncs. Times differ from machine to machine; these counts
//! do not, and a start that grows past them has got slower everywhere.

use std::fs;
use std::process::{Child, Command, Stdio};

use hull_testkit::{Host, eventually, run};

const RUN: [&str; 6] = ["run", "--rm", "--network", "none", "busybox", "true"];

/// Of the command line, from its first call to its last. 65 when this was written.
const COMMAND_LINE: usize = 80;
/// Of the child, from its first call to the `execve` of the right path. 300 on v2, 380 with seven v1 hierarchies.
const CHILD: usize = 430;
/// Descriptors that a debug build looks at before it closes them are not counted.
const DEBUG_ONLY: &str = "fcntl(";

/// strace on running processes and whatever they start.
struct Trace {
    tracer: Child,
    log: tempfile::NamedTempFile,
}

impl Trace {
    fn attach(pids: &[u32]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let said = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-s", "16", "-o"]).arg(log.path());
        for pid in pids {
            command.args(["-p", &pid.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.reopen().unwrap());
        let tracer = command.spawn().expect("strace is needed: cargo xtask test installs it");
        eventually("strace is attached to all", || {
            fs::read_to_string(said.path())
                .is_ok_and(|text| pids.iter().all(|pid| text.contains(&format!("Process {pid} attached"))))
        });
        Self { tracer, log }
    }

    /// Lets the processes go and returns what was seen.
    fn end(mut self) -> String {
        run(Command::new("kill").arg(self.tracer.id().to_string()), b"").ok();
        self.tracer.wait().unwrap();
        String::from_utf8_lossy(&fs::read(self.log.path()).unwrap()).into_owned()
    }
}

/// How many calls begin in these lines.
fn calls<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    let begins = |line: &&str| !line.contains(" resumed>") && !line.contains("+++ ") && !line.contains("--- ");
    lines.filter(begins).filter(|line| !line.contains(DEBUG_ONLY)).count()
}

fn syncs(log: &str) -> Vec<&str> {
    let begins = |line: &&str| {
        ["fsync(", "fdatasync(", "syncfs(", "sync(", "sync_file_range("].iter().any(|call| line.contains(call))
    };
    log.lines().filter(begins).collect()
}

#[test]
fn a_run_costs_the_command_line_few_system_calls() {
    let host = Host::new();
    host.hull(&RUN).ok();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = host.command("strace");
    command.args(["-f", "-o"]).arg(log.path()).arg(hull_testkit::hull_binary()).args(RUN);
    run(&mut command, b"").ok();
    let text = fs::read_to_string(log.path()).unwrap();
    let count = calls(text.lines());
    assert!((20..=COMMAND_LINE).contains(&count), "{count} system calls:\n{text}");
}

#[test]
fn a_start_with_rm_costs_few_system_calls_and_no_sync() {
    let host = Host::new();
    host.hull(&RUN).ok();
    let trace = Trace::attach(&[host.engine_pid(), host.keeper_pid()]);
    host.hull(&RUN).ok();
    let log = trace.end();
    assert_eq!(syncs(&log), Vec::<&str>::new());
    let reached = log.lines().position(|line| line.contains("execve(\"/bin/true\""));
    let reached = reached.unwrap_or_else(|| panic!("the command was not reached:\n{log}"));
    let pid = log.lines().nth(reached).unwrap().split(' ').next().unwrap();
    let count = calls(log.lines().take(reached).filter(|line| line.split(' ').next() == Some(pid)));
    assert!((50..=CHILD).contains(&count), "{count} system calls of {pid}:\n{log}");
}

#[test]
fn a_run_that_is_kept_is_synced_twice_at_most() {
    let host = Host::new();
    let kept = ["run", "--network", "none", "busybox", "true"];
    host.hull(&kept).ok();
    let trace = Trace::attach(&[host.engine_pid(), host.keeper_pid()]);
    host.hull(&kept).ok();
    let log = trace.end();
    let syncs = syncs(&log);
    assert!((1..=2).contains(&syncs.len()), "{syncs:#?}");
}

/// Links, addresses, routes and rules are asked of the kernel itself: no `ip`, `nft`, `iptables` or `brctl` is run.
#[test]
fn networks_start_no_program() {
    let host = Host::new();
    host.hull(&RUN).ok();
    let trace = Trace::attach(&[host.engine_pid(), host.keeper_pid()]);
    for words in [
        "network create --ipv6 --subnet 10.91.0.0/24 --subnet fd00:91::/64 lan",
        "run -d --name web --network lan -p 8080:80 busybox sleep 1000",
        "network connect bridge web",
        "network trace web 80",
        "network disconnect bridge web",
        "rm -f web",
        "network rm lan",
    ] {
        host.hull(&words.split(' ').collect::<Vec<_>>()).ok();
    }
    let log = trace.end();
    // What the container itself ran is all, by whichever of its paths.
    let started: Vec<&str> = log.lines().filter(|line| line.contains("execve(")).collect();
    assert!(!started.is_empty() && started.iter().all(|line| line.contains("sleep\"")), "{started:#?}");
}
