//! [`Digest`]: the SHA-256 name of content.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use crate::error::{Error, shown};
use crate::id::is_hex;
use crate::text::serde_as_text;

const PREFIX: &str = "sha256:";
const LEN: usize = PREFIX.len() + 64;

/// `sha256:` and 64 lower-case hexadecimal digits. Other algorithms are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; LEN]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_raw(&sha2::Sha256::digest(bytes).into())
    }

    /// The digest from a finished hasher's 32 bytes.
    pub fn from_raw(raw: &[u8; 32]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0; LEN];
        out[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in out[PREFIX.len()..].chunks_exact_mut(2).zip(raw) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(out)
    }

    /// The digest of 64 hexadecimal digits without the algorithm.
    ///
    /// # Errors
    /// [`Error::Digest`] if they are not 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Self, Error> {
        format!("{PREFIX}{hex}").parse()
    }

    /// With the algorithm: `sha256:…`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.as_str()[PREFIX.len()..]
    }

    /// The first 12 digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex_ok = text.strip_prefix(PREFIX).is_some_and(is_hex);
        match <[u8; LEN]>::try_from(text.as_bytes()) {
            Ok(bytes) if hex_ok => Ok(Self(bytes)),
            _ => Err(Error::Digest(shown(text))),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

serde_as_text!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::from_hex(&EMPTY[7..]), Ok(Digest::of(b"")));
    }

    #[test]
    fn other_algorithms_lengths_and_cases_are_refused() {
        let upper = EMPTY.to_uppercase();
        for bad in ["", "sha256:", "sha512:00", &EMPTY[..70], &EMPTY[7..], &upper, "../../etc/passwd"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
