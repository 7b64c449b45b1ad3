//! Commands on a terminal of their own, answered.
//!
//! What a terminal shows last may be lost on its way: the kernel throws away what is not read when it hangs up, and a client that is
//! slow to attach misses what came before. So what runs there says what it has to say until somebody answers, and ends then.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Out, patience};

/// Runs `command` on a terminal of this many columns and rows, and types Enter there once it shows `wanted`. Its output is without
/// carriage returns, standard error in it.
#[track_caller]
pub fn on_a_terminal(command: &Command, (columns, rows): (u16, u16), wanted: &str) -> Out {
    let words: Vec<String> = command.get_args().map(|word| quote(&word.to_string_lossy())).collect();
    let program = quote(&command.get_program().to_string_lossy());
    let line = format!("stty cols {columns} rows {rows}; exec {program} {}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir("/");
    script.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script is installed");
    let (mut keys, mut screen) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = {
        let seen = Arc::clone(&seen);
        move || {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&seen).replace('\r', "")
        }
    };
    let reader = thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..count]);
        }
    });
    let deadline = Instant::now() + patience();
    let mut answered = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            break status;
        }
        if !answered && shown().contains(wanted) {
            answered = true;
            let _ = keys.write_all(b"\n");
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end; the terminal showed {:?}", shown());
        }
        thread::sleep(Duration::from_millis(5));
    };
    reader.join().expect("reader");
    Out { code: status.code().unwrap_or(-1), stdout: shown(), stderr: String::new() }
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
