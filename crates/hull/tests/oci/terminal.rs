//! `process.terminal`: the console's master end comes over a socket; the slave end is the container's.

use std::fs::File;
use std::io::{Read, Write};

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Received, Site};

cases![
    the_console_comes_over_the_socket;
    the_console_is_the_controlling_terminal;
    what_is_typed_arrives;
    the_console_has_the_size_that_is_asked_for;
    dev_console_is_the_terminal;
    a_terminal_without_a_socket_is_refused;
    a_socket_without_a_terminal_is_refused.not_over(Runtime::Crun, "does not look at it");
    a_socket_that_is_not_there_is_refused;
    exec_with_a_terminal;
    the_terminal_belongs_to_the_user;
];

/// The master end, after checking that one descriptor came.
#[track_caller]
fn master(received: Received) -> File {
    let Received { text, mut fds } = received;
    assert_eq!(fds.len(), 1, "{text:?}");
    assert!(!text.is_empty(), "bytes go with a descriptor");
    File::from(fds.remove(0))
}

/// All that the terminal says until its other end is closed.
fn all(mut master: &File) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    // Reading fails with EIO when nobody has the other end.
    while let Ok(count @ 1..) = master.read(&mut piece) {
        bytes.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a script on a terminal; what it said there.
#[track_caller]
fn on_terminal(site: &mut Site, script: &str) -> String {
    site.config["process"]["terminal"] = json!(true);
    let listener = site.listen("console");
    let socket = listener.path();
    site.args(&["sh", "-c", script]).create(&["--console-socket", &socket]).ok();
    let master = master(listener.received());
    site.verb("start", &[]).ok();
    let said = all(&master);
    site.wait_for("stopped");
    site.verb("delete", &[]).ok();
    std::fs::remove_file(socket).expect("rm");
    said
}

fn the_console_comes_over_the_socket(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(on_terminal(&mut site, "echo said"), "said\r\n");
}

fn the_console_is_the_controlling_terminal(rt: Runtime) {
    let mut site = Site::new(rt);
    let said = on_terminal(&mut site, "for n in 0 1 2; do test -t $n && echo yes; done; echo tty > /dev/tty; tty");
    assert!(said.starts_with("yes\r\nyes\r\nyes\r\ntty\r\n/dev/"), "{said:?}");
}

fn what_is_typed_arrives(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["terminal"] = json!(true);
    let listener = site.listen("console");
    site.args(&["sh", "-c", "read a; echo got $a; read b"]);
    site.run(&["-d", "--console-socket", &listener.path()]).ok();
    let master = master(listener.received());
    (&master).write_all(b"words\n").expect("write");
    let mut said = String::new();
    let mut piece = [0; 256];
    while !said.contains("got words\r\n") {
        let count = (&master).read(&mut piece).expect("read");
        said.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    // Ctrl-C is a signal of the terminal, and PID 1 ignores it; end of input ends the shell.
    (&master).write_all(b"\x04").expect("write");
    site.wait_for("stopped");
}

fn the_console_has_the_size_that_is_asked_for(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["consoleSize"] = json!({ "height": 33, "width": 111 });
    assert_eq!(on_terminal(&mut site, "stty size"), "33 111\r\n");
}

fn dev_console_is_the_terminal(rt: Runtime) {
    let mut site = Site::new(rt);
    let said =
        on_terminal(&mut site, "test -c /dev/console && echo console > /dev/console; stat -c %t:%a /dev/console");
    assert!(said.starts_with("console\r\n"), "{said:?}");
    // A pty's major numbers begin at 136.
    assert!(said.contains("88:6"), "{said:?}");
}

fn a_terminal_without_a_socket_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["terminal"] = json!(true);
    assert_ne!(site.create(&[]).code, 0);
    assert_ne!(site.run(&["-d"]).code, 0);
    assert_eq!(site.status(), "");
}

fn a_socket_without_a_terminal_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    let listener = site.listen("console");
    assert_ne!(site.create(&["--console-socket", &listener.path()]).code, 0);
    assert_eq!(site.status(), "");
    drop(std::os::unix::net::UnixStream::connect(listener.path()));
}

fn a_socket_that_is_not_there_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["terminal"] = json!(true);
    let nowhere = site.path().join("nowhere").to_string_lossy().into_owned();
    assert_ne!(site.create(&["--console-socket", &nowhere]).code, 0);
    assert_eq!(site.status(), "");
}

fn exec_with_a_terminal(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let listener = site.listen("console");
    let script = "test -t 0 && test -t 2 && echo tty; tty";
    site.exec(&["--tty", "--detach", "--console-socket", &listener.path()], &["sh", "-c", script]).ok();
    let said = all(&master(listener.received()));
    assert!(said.starts_with("tty\r\n/dev/pts/"), "{said:?}");
}

fn the_terminal_belongs_to_the_user(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    assert_eq!(on_terminal(&mut site, "stat -L -c %u /dev/fd/0"), "1000\r\n");
}
