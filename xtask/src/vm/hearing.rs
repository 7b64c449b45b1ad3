//! How the guest's words are read, over as many boots as a round takes.
//!
//! The console carries the tests' output and, on lines of their own, `HULL-VM-BEGIN <name>`,
//! `HULL-VM-EXIT <name> <code> <seconds>`, `HULL-VM-END`, and every few seconds `HULL-VM-ALIVE`.

use std::fmt::Write as _;
use std::time::Instant;

use crate::test::{Total, read_total};

/// What has been heard from a guest so far.
#[derive(Debug, Default)]
pub struct Hearing {
    /// All executables' counts.
    pub total: Total,
    /// Tests that failed: executable and test.
    failed: Vec<(String, String)>,
    /// Executables that died without a result, and how.
    died: Vec<String>,
    /// Tests that failed and were tried once more.
    retried: Vec<(String, String)>,
    /// Those of them that then passed.
    mended: Vec<(String, String)>,
    /// Whether the guest said that it is done.
    pub finished: bool,
    /// When it last said more than that it lives.
    pub progress: Option<Instant>,
    /// The executable that runs.
    running: Option<Running>,
    /// How many executables have ended.
    ended: usize,
    /// Executables that have ended, and tests of one that was cut short.
    done: Vec<String>,
}

/// One test executable.
#[derive(Debug, Default)]
struct Running {
    name: String,
    /// As it says itself at its end.
    total: Total,
    /// Names of tests that passed, and that failed, as their lines came.
    passed: Vec<String>,
    failed: Vec<String>,
}

impl Hearing {
    /// Takes in one line of the console; whether it is worth showing.
    pub fn line(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[..] == ["HULL-VM-ALIVE"] {
            return false;
        }
        self.progress = Some(Instant::now());
        match words[..] {
            ["HULL-VM-BEGIN", name] => self.running = Some(Running { name: name.to_owned(), ..Running::default() }),
            ["HULL-VM-EXIT", name, code, seconds] => self.exit(name, code, seconds),
            ["HULL-VM-END"] => self.finished = true,
            ["test", name, .., "...", "ok"] => {
                let test = words[1..words.len() - 2].join(" ");
                if let Some(running) = &mut self.running {
                    let tried = (running.name.clone(), test);
                    if self.retried.contains(&tried) {
                        self.mended.push(tried);
                    }
                    running.passed.push(name.to_owned());
                }
            }
            ["test", name, .., "...", "FAILED"] => {
                let test = words[1..words.len() - 2].join(" ");
                if let Some(running) = &mut self.running {
                    self.failed.push((running.name.clone(), test));
                    running.failed.push(name.to_owned());
                }
            }
            _ => {
                let total = read_total(line);
                self.total.add(total.clone());
                if let Some(running) = &mut self.running {
                    running.total.add(total);
                }
            }
        }
        true
    }

    /// An executable that died counts as a failure even if it has printed none.
    fn exit(&mut self, name: &str, code: &str, seconds: &str) {
        let running = self.running.take().unwrap_or_default();
        if code != "0" && running.total.failed == 0 {
            self.total.failed += 1;
            self.died.push(format!("{name}: ended with {code} after {seconds} s"));
        }
        self.ended += 1;
        if running.failed.is_empty() {
            self.done.push(name.to_owned());
        } else {
            self.done.extend(running.tests());
        }
    }

    /// Forgets the failures of tests, for the next boot to try them once more; whether there are any.
    pub fn try_again(&mut self) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        self.progress = None;
        self.finished = false;
        self.total.failed = self.total.failed.saturating_sub(self.failed.len() as u64);
        self.done.retain(|done| !self.failed.iter().any(|(executable, test)| is_test(done, executable, test)));
        self.retried = std::mem::take(&mut self.failed);
        true
    }

    /// A line for each failure, and for each test that passed only at the second try.
    fn notes(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(executable, test)| format!("FAIL {executable}: {test}"));
        let died = self.died.iter().map(|what| format!("FAIL {what}"));
        let unheard = self.unheard().map(|(executable, test)| format!("FAIL {executable}: {test}: not tried again"));
        let flaky = self.mended.iter().map(|(executable, test)| format!("FLAKY {executable}: {test}"));
        failed.chain(unheard).chain(died).chain(flaky).collect()
    }

    /// Tests that failed and of which nothing was heard since: they count as what they are.
    fn unheard(&self) -> impl Iterator<Item = &(String, String)> {
        self.retried.iter().filter(|test| !self.mended.contains(test) && !self.failed.contains(test))
    }

    /// All that was counted.
    pub fn total(&self) -> Total {
        let failed = self.total.failed + self.unheard().count() as u64;
        Total { notes: self.notes(), failed, ..self.total.clone() }
    }

    /// The machine is gone, and what ran in it: results that were heard count, and stay.
    pub fn cut_short(&mut self) {
        self.progress = None;
        let Some(running) = &self.running else { return };
        // With its total, only the word of its end is missing.
        if running.total.passed + running.total.failed == 0 {
            self.total.passed += running.passed.len() as u64;
            self.total.failed += running.failed.len() as u64;
            self.done.extend(running.tests());
        } else {
            self.done.push(running.name.clone());
        }
    }

    /// What the next boot need not do: lines of `<executable>` or `<executable> <test>`.
    pub fn done(&self) -> &[String] {
        &self.done
    }

    /// The executable that runs now.
    pub fn running(&self) -> &str {
        self.running.as_ref().map_or("nothing", |running| &running.name)
    }

    /// The last words on a run.
    pub fn summary(&self) -> String {
        let Total { passed, failed, .. } = self.total();
        let mut text = format!("{} test executables ended: {passed} passed, {failed} failed", self.ended);
        for note in self.notes() {
            let _ = write!(text, "\n  {note}");
        }
        text
    }
}

impl Running {
    /// Lines for the tests whose result was heard.
    fn tests(&self) -> impl Iterator<Item = String> {
        self.passed.iter().chain(&self.failed).map(|test| format!("{} {test}", self.name))
    }
}

/// Whether a line of [`Hearing::done`] means this test. `test` may carry what libtest says behind a name.
fn is_test(done: &str, executable: &str, test: &str) -> bool {
    let name = test.split_whitespace().next().unwrap_or_default();
    done.split_once(' ') == Some((executable, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Hearing {
        let mut hearing = Hearing::default();
        for line in lines {
            hearing.line(line);
        }
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
        assert_eq!(hearing.total().notes, ["FAIL 1-sys: b - should panic"]);
        assert_eq!((hearing.running(), hearing.finished), ("2-cgroup", false));
    }

    #[test]
    fn an_executable_that_dies_without_a_result_is_a_failure() {
        let hearing = heard(&["HULL-VM-BEGIN x", "test a ... ", "HULL-VM-EXIT x 137 1200", "HULL-VM-END"]);
        assert_eq!(hearing.total.failed, 1);
        assert!(hearing.finished);
        assert_eq!(
            hearing.summary(),
            "1 test executables ended: 0 passed, 1 failed\n  FAIL x: ended with 137 after 1200 s"
        );
    }

    #[test]
    fn a_round_without_failures_stays_finished() {
        let mut hearing = heard(&["HULL-VM-BEGIN x", "test a ... ok", "HULL-VM-EXIT x 0 1", "HULL-VM-END"]);
        assert!(!hearing.try_again() && hearing.finished);
    }

    #[test]
    fn what_failed_is_tried_once_more() {
        let first = [
            "HULL-VM-BEGIN 1-suite",
            "test a ... ok",
            "test b ... FAILED",
            "test c ... FAILED",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            "HULL-VM-EXIT 1-suite 101 3",
            "HULL-VM-END",
        ];
        let mut hearing = heard(&first);
        assert_eq!(hearing.done(), ["1-suite a", "1-suite b", "1-suite c"]);
        assert!(hearing.try_again());
        assert_eq!((hearing.done(), hearing.finished), (&["1-suite a".to_owned()][..], false));
        for line in [
            "HULL-VM-BEGIN 1-suite",
            "test b ... ok",
            "test c ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1s",
            "HULL-VM-EXIT 1-suite 101 2",
            "HULL-VM-END",
        ] {
            hearing.line(line);
        }
        let total = hearing.total();
        assert_eq!((total.passed, total.failed), (2, 1));
        assert_eq!(total.notes, ["FAIL 1-suite: c", "FLAKY 1-suite: b"]);
    }

    #[test]
    fn what_is_not_tried_again_stays_failed() {
        let mut hearing = heard(&[
            "HULL-VM-BEGIN 1-suite",
            "test a ... ok",
            "test b ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            "HULL-VM-EXIT 1-suite 101 3",
            "HULL-VM-END",
        ]);
        assert!(hearing.try_again());
        hearing.line("HULL-VM-END");
        let total = hearing.total();
        assert_eq!((total.passed, total.failed), (1, 1));
        assert_eq!(total.notes, ["FAIL 1-suite: b: not tried again"]);
    }

    #[test]
    fn a_machine_that_dies_loses_no_result_that_was_heard() {
        let mut hearing = heard(&[
            "HULL-VM-BEGIN 1-sys",
            "test a ... ok",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            "HULL-VM-EXIT 1-sys 0 3",
            "HULL-VM-BEGIN 2-suite",
            "test b::one ... ok",
            "test b::two - should panic ... FAILED",
            "HULL-VM-ALIVE",
        ]);
        hearing.cut_short();
        assert_eq!((hearing.total.passed, hearing.total.failed), (2, 1));
        assert_eq!(hearing.done(), ["1-sys", "2-suite b::one", "2-suite b::two"]);
        for line in [
            "HULL-VM-BEGIN 2-suite",
            "test b::three ... ok",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1s",
        ] {
            hearing.line(line);
        }
        hearing.cut_short();
        assert_eq!((hearing.total.passed, hearing.total.failed), (3, 1));
        assert_eq!(hearing.done().last().map(String::as_str), Some("2-suite"));
    }
}
