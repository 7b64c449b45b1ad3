//! Progress of long work on stderr, if that is a terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use hull_types::ByteSize;

const EVERY: Duration = Duration::from_millis(100);

/// A reader that says how much was read.
pub(crate) struct Counted<R> {
    from: R,
    total: Option<u64>,
    verb: &'static str,
    count: u64,
    shown: Option<Instant>,
    began: Instant,
    silent: bool,
}

impl<R: Read> Counted<R> {
    pub(crate) fn new(from: R, total: Option<u64>, verb: &'static str, quiet: bool) -> Self {
        let silent = quiet || !io::stderr().is_terminal();
        Self { from, total, verb, count: 0, shown: None, began: Instant::now(), silent }
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }

    fn show(&mut self) {
        let now = Instant::now();
        let last = self.shown.unwrap_or(self.began);
        if self.silent || now.duration_since(last) < EVERY {
            return;
        }
        self.shown = Some(now);
        let size = |bytes: u64| ByteSize(i64::try_from(bytes).unwrap_or(i64::MAX)).human();
        let count = size(self.count);
        let line = match self.total {
            Some(total) => format!("{} {count} / {}", self.verb, size(total)),
            None => format!("{} {count}", self.verb),
        };
        // the terminal may be gone; progress is a courtesy
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(out)?;
        self.count += count as u64;
        self.show();
        Ok(count)
    }
}
