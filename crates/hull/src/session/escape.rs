//! The keys that detach: `ctrl-p,ctrl-q` unless told otherwise.

use hull_types::Fault;

/// Watches input for the detach sequence and withholds what may become it.
#[derive(Debug)]
pub(crate) struct Escape {
    keys: Vec<u8>,
    matched: usize,
}

/// docker's default.
pub(crate) const DEFAULT: &str = "ctrl-p,ctrl-q";

impl Escape {
    /// Parses `ctrl-p,ctrl-q`, single characters, `ctrl-` with a letter or one of `@[\]^_`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let text = if text.is_empty() { DEFAULT } else { text };
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        let keys = keys.ok_or_else(|| {
            let shown = crate::cli::parse::shortened(text);
            Fault::invalid(format!("invalid detach keys `{shown}`"))
                .hint("write characters or ctrl-X parted by commas, as in ctrl-p,ctrl-q")
        })?;
        Ok(Self { keys, matched: 0 })
    }

    /// What of `input` may be sent, and whether the sequence is complete.
    pub(crate) fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(input.len() + self.keys.len());
        for byte in input {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(*byte == self.keys[0]);
            if self.matched == 0 {
                out.push(*byte);
            }
        }
        (out, false)
    }
}

fn key(word: &str) -> Option<u8> {
    match word.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Some(letter - b'a' + 1),
        Some([sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Some(sign & 0x1f),
        Some(_) => None,
        None => match word.as_bytes() {
            [byte] => Some(*byte),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_withheld_until_they_are_something_else() {
        let mut escape = Escape::parse("").unwrap();
        assert_eq!(escape.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(escape.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(escape.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(escape.filter(b"\x11rest"), (Vec::new(), true));
        let mut escape = Escape::parse("q").unwrap();
        assert_eq!(escape.filter(b"xqy"), (b"x".to_vec(), true));
        for wrong in ["ctrl-1", "ctrl-", "ab", "a,,b"] {
            assert!(Escape::parse(wrong).is_err(), "{wrong}");
        }
    }
}
