//! `create [-b BUNDLE] ID`.

use super::launching::{Launching, Mode};
use crate::cli::{Flag, Globals, Words};
use crate::error::Result;

pub const FLAGS: &[Flag] = &[
    Flag::value("bundle").or("b"),
    Flag::value("console-socket"),
    Flag::value("pidfd-socket"),
    Flag::value("pid-file"),
    Flag::bool("no-pivot"),
    Flag::bool("no-new-keyring"),
    Flag::value("preserve-fds"),
    Flag::bool("help").or("h"),
];

/// Makes a container that waits for `start`.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    Launching::new(globals, words, Mode::Create)?.launch()?;
    Ok(0)
}
