//! Questions and answers on the wire (RFC 1035): just enough for the addresses of a name. No I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::rand::{GetRandomFlags, getrandom};

const HEADER: usize = 12;
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;
const CLASS_IN: u16 = 1;
// Bits of the third and fourth byte of a header.
const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSE: u16 = 0x0100;
const CODE: u16 = 0x000f;
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
}

/// A question as it is sent.
#[derive(Debug)]
pub(super) struct Question {
    pub bytes: Vec<u8>,
    kind: Kind,
}

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All addresses; none if the name is not known or has none of this kind.
    Addresses(Vec<IpAddr>),
    /// The whole answer does not fit into a datagram.
    Truncated,
    /// The server cannot or will not say.
    Unknown,
}

impl Question {
    /// `None` if the text can be no name.
    pub fn new(name: &str, kind: Kind) -> Option<Self> {
        let mut id = [0; 2];
        getrandom(&mut id, GetRandomFlags::empty()).ok()?;
        let mut bytes = id.to_vec();
        for field in [RECURSE, 1, 0, 0, 0] {
            bytes.extend(field.to_be_bytes());
        }
        if name.len() > MAX_NAME {
            return None;
        }
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|_| (1..=MAX_LABEL).contains(&label.len()))?;
            bytes.push(length);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend((kind as u16).to_be_bytes());
        bytes.extend(CLASS_IN.to_be_bytes());
        Some(Self { bytes, kind })
    }

    /// What `reply` says; `None` if it does not answer this question.
    pub fn answer(&self, reply: &[u8]) -> Option<Answer> {
        let asked = &self.bytes[HEADER..];
        let flags = number(reply, 2)?;
        let same = reply.get(..2)? == &self.bytes[..2]
            && flags & RESPONSE != 0
            && number(reply, 4)? == 1
            && reply.get(HEADER..HEADER + asked.len())?.eq_ignore_ascii_case(asked);
        if !same {
            return None;
        }
        Some(match flags & CODE {
            _ if flags & TRUNCATED != 0 => Answer::Truncated,
            NO_ERROR => records(reply, HEADER + asked.len(), self.kind).map_or(Answer::Unknown, Answer::Addresses),
            NO_SUCH_NAME => Answer::Addresses(Vec::new()),
            _ => Answer::Unknown,
        })
    }
}

/// The addresses among the answers from `at` on; `None` if they are malformed. Servers that recurse send
/// aliases and the addresses behind them together.
fn records(reply: &[u8], mut at: usize, kind: Kind) -> Option<Vec<IpAddr>> {
    let mut found = Vec::new();
    for _ in 0..number(reply, 6)? {
        at = after_name(reply, at)?;
        let (class, length) = (number(reply, at + 2)?, usize::from(number(reply, at + 8)?));
        let data = reply.get(at + 10..at + 10 + length)?;
        if number(reply, at)? == kind as u16 && class == CLASS_IN {
            found.push(match kind {
                Kind::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
                Kind::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
            });
        }
        at += 10 + length;
    }
    Some(found)
}

/// Where a name that begins at `at` ends. Pointers are not followed: nobody reads the name.
fn after_name(reply: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *reply.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=0x3f => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply to `question` with these flags and records: name, type, data.
    fn reply(question: &Question, flags: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut bytes = question.bytes.clone();
        bytes[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
        bytes[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (name, kind, data) in records {
            bytes.extend(*name);
            bytes.extend(kind.to_be_bytes());
            bytes.extend(CLASS_IN.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let question = Question::new("r.example", Kind::A).unwrap();
        assert_eq!(&question.bytes[HEADER..], b"\x01r\x07example\x00\x00\x01\x00\x01");
        let pointer = b"\xc0\x0c";
        let whole = reply(&question, 0, &[(pointer, 5, b"\x01c\x00"), (b"\x01c\x00", 1, &[10, 1, 2, 3])]);
        assert_eq!(question.answer(&whole), Some(Answer::Addresses(vec![[10, 1, 2, 3].into()])));
        let v6 = Question::new("r.example", Kind::Aaaa).unwrap();
        let found = v6.answer(&reply(&v6, 0, &[(pointer, 28, &[1; 16]), (pointer, 1, &[1; 4])]));
        assert_eq!(found, Some(Answer::Addresses(vec![[1; 16].into()])));
        for (flags, expected) in [
            (0, Answer::Addresses(vec![])),
            (NO_SUCH_NAME, Answer::Addresses(vec![])),
            (2, Answer::Unknown),
            (5, Answer::Unknown),
            (TRUNCATED, Answer::Truncated),
        ] {
            assert_eq!(question.answer(&reply(&question, flags, &[])), Some(expected), "{flags}");
        }
    }

    #[test]
    fn replies_to_other_questions_and_malformed_ones_are_no_answers() {
        let question = Question::new("r.example", Kind::A).unwrap();
        let good = reply(&question, 0, &[(b"\xc0\x0c", 1, &[10, 1, 2, 3])]);
        assert_eq!(question.answer(&question.bytes), None, "a question is no answer");
        for at in [0, 1, 5, HEADER + 1, HEADER + 12] {
            let mut other = good.clone();
            other[at] ^= 1;
            assert_eq!(question.answer(&other), None, "byte {at}");
        }
        for end in 0..good.len() {
            let found = question.answer(&good[..end]);
            assert!(matches!(found, None | Some(Answer::Unknown)), "{end}: {found:?}");
        }
        let short = reply(&question, 0, &[(b"\xc0\x0c", 1, &[10, 1, 2])]);
        assert_eq!(question.answer(&short), Some(Answer::Unknown));
    }

    #[test]
    fn what_can_be_no_name_is_not_asked_for() {
        let long = ["a"; 130].join(".");
        for name in ["", "a..b", ".a", &"x".repeat(64), &long] {
            assert!(Question::new(name, Kind::A).is_none(), "{name}");
        }
        assert!(Question::new(&"x".repeat(63), Kind::A).is_some());
    }
}
