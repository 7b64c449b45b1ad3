//! `run [-d] [-b BUNDLE] ID`.

use super::launching::{Launching, Mode};
use crate::cli::{Flag, Globals, Words};
use crate::error::Result;

pub const FLAGS: &[Flag] = &[
    Flag::value("bundle").or("b"),
    Flag::value("console-socket"),
    Flag::value("pidfd-socket"),
    Flag::bool("detach").or("d"),
    Flag::bool("keep"),
    Flag::value("pid-file"),
    Flag::bool("no-subreaper"),
    Flag::bool("no-pivot"),
    Flag::bool("no-new-keyring"),
    Flag::value("preserve-fds"),
    Flag::bool("help").or("h"),
];

/// Makes a container and runs it; unless detached, to its end.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let mode = if words.is("detach") { Mode::Detached } else { Mode::Foreground };
    Launching::new(globals, words, mode)?.launch()
}
