//! What runs inside the guest (shell scripts, in `guest/`), and how its words are read.
//!
//! The console carries the tests' output and, on lines of their own, `HULL-VM-BEGIN <name>`,
//! `HULL-VM-EXIT <name> <code> <seconds>` and `HULL-VM-END`.

use std::fmt::Write as _;

use crate::test::{Total, read_total};

/// The initrd's script, after the lines that load its modules.
pub const HANDOVER: &str = include_str!("guest/handover.sh");

/// Scripts that every load disk carries.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("common.sh", include_str!("guest/common.sh")),
    ("plain.sh", include_str!("guest/plain.sh")),
    ("under-systemd.sh", include_str!("guest/under-systemd.sh")),
];

/// What PID 1 is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// A script that runs all test executables.
    Test,
    /// The same under systemd, each executable in a delegated unit.
    Systemd,
    /// A script that gives a shell.
    Shell,
}

impl Flavour {
    /// The script that the initrd hands over to.
    pub fn init(self) -> &'static str {
        match self {
            Self::Test => include_str!("guest/test.sh"),
            Self::Systemd => include_str!("guest/systemd.sh"),
            Self::Shell => include_str!("guest/shell.sh"),
        }
    }
}

/// What has been heard from a guest so far.
#[derive(Debug, Default)]
pub struct Hearing {
    /// All executables' counts.
    pub total: Total,
    /// One line per failure.
    pub failures: Vec<String>,
    /// Whether the guest said that it is done.
    pub finished: bool,
    /// The executable that runs, and its counts.
    running: Option<(String, Total)>,
    /// How many executables have ended.
    ended: usize,
}

impl Hearing {
    /// Takes in one line of the console.
    pub fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["HULL-VM-BEGIN", name] => self.running = Some((name.to_owned(), Total::default())),
            ["HULL-VM-EXIT", name, code, seconds] => self.exit(name, code, seconds),
            ["HULL-VM-END"] => self.finished = true,
            ["test", .., "...", "FAILED"] => {
                let test = words[1..words.len() - 2].join(" ");
                self.failures.push(format!("{}: {test}", self.running()));
            }
            _ => {
                let total = read_total(line);
                self.total.add(total);
                if let Some((_, own)) = &mut self.running {
                    own.add(total);
                }
            }
        }
    }

    /// An executable that died counts as a failure even if it has printed none.
    fn exit(&mut self, name: &str, code: &str, seconds: &str) {
        let own = self.running.take().map_or_else(Total::default, |(_, own)| own);
        if code != "0" && own.failed == 0 {
            self.total.failed += 1;
            self.failures.push(format!("{name}: ended with {code} after {seconds} s"));
        }
        self.ended += 1;
    }

    /// The executable that runs now.
    pub fn running(&self) -> &str {
        self.running.as_ref().map_or("nothing", |(name, _)| name)
    }

    /// The last words on a run.
    pub fn summary(&self) -> String {
        let Total { passed, failed } = self.total;
        let mut text = format!("{} test executables ended: {passed} passed, {failed} failed", self.ended);
        for failure in &self.failures {
            let _ = write!(text, "\n  FAILED {failure}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Hearing {
        let mut hearing = Hearing::default();
        lines.iter().for_each(|line| hearing.line(line));
        hearing
    }

    #[test]
    fn totals_and_names_of_failed_tests_are_heard() {
        let hearing = heard(&[
            "kernel 6.1",
            "HULL-VM-BEGIN 1-sys",
            "test a ... ok",
            "test b - should panic ... FAILED",
            "test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1s",
            "HULL-VM-EXIT 1-sys 101 3",
            "HULL-VM-BEGIN 2-cgroup",
        ]);
        assert_eq!((hearing.total.passed, hearing.total.failed), (7, 1));
        assert_eq!(hearing.failures, ["1-sys: b - should panic"]);
        assert_eq!((hearing.running(), hearing.finished), ("2-cgroup", false));
    }

    #[test]
    fn an_executable_that_dies_without_a_result_is_a_failure() {
        let hearing = heard(&["HULL-VM-BEGIN x", "test a ... ", "HULL-VM-EXIT x 137 1200", "HULL-VM-END"]);
        assert_eq!(hearing.total.failed, 1);
        assert!(hearing.finished);
        assert_eq!(
            hearing.summary(),
            "1 test executables ended: 0 passed, 1 failed\n  FAILED x: ended with 137 after 1200 s"
        );
    }
}
