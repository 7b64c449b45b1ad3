//! The tour: what a container is, read from the kernel line by line. Every claim is checked; the tour
//! fails when one does not hold.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::engine::Engine;

/// Walks through it.
pub fn walk(engine: &Engine) -> Result<()> {
    let (_, keeper) = engine.pids()?;
    alone(engine)?;
    let one = start(engine, "one")?;
    let two = start(engine, "two")?;
    ordinary(engine, keeper, one)?;
    strangers(engine)?;
    boundary(engine, one, two)?;
    limits(engine, one)?;
    life(engine, one)?;
    let left = engine.read(&["ps", "-aq"])?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?.matches(&*engine.dir().to_string_lossy()).count();
    say(
        "nothing is left",
        &format!("containers: {}\nmounts of theirs in this host's table: {mounts}", left.lines().count()),
    );
    ensure!(left.is_empty() && mounts == 0, "something is left: {left}");
    println!("\nThe tour is over: every line above was read from the kernel as it was printed.");
    Ok(())
}

fn say(title: &str, text: &str) {
    println!("\n## {title}");
    for line in text.lines() {
        println!("   {line}");
    }
}

fn start(engine: &Engine, name: &str) -> Result<u32> {
    let args =
        ["run", "-d", "--name", name, "--hostname", name, "--memory", "64m", "--pids-limit", "50", "--userns", "auto"];
    engine.read(&[&args[..], &["busybox", "sleep", "1000"]].concat())?;
    pid_of(engine, name)
}

fn pid_of(engine: &Engine, name: &str) -> Result<u32> {
    Ok(engine.read(&["inspect", "--format", "{{.State.Pid}}", name])?.parse()?)
}

fn alone(engine: &Engine) -> Result<()> {
    let seen = engine.read(&["run", "--rm", "busybox", "ps"])?;
    say("inside: `ps` is PID 1, and there is nothing else", &seen);
    ensure!(seen.lines().count() == 2, "ps saw more than itself");
    ensure!(seen.lines().nth(1).is_some_and(|l| l.trim_start().starts_with("1 ")), "ps was not PID 1");
    Ok(())
}

fn ordinary(engine: &Engine, keeper: u32, pid: u32) -> Result<()> {
    let parent: u32 = status(pid, "PPid")?.parse()?;
    say(
        "outside: the same process, an ordinary one",
        &format!(
            "/proc/{pid}/comm: {}\nits parent: {parent} (the keeper is {keeper})\nits pids, outside and inside: {}",
            comm(pid)?,
            status(pid, "NSpid")?
        ),
    );
    ensure!(parent == keeper, "PID 1 of the container is not a child of the keeper");
    engine.read(&["exec", "one", "sh", "-c", "for i in 1 2 3 4; do sleep 1000 & done"])?;
    let sleeps = four_sleeps(pid)?;
    let lines: Vec<String> = sleeps
        .iter()
        .map(|p| Ok(format!("pid {p}: {} (inside: {})", cmdline(*p)?, inner_pid(*p)?)))
        .collect::<Result<_>>()?;
    say("four `sleep 1000` started inside are four processes of this host", &lines.join("\n"));
    Ok(())
}

/// The processes beside PID 1, once each of the four has become a `sleep`.
fn four_sleeps(pid: u32) -> Result<Vec<u32>> {
    for _ in 0..500 {
        let others: Vec<u32> = processes_in_pid_namespace_of(pid)?.into_iter().filter(|p| *p != pid).collect();
        if others.len() == 4 && others.iter().all(|p| comm(*p).is_ok_and(|c| c == "sleep")) {
            return Ok(others);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    anyhow::bail!("the four processes did not appear")
}

fn strangers(engine: &Engine) -> Result<()> {
    let one = engine.read(&["exec", "one", "ps", "-o", "pid,comm"])?;
    let two = engine.read(&["exec", "two", "ps", "-o", "pid,comm"])?;
    say("two containers do not see each other", &format!("in `one`:\n{one}\nin `two`:\n{two}"));
    let count = |text: &str| text.lines().filter(|l| l.contains("sleep")).count();
    ensure!(count(&one) == 5 && count(&two) == 1, "a container saw another's processes");
    Ok(())
}

fn boundary(engine: &Engine, one: u32, two: u32) -> Result<()> {
    let mut lines = Vec::new();
    for kind in ["pid", "mnt", "uts", "ipc", "net", "user", "cgroup"] {
        let [host, a, b] = ["self".to_string(), one.to_string(), two.to_string()]
            .map(|p| fs::read_link(format!("/proc/{p}/ns/{kind}")));
        let (host, a, b) = (host?, a?, b?);
        lines.push(format!("{kind:7} host {}  one {}  two {}", host.display(), a.display(), b.display()));
        ensure!(host != a && a != b, "the {kind} namespace is shared");
    }
    say("the boundary: each has namespaces of its own", &lines.join("\n"));
    let inside = |script: &str| engine.read(&["exec", "one", "sh", "-c", script]);
    let mounts = |pid: &str| fs::read_to_string(format!("/proc/{pid}/mountinfo")).map(|t| t.lines().count());
    let text = format!(
        "hostname: {} here, {} inside\nmounts: {} here, {} inside\nlinks: {} here, {} inside\nroot inside is uid {} here",
        fs::read_to_string("/proc/sys/kernel/hostname")?.trim(),
        inside("cat /proc/sys/kernel/hostname")?,
        mounts("self")?,
        mounts(&one.to_string())?,
        links("self")?,
        links(&one.to_string())?,
        status(one, "Uid")?.split_whitespace().next().unwrap_or_default(),
    );
    say("so it sees another host", &text);
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!table.contains(&*engine.dir().to_string_lossy()), "the host's mount table shows the container");
    ensure!(inside("id -u")? == "0" && !status(one, "Uid")?.starts_with("0\t"), "root inside is root outside");
    Ok(())
}

fn limits(engine: &Engine, pid: u32) -> Result<()> {
    let id = engine.read(&["inspect", "--format", "{{.Id}}", "one"])?;
    let cgroup = memory_cgroup(pid)?;
    let limit = ["memory.max", "memory.limit_in_bytes"]
        .iter()
        .find_map(|f| fs::read_to_string(Path::new(&cgroup).join(f)).ok())
        .context("no memory limit file")?;
    say(
        "the cgroup bears the container's id and its limits",
        &format!("{cgroup}\nmemory limit: {} bytes", limit.trim()),
    );
    ensure!(cgroup.ends_with(&id), "the cgroup is not named after the container");
    ensure!(limit.trim() == (64 << 20).to_string(), "the limit is not 64 MiB");
    Ok(())
}

fn life(engine: &Engine, before: u32) -> Result<()> {
    engine.read(&["stop", "-t", "1", "one"])?;
    ensure!(!Path::new(&format!("/proc/{before}")).exists(), "the process is still there after stop");
    engine.read(&["start", "one"])?;
    let after = pid_of(engine, "one")?;
    say(
        "stop, start again, remove",
        &format!("pid {before} is gone; the same container now is pid {after}: {}", cmdline(after)?),
    );
    engine.read(&["rm", "-f", "one", "two"])?;
    ensure!(!Path::new(&format!("/proc/{after}")).exists(), "the process is still there after rm");
    Ok(())
}

fn status(pid: u32, field: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).with_context(|| format!("no {field}"))?;
    Ok(line.trim().to_string())
}

fn comm(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_string())
}

fn cmdline(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/cmdline"))?.replace('\0', " ").trim().to_string())
}

fn inner_pid(pid: u32) -> Result<String> {
    Ok(status(pid, "NSpid")?.split_whitespace().last().unwrap_or_default().to_string())
}

fn links(pid: &str) -> Result<usize> {
    Ok(fs::read_to_string(format!("/proc/{pid}/net/dev"))?.lines().skip(2).count())
}

fn processes_in_pid_namespace_of(pid: u32) -> Result<Vec<u32>> {
    let namespace = fs::read_link(format!("/proc/{pid}/ns/pid"))?;
    let all = fs::read_dir("/proc")?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    Ok(all.filter(|p| fs::read_link(format!("/proc/{p}/ns/pid")).is_ok_and(|n| n == namespace)).collect())
}

/// The directory of the process's memory cgroup (v1) or of its cgroup (v2).
fn memory_cgroup(pid: u32) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let v1 =
        text.lines().find_map(|l| l.split_once(":memory:").map(|(_, path)| format!("/sys/fs/cgroup/memory{path}")));
    let v2 = || text.lines().find_map(|l| l.strip_prefix("0::")).map(|path| format!("/sys/fs/cgroup{path}"));
    v1.or_else(v2).context("the process is in no cgroup")
}
