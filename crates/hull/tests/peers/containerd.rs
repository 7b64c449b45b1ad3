//! Debian's containerd: `ctr run --runc-binary` and `ctr task …`.

use std::fs;
use std::process::Command;

use hull_testkit::{Room, busybox_tar, cgroup_file, on_a_terminal, run};

use crate::words::{Runtime, TELLS_OF_ITS_TERMINAL, engine_pid};

struct Containerd {
    room: Room,
    runtime: Runtime,
}

impl Containerd {
    fn over(runtime: Runtime) -> Self {
        let mut containerd = Self { room: Room::new(), runtime };
        let rootfs = containerd.room.path().join("rootfs");
        fs::create_dir(&rootfs).expect("mkdir");
        run(Command::new("tar").arg("-xf").arg(busybox_tar()).arg("-C").arg(&rootfs), b"").ok();
        containerd.start();
        containerd.room.is_calm();
        containerd
    }

    fn start(&self) {
        let dir = self.room.path().display();
        let config = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{dir}/sock\"\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{dir}/opt\"\n"
        );
        fs::write(self.room.path().join("config.toml"), config).expect("write");
        self.room.daemon("containerd", &mut self.room.command("containerd", &format!("-c {dir}/config.toml")));
        self.room.eventually("containerd answers", || run(&mut self.ctr("version"), b"").code == 0);
    }

    fn ctr(&self, words: &str) -> Command {
        self.room.command("ctr", &format!("-a {}/sock {words}", self.room.path().display()))
    }

    #[track_caller]
    fn ok(&self, words: &str) -> String {
        run(&mut self.ctr(words), b"").ok()
    }

    /// `ctr run <flags> … <id> sh -c <script>`
    fn run(&self, flags: &str, id: &str, script: &str) -> Command {
        let dir = self.room.path().display();
        let mut command = self.ctr(&format!(
            "run --runc-binary {} --runc-root {dir}/runtime --cgroup {}/{id} --env PATH=/bin {flags} --rootfs {dir}/rootfs {id} sh -c",
            self.runtime.path(&self.room).display(),
            self.room.cgroup()
        ));
        command.arg(script);
        command
    }

    fn exec(&self, flags: &str, id: &str, script: &str) -> Command {
        let mut command = self.ctr(&format!("task exec --exec-id another {flags} {id} sh -c"));
        command.arg(script);
        command
    }

    /// STATUS of `ctr task ls`.
    fn status(&self, id: &str) -> String {
        let list = self.ok("task ls");
        let row = list.lines().find(|l| l.split_whitespace().next() == Some(id));
        row.and_then(|r| r.split_whitespace().nth(2)).unwrap_or("GONE").to_string()
    }

    fn pid(&self, id: &str) -> u32 {
        let list = self.ok("task ls");
        let row = list.lines().find(|l| l.split_whitespace().next() == Some(id)).expect("the task is listed");
        engine_pid(&self.room, row.split_whitespace().nth(1).expect("a pid").parse().expect("a pid"))
    }

    fn passes_output_and_exit_codes(&self) {
        let out = run(&mut self.run("--rm", "one", "echo out; echo err >&2; exit 3"), b"");
        assert_eq!((out.code, out.stdout.as_str()), (3, "out\n"), "{}", out.stderr);
        assert!(out.stderr.contains("err"), "{}", out.stderr);
        assert_eq!(run(&mut self.run("--rm", "one", "head -c 5"), b"typed").ok(), "typed");
        self.ok_detached("one");
        let out = run(&mut self.exec("--user 1000:1000 --cwd /tmp", "one", "id -u; pwd; exit 4"), b"");
        assert_eq!((out.code, out.stdout.as_str()), (4, "1000\n/tmp\n"), "{}", out.stderr);
        self.remove("one");
    }

    fn gives_terminals(&self) {
        let told = "/dev/pts/0\n30 100\nconsole\ntold\n";
        let out = on_a_terminal(&self.run("--rm -t", "one", TELLS_OF_ITS_TERMINAL), (100, 30), told);
        assert_eq!(out.code, 6, "{}", out.stdout);
        self.ok_detached("one");
        let out = on_a_terminal(&self.exec("-t", "one", TELLS_OF_ITS_TERMINAL), (100, 30), "\n30 100\ntold\n");
        assert_eq!(out.code, 6, "{}", out.stdout);
        assert!(out.stdout.contains("/dev/pts/"), "{}", out.stdout);
        self.remove("one");
    }

    fn pauses_measures_and_kills(&self) {
        self.ok_detached("one");
        let processes = || self.ok("task ps one").lines().count() - 1;
        self.room.eventually("the shell has its sleep", || processes() == 2);
        let pid = self.pid("one");
        self.ok("task pause one");
        assert_eq!(self.status("one"), "PAUSED");
        assert_eq!(cgroup_file(pid, ("freezer", "freezer.state"), "cgroup.freeze").replace('1', "FROZEN"), "FROZEN");
        self.ok("task resume one");
        assert_eq!(self.status("one"), "RUNNING");
        assert!(self.ok("task metrics one").contains("memory.usage_in_bytes"));
        assert_eq!(processes(), 2);
        self.ok("task kill -s SIGUSR1 one");
        self.room.eventually("the signal was caught", || self.status("one") == "STOPPED");
        let ended = run(&mut self.ctr("task rm one"), b"");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        self.ok("container rm one");
        self.room.assert_calm();
    }

    fn ok_detached(&self, id: &str) {
        run(
            &mut self.run(
                "-d",
                id,
                "trap 'exit 9' USR1; sleep 1000 & echo $! >/tmp/pid; wait; kill $(cat /tmp/pid); exit 9",
            ),
            b"",
        )
        .ok();
    }

    fn remove(&self, id: &str) {
        self.ok(&format!("task kill -s SIGKILL {id}"));
        self.room.eventually("the task has ended", || self.status(id) == "STOPPED");
        self.ok(&format!("task rm {id}"));
        self.ok(&format!("container rm {id}"));
        self.room.assert_calm();
    }
}

#[test]
fn hull_under_containerd_passes_output_and_exit_codes() {
    Containerd::over(Runtime::Hull).passes_output_and_exit_codes();
}

#[test]
fn hull_under_containerd_gives_terminals() {
    Containerd::over(Runtime::Hull).gives_terminals();
}

#[test]
fn hull_under_containerd_pauses_measures_and_kills() {
    Containerd::over(Runtime::Hull).pauses_measures_and_kills();
}

#[test]
fn hull_under_containerd_refuses_what_cannot_run() {
    let containerd = Containerd::over(Runtime::Hull);
    let dir = containerd.room.path().display();
    let words = format!(
        "run --rm --runc-binary {} --cgroup {}/one --rootfs {dir}/rootfs one /nosuchcommand",
        containerd.room.hull_oci().display(),
        containerd.room.cgroup()
    );
    let out = run(&mut containerd.ctr(&words), b"");
    assert!(out.fails(1).contains("/nosuchcommand"), "{}", out.stderr);
    assert_eq!(containerd.ok("container ls -q"), "");
}

#[test]
fn runc_under_containerd_as_control() {
    let containerd = Containerd::over(Runtime::Runc);
    containerd.passes_output_and_exit_codes();
    containerd.gives_terminals();
    containerd.pauses_measures_and_kills();
}
