//! The wire format (RFC 1035, RFC 6891) as far as a name service needs it: a query is read up to its question
//! and its OPT record, an answer repeats the question and adds records. Pure. What comes in is untrusted.

use std::net::IpAddr;

/// `A`, `PTR`, `AAAA`, `OPT`, `ANY`.
pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(super) const ANY: u16 = 255;

/// `IN`.
const INTERNET: u16 = 1;

/// Bytes of the header.
const HEADER: usize = 12;

/// What a client takes over UDP that says nothing of it, and the least it may say.
const SMALLEST: usize = 512;

/// What this side says that it takes.
const OURS: u16 = 4096;

/// Seconds for which an answer may be kept. A container's address is another's tomorrow.
const TTL: u32 = 1;

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Fine = 0,
    /// The query cannot be read.
    Format = 1,
    /// Nobody could be asked.
    Failure = 2,
    /// Another operation than a query.
    NotImplemented = 4,
    /// An unknown version of EDNS; the upper bits stand in the OPT record.
    Version = 16,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Pointer(String),
}

/// A query that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// The header and the question, as they came.
    head: &'a [u8],
    /// The name in lower case, labels joined by dots. A byte that no host's name has is U+FFFD.
    pub name: String,
    /// What is asked for.
    pub kind: u16,
    /// Whether it is asked for the internet's class.
    pub internet: bool,
    /// Bytes that the client takes over UDP; `None` without EDNS.
    size: Option<u16>,
}

/// Why there is nothing to answer from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// No query at all: nothing is sent back.
    Silence,
    /// This is sent back.
    Refusal(Vec<u8>),
}

impl<'a> Query<'a> {
    /// Reads a query.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Bad> {
        if bytes.len() < HEADER || bytes[2] & 0x80 != 0 {
            return Err(Bad::Silence);
        }
        let refuse = |code| Bad::Refusal(refusal(bytes, code));
        if bytes[2] & 0x78 != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        let [questions, answers, authorities, additional] = [4, 6, 8, 10].map(|at| u16_at(bytes, at).unwrap_or(0));
        if questions != 1 || answers != 0 || authorities != 0 {
            return Err(refuse(Code::Format));
        }
        let (name, end) = name(bytes, HEADER).ok_or_else(|| refuse(Code::Format))?;
        let kind = u16_at(bytes, end).ok_or_else(|| refuse(Code::Format))?;
        let class = u16_at(bytes, end + 2).ok_or_else(|| refuse(Code::Format))?;
        let mut query =
            Self { head: &bytes[..end + 4], name, kind, internet: matches!(class, INTERNET | ANY), size: None };
        let edns = options(bytes, end + 4, additional).ok_or_else(|| refuse(Code::Format))?;
        if let Some((size, version)) = edns {
            query.size = Some(size);
            if version != 0 {
                return Err(Bad::Refusal(query.answer(Code::Version, &[], SMALLEST)));
            }
        }
        Ok(query)
    }

    /// Bytes that the client takes over UDP.
    pub fn limit(&self) -> usize {
        self.size.map_or(SMALLEST, |size| usize::from(size).max(SMALLEST))
    }

    /// Whether this is an answer to the question, whatever its number.
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        let question = &self.head[HEADER..];
        answer.len() >= self.head.len()
            && answer[2] & 0x80 != 0
            && u16_at(answer, 4) == Some(1)
            && answer[HEADER..self.head.len()].eq_ignore_ascii_case(question)
    }

    /// An answer of at most `limit` bytes: what does not fit is left out, and that is said (`TC`).
    pub fn answer(&self, code: Code, records: &[Record], limit: usize) -> Vec<u8> {
        let mut out = self.head.to_vec();
        let recursion = out[2] & 1;
        out[2] = 0x80 | recursion;
        out[3] = 0x80 | (code as u8 & 0x0f);
        out[4..HEADER].fill(0);
        out[5] = 1;
        let tail = if self.size.is_some() { 11 } else { 0 };
        let mut count = 0_u16;
        for record in records {
            let bytes = record.encode();
            if out.len() + bytes.len() + tail > limit || count == u16::MAX {
                out[2] |= 2;
                break;
            }
            out.extend(bytes);
            count += 1;
        }
        out[6..8].copy_from_slice(&count.to_be_bytes());
        if self.size.is_some() {
            out[11] = 1;
            out.push(0);
            out.extend(OPT.to_be_bytes());
            out.extend(OURS.to_be_bytes());
            out.extend([(code as u8) >> 4, 0, 0, 0, 0, 0]);
        }
        out
    }
}

impl Record {
    /// For the name of the question.
    fn encode(&self) -> Vec<u8> {
        let (kind, data) = match self {
            Self::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
            Self::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
            Self::Pointer(name) => (PTR, encode_name(name)),
        };
        let mut out = vec![0xc0, HEADER as u8];
        out.extend(kind.to_be_bytes());
        out.extend(INTERNET.to_be_bytes());
        out.extend(TTL.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
        out
    }
}

/// Labels, each with its length. What is too long for one is cut.
fn encode_name(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        if out.len() + label.len() + 2 > 255 {
            break;
        }
        out.push(label.len() as u8);
        out.extend(label);
    }
    out.push(0);
    out
}

/// The address that a name beneath `in-addr.arpa` or `ip6.arpa` stands for.
pub(super) fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = rest.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = labels.next()?.parse().ok()?;
        }
        return labels.next().is_none().then(|| octets.into());
    }
    let rest = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut labels = 0;
    for (at, label) in rest.split('.').enumerate() {
        let digit = u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1 && at < 32)?;
        bits |= digit << (4 * at);
        labels += 1;
    }
    (labels == 32).then(|| std::net::Ipv6Addr::from_bits(bits).into())
}

/// The header alone, with a code. The caller has seen that there is one.
fn refusal(bytes: &[u8], code: Code) -> Vec<u8> {
    let mut out = bytes[..HEADER].to_vec();
    out[2] = 0x80 | (bytes[2] & 0x79);
    out[3] = 0x80 | code as u8;
    out[4..].fill(0);
    out
}

/// A question's name, and where it ends. Pointers have no place there.
fn name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), start);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        let label = bytes.get(at..at + length).filter(|_| length <= 63)?;
        at += length;
        if at - start > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        let plain = |b: &u8| b.is_ascii_graphic() && *b != b'.';
        name.extend(label.iter().map(|b| if plain(b) { char::from(b.to_ascii_lowercase()) } else { '\u{fffd}' }));
    }
}

/// The OPT record's size and version among the additional records. The outer `None`: they cannot be read.
#[expect(clippy::option_option, reason = "no record, and none that can be read, are two things")]
fn options(bytes: &[u8], mut at: usize, additional: u16) -> Option<Option<(u16, u8)>> {
    let mut found = None;
    for _ in 0..additional {
        at = skip_name(bytes, at)?;
        let length = usize::from(u16_at(bytes, at + 8)?);
        if u16_at(bytes, at)? == OPT && found.is_none() {
            found = Some((u16_at(bytes, at + 2)?, *bytes.get(at + 5)?));
        }
        at += 10 + length;
        if at > bytes.len() {
            return None;
        }
    }
    Some(found)
}

fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            length if length <= 63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A query as a client writes it.
    pub(in crate::dns) fn query(name: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
        let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(size.is_some())];
        out.extend(encode_name(name));
        out.extend(kind.to_be_bytes());
        out.extend(INTERNET.to_be_bytes());
        if let Some(size) = size {
            out.extend([0, 0, 41]);
            out.extend(size.to_be_bytes());
            out.extend([0; 6]);
        }
        out
    }

    #[test]
    fn a_question_is_read_and_repeated() {
        let bytes = query("Web.LAN", A, None);
        let asked = Query::parse(&bytes).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind, asked.internet, asked.limit()), ("web.lan", A, true, 512));
        let answer = asked.answer(Code::Fine, &[Record::Address([10, 0, 0, 2].into())], 512);
        assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x80]);
        assert_eq!(answer[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[12..bytes.len()], bytes[12..], "as it was written");
        assert_eq!(answer[bytes.len()..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 2]);
        assert!(asked.is_answered_by(&answer));
        assert!(!asked.is_answered_by(&bytes), "a query is no answer");
        let other = query("web.lab", A, None);
        let other = Query::parse(&other).unwrap().answer(Code::Fine, &[], 512);
        assert!(!asked.is_answered_by(&other));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let many: Vec<Record> = (0..100).map(|n| Record::Address([10, 0, 0, n].into())).collect();
        let bytes = query("web", A, None);
        let answer = Query::parse(&bytes).unwrap().answer(Code::Fine, &many, 512);
        assert!(answer.len() <= 512 && answer[2] & 2 != 0);
        let bytes = query("web", A, Some(4096));
        let asked = Query::parse(&bytes).unwrap();
        assert_eq!(asked.limit(), 4096);
        let answer = asked.answer(Code::Fine, &many, asked.limit());
        assert_eq!((u16_at(&answer, 6), answer[2] & 2, answer[11]), (Some(100), 0, 1));
        assert_eq!(answer[answer.len() - 11..][..5], [0, 0, 41, 16, 0]);
    }

    #[test]
    fn another_version_of_edns_is_told_ours() {
        let mut bytes = query("web", A, Some(1232));
        let version = bytes.len() - 5;
        bytes[version] = 1;
        let Err(Bad::Refusal(answer)) = Query::parse(&bytes) else { panic!("it was read") };
        assert_eq!((answer[3] & 0x0f, answer[answer.len() - 6]), (0, 1), "BADVERS");
    }

    #[test]
    fn what_cannot_be_read_is_refused_or_ignored() {
        let good = query("web", A, Some(1232));
        assert_eq!(Query::parse(&good[..11]), Err(Bad::Silence));
        let mut answer = good.clone();
        answer[2] |= 0x80;
        assert_eq!(Query::parse(&answer), Err(Bad::Silence), "answers are never answered");
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            match Query::parse(&bytes) {
                Err(Bad::Refusal(answer)) => answer[3] & 0x0f,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(with(2, 0x29), 4, "an update");
        assert_eq!(with(5, 2), 1, "two questions");
        assert_eq!(with(12, 0xc0), 1, "a pointer in the question");
        assert_eq!(with(12, 64), 1, "a label too long");
        assert_eq!(with(11, 9), 1, "records that are not there");
        for length in 12..good.len() {
            assert!(Query::parse(&good[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn no_bytes_make_it_fail() {
        // A small generator of its own: the same bytes each time.
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let good = query("a.long.name.of.a.container", AAAA, Some(1232));
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..next() % 6 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            bytes.truncate(next() as usize % (bytes.len() + 1));
            if let Ok(query) = Query::parse(&bytes) {
                let answer = query.answer(Code::Failure, &[Record::Pointer("x".repeat(300))], query.limit());
                assert!(query.is_answered_by(&answer) && answer.len() <= query.limit());
            }
        }
    }

    #[test]
    fn reverse_names() {
        assert_eq!(reverse("2.0.77.10.in-addr.arpa"), Some([10, 77, 0, 2].into()));
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(six), Some("fd00::2".parse().unwrap()));
        for bad in ["1.2.3.in-addr.arpa", "0.1.2.3.4.in-addr.arpa", "x.2.3.4.in-addr.arpa", "f.ip6.arpa", "web"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }
}
