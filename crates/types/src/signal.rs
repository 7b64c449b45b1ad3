//! [`Signal`]: a Linux signal by number, name or `SIG` name.
//!
//! Numbers are those of x86-64 and aarch64, which agree. Source: signal(7).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, shown};
use crate::text::serde_as_text;

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal's number, from 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

impl Signal {
    /// Interrupt.
    pub const INT: Self = Self(2);
    /// Kill at once.
    pub const KILL: Self = Self(9);
    /// Terminate, docker's default for stop.
    pub const TERM: Self = Self(15);
    /// A child ended.
    pub const CHLD: Self = Self(17);

    /// The signal of this number.
    ///
    /// # Errors
    /// [`Error::Signal`] unless it is from 1 to 64.
    pub fn from_number(number: i32) -> Result<Self, Error> {
        if (1..=RTMAX).contains(&number) { Ok(Self(number)) } else { Err(Error::Signal(number.to_string())) }
    }

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Every name that completes: `HUP` … `RTMAX`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().chain(["RTMIN", "RTMAX"])
    }
}

fn by_name(name: &str) -> Option<i32> {
    if let Some(index) = NAMES.iter().position(|n| *n == name) {
        return i32::try_from(index + 1).ok();
    }
    if let Some((_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(*number);
    }
    let (base, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (RTMIN, rest),
        (_, Some(rest)) => (RTMAX, rest),
        _ => return None,
    };
    let sign = if base == RTMIN { '+' } else { '-' };
    let steps: i32 = match offset.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        None if offset.is_empty() => 0,
        _ => return None,
    };
    let number = if base == RTMIN { base.checked_add(steps)? } else { base.checked_sub(steps)? };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(|n| Self::from_number(n).ok()).ok_or_else(|| Error::Signal(shown(text)));
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        by_name(name).map(Self).ok_or_else(|| Error::Signal(shown(text)))
    }
}

/// `SIGTERM`, `SIGRTMIN+3`, or the number where the kernel has no name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RTMIN => f.write_str("SIGRTMIN"),
            RTMAX => f.write_str("SIGRTMAX"),
            n if n > RTMIN => write!(f, "SIGRTMIN+{}", n - RTMIN),
            n => match usize::try_from(n - 1).ok().and_then(|i| NAMES.get(i)) {
                Some(name) => write!(f, "SIG{name}"),
                None => write!(f, "{n}"),
            },
        }
    }
}

serde_as_text!(Signal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_parse_by_name_and_number() {
        let rows = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("9", 9),
            ("SIGSYS", 31),
            ("CLD", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ];
        for (text, number) in rows {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
        for bad in
            ["", "0", "65", "-1", "FOO", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN+-1", "RTMIN-1", "99999999999", "15 "]
        {
            assert!(bad.parse::<Signal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_signal_prints_as_text_that_parses_back() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }
}
