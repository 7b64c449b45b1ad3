//! [`ContainerId`]: 64 lower-case hexadecimal digits, random.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, shown};
use crate::text::serde_as_text;

const LEN: usize = 64;

/// A container's (or exec's) id: 256 random bits as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId([u8; LEN]);

impl ContainerId {
    /// A fresh id from the kernel's random source.
    ///
    /// # Panics
    /// When the kernel has no randomness to give, which it has from early boot on.
    pub fn new_random() -> Self {
        let mut raw = [0_u8; LEN / 2];
        let mut filled = 0;
        while filled < raw.len() {
            match rustix::rand::getrandom(&mut raw[filled..], rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => filled += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => panic!("getrandom: {errno}"),
            }
        }
        let id = Self(hex(&raw));
        // COMPAT(docker 28): an all-digit short id would be taken for a number in places such as hostnames.
        if id.short().bytes().all(|b| b.is_ascii_digit()) {
            return Self::new_random();
        }
        id
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first 12 digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

fn hex(raw: &[u8; LEN / 2]) -> [u8; LEN] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; LEN];
    for (pair, byte) in out.chunks_exact_mut(2).zip(raw) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match <[u8; LEN]>::try_from(text.as_bytes()) {
            Ok(bytes) if is_hex(text) => Ok(Self(bytes)),
            _ => Err(Error::Id(shown(text))),
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

serde_as_text!(ContainerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_parses_back_and_differs_from_the_next() {
        let id = ContainerId::new_random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, ContainerId::new_random());
        assert_eq!(id.short().len(), 12);
    }

    #[test]
    fn only_64_lower_case_hexadecimal_digits_are_an_id() {
        for bad in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }
}
