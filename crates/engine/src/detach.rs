//! Detach keys: a sequence that leaves a terminal without ending what runs there. Pure.

use crate::error::Error;

/// docker's default: ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// A sequence, and how much of it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    typed: usize,
}

/// What came of some input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What goes to the process.
    pub bytes: Vec<u8>,
    /// The sequence is complete.
    pub detached: bool,
}

impl Keys {
    /// Reads docker's form: single characters and `ctrl-<a-z, @, [, \, ], ^, _>`, separated by commas.
    pub fn parse(text: Option<&str>) -> Result<Self, Error> {
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            return Ok(Self { sequence: DEFAULT.to_vec(), typed: 0 });
        };
        let bad = || Error::DetachKeys(text.chars().take(64).flat_map(char::escape_debug).collect());
        let sequence = text.split(',').map(|key| code(key).ok_or_else(bad)).collect::<Result<_, _>>()?;
        Ok(Self { sequence, typed: 0 })
    }

    /// Takes input. A part of the sequence is held back until it is clear what it becomes.
    pub fn take(&mut self, input: &[u8]) -> Typed {
        let mut bytes = Vec::with_capacity(input.len());
        for byte in input {
            if self.sequence.get(self.typed) == Some(byte) {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    self.typed = 0;
                    return Typed { bytes, detached: true };
                }
                continue;
            }
            bytes.extend_from_slice(&self.sequence[..self.typed]);
            self.typed = 0;
            if self.sequence.first() == Some(byte) && self.sequence.len() > 1 {
                self.typed = 1;
            } else {
                bytes.push(*byte);
            }
        }
        Typed { bytes, detached: false }
    }
}

fn code(key: &str) -> Option<u8> {
    if let Some(letter) = key.strip_prefix("ctrl-") {
        return match letter.as_bytes() {
            [c @ b'a'..=b'z'] => Some(c - b'a' + 1),
            b"@" => Some(0),
            [c @ (b'[' | b'\\' | b']' | b'^' | b'_')] => Some(c - b'@'),
            _ => None,
        };
    }
    match key.as_bytes() {
        [c] if c.is_ascii() && !c.is_ascii_control() => Some(*c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read_as_docker_reads_them() {
        for (text, expected) in [
            (None, Some(vec![16, 17])),
            (Some(""), Some(vec![16, 17])),
            (Some("ctrl-a,a"), Some(vec![1, b'a'])),
            (Some("ctrl-@,ctrl-[,ctrl-_"), Some(vec![0, 27, 31])),
            (Some("x"), Some(vec![b'x'])),
            (Some("ctrl-A"), None),
            (Some("ctrl-"), None),
            (Some("ab"), None),
            (Some("a,,b"), None),
            (Some("\u{7}"), None),
        ] {
            assert_eq!(Keys::parse(text).ok().map(|k| k.sequence), expected, "{text:?}");
        }
    }

    #[test]
    fn the_sequence_is_found_across_reads_and_nothing_else_is_eaten() {
        type Row = (&'static [&'static [u8]], &'static [u8], bool);
        let rows: [Row; 7] = [
            (&[b"ls\n"], b"ls\n", false),
            (&[b"\x10\x11"], b"", true),
            (&[b"a\x10", b"\x11b"], b"a", true),
            (&[b"\x10", b"x"], b"\x10x", false),
            (&[b"\x10\x10\x11"], b"\x10", true),
            (&[b"\x11\x10"], b"\x11", false),
            (&[b"\x10a\x11"], b"\x10a\x11", false),
        ];
        for (reads, expected, detached) in rows {
            let mut keys = Keys::parse(None).unwrap();
            let mut bytes = Vec::new();
            let mut out = false;
            for read in reads {
                let typed = keys.take(read);
                bytes.extend(typed.bytes);
                out |= typed.detached;
                if out {
                    break;
                }
            }
            assert_eq!((&bytes[..], out), (expected, detached), "{reads:?}");
        }
    }
}
