//! Terminal and stdio: no byte lost, exit codes as docker's, signals and sizes passed on.

use std::process::{Command, Stdio};

use hull_testkit::{Host, eventually, on_a_terminal, run};

#[test]
fn the_exit_code_is_the_processes() {
    let host = Host::new();
    for code in [0, 1, 42, 255] {
        assert_eq!(host.hull(&["run", "--rm", "busybox", "sh", "-c", &format!("exit {code}")]).code, code);
    }
    assert_eq!(host.hull(&["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(host.hull(&["run", "--rm", "--init", "busybox", "sh", "-c", "kill -TERM $$"]).code, 143);
}

#[test]
fn commands_that_cannot_run_say_why() {
    let host = Host::new();
    let err = host.hull(&["run", "--rm", "busybox", "nosuch"]).fails(127);
    assert!(err.contains("nosuch") && err.contains("not found"), "{err}");
    host.hull(&["run", "--rm", "busybox", "/bin/nosuch"]).fails(127);
    let err = host.hull(&["run", "--rm", "busybox", "/etc/passwd"]).fails(126);
    assert!(err.contains("permission denied"), "{err}");
    host.hull(&["run", "--rm", "busybox", "/etc"]).fails(126);
    let scripts = [("#!/no/interpreter\n", "/no/interpreter"), ("\u{7f}ELFnonsense", "exec format error")];
    for (content, named) in scripts {
        let file = host.path().join("script");
        std::fs::write(&file, content).expect("write");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let out = host.hull(&["run", "--rm", "-v", &format!("{}:/script", file.display()), "busybox", "/script"]);
        assert!(out.code == 126 || out.code == 127, "{}: {}", out.code, out.stderr);
        assert!(out.stderr.contains(named), "{named}: {}", out.stderr);
    }
}

#[test]
fn a_program_for_another_machine_is_named_with_both_architectures() {
    let host = Host::new();
    let file = host.path().join("arm");
    let mut elf = std::fs::read("/usr/bin/busybox").expect("busybox");
    elf[18] = 183; // e_machine: EM_AARCH64
    std::fs::write(&file, elf).expect("write");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let out = host.hull(&["run", "--rm", "-v", &format!("{}:/arm", file.display()), "busybox", "/arm"]);
    assert!(out.code == 126 || out.code == 127, "{}", out.stderr);
    for word in ["exec format error", "aarch64", std::env::consts::ARCH] {
        assert!(
            out.stderr.contains(word)
                || out.stderr.contains(&word.replace("aarch64", "arm64").replace("x86_64", "amd64")),
            "{word}: {}",
            out.stderr
        );
    }
}

#[test]
fn stdout_and_stderr_are_apart_and_whole() {
    let host = Host::new();
    let out = host.hull(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("out\n", "err\n"));
    let out = host.hull(&["run", "--rm", "busybox", "seq", "200000"]);
    assert_eq!(out.stdout.lines().count(), 200_000);
    assert_eq!(out.stdout.lines().last(), Some("200000"));
}

#[test]
fn stdin_is_passed_and_closed() {
    let host = Host::new();
    let input: Vec<u8> = (0..300_000u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let out = host.hull_input(&["run", "--rm", "-i", "busybox", "md5sum"], &input);
    let local = run(&mut Command::new("md5sum"), &input);
    assert_eq!(out.stdout, local.stdout);
    assert_eq!(host.hull_input(&["run", "--rm", "busybox", "cat"], b"not passed").ok(), "", "without -i");
    let id = host.sleeper(&[]);
    assert_eq!(host.hull_input(&["exec", "-i", &id, "wc", "-c"], &input).ok(), input.len().to_string());
}

#[test]
fn a_terminal_is_a_terminal_of_the_right_size() {
    let host = Host::new();
    // Told until it is answered; the size is right from the first moment on.
    let tells =
        "stty -echo; until tty; stty size; test -c /dev/console && echo console; echo told; read -t 1 x; do :; done";
    let mut command = host.command("hull");
    command.args(["run", "--rm", "-it", "busybox", "sh", "-c", tells]);
    let out = on_a_terminal(&command, (101, 33), "told\n");
    assert_eq!(out.code, 0, "{}", out.stdout);
    assert!(out.stdout.starts_with("/dev/pts/0\n33 101\nconsole\ntold\n"), "{}", out.stdout);
    host.sleeper(&["--name", "s1"]);
    let mut command = host.command("hull");
    command.args(["exec", "-it", "s1", "sh", "-c", tells]);
    let out = on_a_terminal(&command, (101, 33), "told\n");
    assert_eq!(out.code, 0, "{}", out.stdout);
    assert!(out.stdout.starts_with("/dev/pts/") && out.stdout.contains("\n33 101\n"), "{}", out.stdout);
}

#[test]
fn a_terminal_is_refused_without_one() {
    let host = Host::new();
    let out = host.hull(&["run", "--rm", "-it", "busybox", "true"]);
    assert_ne!(out.code, 0);
    assert!(out.stderr.contains("not a TTY") || out.stderr.contains("not a terminal"), "{}", out.stderr);
}

#[test]
fn detach_keys_leave_the_container_running() {
    let host = Host::new();
    let mut command = host.command("script");
    let line = format!("{} run -it --name d1 busybox sh", hull_testkit::hull_binary().display());
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    use std::io::{Read, Write};
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    // The shell answers once the client's terminal passes every key on; before, ^Q would mean the terminal itself.
    stdin.write_all(b"echo $((40 + 2))\n").expect("a line for the shell");
    let mut seen = Vec::new();
    while !seen.ends_with(b"\n42\r\n") {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).expect("the terminal"), 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    stdin.write_all(&[16, 17]).expect("ctrl-p ctrl-q");
    eventually("the client ends", || child.try_wait().is_ok_and(|s| s.is_some()));
    drop(stdin);
    assert_eq!(host.inspect("d1")["State"]["Running"], true);
}

#[test]
fn signals_are_proxied() {
    let host = Host::new();
    let mut command = host.command("hull");
    command.args([
        "run",
        "--name",
        "sig",
        "busybox",
        "sh",
        "-c",
        "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.1; done",
    ]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("hull");
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"));
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]), b"").ok();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("got"));
    assert_eq!(child.wait().expect("ends").code(), Some(7));
}

#[test]
fn init_reaps_and_forwards() {
    let host = Host::new();
    // The shell that begins the orphan has ended when its number is read.
    let script = "trap 'exit 3' TERM; (sleep 0.05 & echo $! >/tmp/orphan); echo ready; while :; do sleep 0.1; done";
    let id = host.hull(&["run", "-d", "--init", "busybox", "sh", "-c", script]).ok();
    host.ready(&id);
    let parent = "p=$(cat /tmp/orphan); [ ! -e /proc/$p ] || grep PPid: /proc/$p/status";
    eventually("the orphan is init's, and goes", || {
        let out = host.hull(&["exec", &id, "sh", "-c", parent]);
        // It may go between the two.
        assert!(out.code != 0 || out.stdout.is_empty() || out.stdout == "PPid:\t1\n", "{out:?}");
        out.code == 0 && out.stdout.is_empty()
    });
    host.hull(&["stop", &id]).ok();
    assert_eq!(host.inspect(&id)["State"]["ExitCode"], 3);
}

#[test]
fn attach_shows_what_comes_and_its_exit_code() {
    let host = Host::new();
    let script = "until [ -e /go ]; do sleep 0.1; done; echo late; exit 9";
    host.hull(&["run", "-d", "--name", "a1", "busybox", "sh", "-c", script]).ok();
    let mut attach = host.command("hull");
    attach.args(["attach", "a1"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let attach = attach.spawn().expect("hull");
    let filter = ["--filter", "container=a1", "--filter", "event=attach"];
    eventually("it is attached", || {
        let told = host.hull(&[&["events", "--since", "0", "--until", "0s"], &filter[..]].concat());
        !told.ok().is_empty()
    });
    host.hull(&["exec", "a1", "touch", "/go"]).ok();
    let out = attach.wait_with_output().expect("it ends");
    assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.code()), ("late\n", Some(9)));
    // As with docker, stdin of `run -d -i` stays open for the next client; that of `create -i` ends with its first.
    host.hull(&["create", "-i", "--name", "b1", "busybox", "cat"]).ok();
    host.hull(&["start", "b1"]).ok();
    assert_eq!(host.hull_input(&["attach", "b1"], b"echoed\n").stdout, "echoed\n");
}
