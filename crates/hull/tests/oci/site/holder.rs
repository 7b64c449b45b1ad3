//! [`Holder`]: a process that keeps the site's namespaces.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::case::Runtime;

/// It ends when its stdin does: so also when the test is killed.
pub struct Holder(Child);

impl Holder {
    /// Makes the namespaces.
    pub fn new(runtime: Runtime) -> Self {
        // crun refuses hosts with both kinds of cgroups: there it sees one kind.
        let hide = if runtime == Runtime::Crun { "umount /sys/fs/cgroup/unified 2>/dev/null;" } else { "" };
        let script = format!("{hide} ip link set lo up; echo ready; exec cat");
        let mut child = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "--", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed");
        let mut line = String::new();
        let ready = BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line);
        assert!(ready.is_ok() && line == "ready\n", "the namespaces could not be made: are you root?");
        Self(child)
    }

    /// Its pid on the host.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
