//! Running programs in tests: output captured, time bounded.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Out {
    /// Exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Out {
    /// The output without its last newline, after checking that the program succeeded.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.code, 0, "failed with {}:\n{}{}", self.code, self.stdout, self.stderr);
        self.stdout.trim_end_matches(['\n', '\r']).to_string()
    }

    /// Checks that the program refused with a sentence for a person that names one of the causes: no panic,
    /// no word of Rust.
    #[track_caller]
    pub fn refuses(&self, what: &str, causes: &[&str]) {
        assert!(self.code != 0 && self.code < 128, "{what}: {self:?}");
        let said = self.stderr.to_lowercase();
        assert!(causes.iter().any(|cause| said.contains(cause)), "{what}: {}", self.stderr);
        assert!(!said.contains("panicked") && !self.stderr.contains("Os {"), "{what}: {}", self.stderr);
    }

    /// Standard error, after checking that the program failed with this code.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code, code, "expected exit code {code}:\n{}{}", self.stdout, self.stderr);
        self.stderr.clone()
    }
}

/// The binary under test: `HULL_BIN`, else the one cargo built beside this test.
pub fn hull_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HULL_BIN") {
        return PathBuf::from(path);
    }
    let exe = std::env::current_exe().expect("the path of this test");
    let dir = exe.parent().and_then(|deps| deps.parent()).expect("target/<profile>");
    dir.join("hull")
}

/// `kill -9`; a process that has ended already is fine.
pub fn kill9(pid: u32) {
    run(Command::new("kill").args(["-9", &pid.to_string()]), b"");
}

/// Runs to the end, with `input` on stdin, at most two minutes (ten under emulation).
pub fn run(command: &mut Command, input: &[u8]) -> Out {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let minutes = if std::env::var_os("HULL_TEST_SLOW").is_some() { 10 } else { 2 };
    let deadline = Instant::now() + Duration::from_secs(60 * minutes);
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{name} did not end within {minutes} minutes");
        }
        thread::sleep(Duration::from_millis(1));
    };
    use std::os::unix::process::ExitStatusExt;
    Out {
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: stdout.join().expect("reader"),
        stderr: stderr.join().expect("reader"),
    }
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How long what should happen soon may take: on a busy machine with two cores, or under emulation, longer than it should.
pub fn patience() -> Duration {
    Duration::from_secs(60)
}

/// The number once it has stayed the same for half a second: the engine refills its pools behind an answer.
pub fn at_rest(read: impl Fn() -> usize) -> usize {
    let (mut last, mut same) = (read(), 0);
    eventually("a number comes to rest", || {
        thread::sleep(Duration::from_millis(20));
        let now = read();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= 25
    });
    last
}

/// Waits until `check` holds; panics with `what` after a minute.
#[track_caller]
pub fn eventually(what: &str, check: impl FnMut() -> bool) {
    within(patience(), what, check);
}

/// Waits until `check` holds; panics with `what` after this long.
#[track_caller]
pub fn within(patience: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !check() {
        assert!(Instant::now() < deadline, "did not happen within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
