//! Messages of syslog, in the shapes that docker's driver gives them.

use super::{Line, Origin, Server};
use crate::Stream;

/// Severities of RFC 5424.
const ERR: u8 = 3;
const INFO: u8 = 6;

const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A server and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Where it is.
    pub server: Server,
    /// The facility's number.
    pub facility: u8,
    /// The shape of a message.
    pub format: Format,
}

/// The shape of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As local daemons write it: without a host.
    Unix,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, times in seconds.
    Rfc5424,
    /// RFC 5424, times in microseconds.
    Rfc5424Micro,
}

impl Format {
    /// docker's word for it; none is [`Format::Unix`].
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::Unix,
            "rfc3164" => Self::Rfc3164,
            "rfc5424" => Self::Rfc5424,
            "rfc5424micro" => Self::Rfc5424Micro,
            _ => return None,
        })
    }
}

/// A facility by its name or number; none is `daemon`.
pub fn facility(word: &str) -> Option<u8> {
    if word.is_empty() {
        return Some(3);
    }
    let number = word.parse::<u8>().ok().filter(|number| *number <= 23);
    number.or_else(|| {
        let at = u8::try_from(FACILITIES.iter().position(|name| *name == word)?).ok()?;
        // Between ftp and local0 are four without a common name.
        Some(if at < 12 { at } else { at + 4 })
    })
}

impl Syslog {
    /// COMPAT(docker 28): the shapes of its `srslog`.
    pub(super) fn encode(&self, origin: &Origin, line: &Line<'_>) -> Vec<u8> {
        let severity = if line.stream == Stream::Stderr { ERR } else { INFO };
        let (priority, pid) = (u16::from(self.facility) * 8 + u16::from(severity), std::process::id());
        let Origin { tag, hostname, .. } = origin;
        let time = line.time.fixed();
        let head = match self.format {
            Format::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc3164 => format!("<{priority}>{} {hostname} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc5424 => {
                format!("<{priority}>1 {}Z {hostname} {tag} {pid} {tag} - ", time.get(..19).unwrap_or_default())
            }
            Format::Rfc5424Micro => {
                format!("<{priority}>1 {}Z {hostname} {tag} {pid} {tag} - ", time.get(..26).unwrap_or_default())
            }
        };
        let mut out = head.into_bytes();
        out.extend_from_slice(line.text);
        out.push(b'\n');
        out
    }
}

/// `Nov  6 22:17:46` of `2026-11-06T22:17:46.…`, in UTC.
fn stamp(time: &str) -> String {
    let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let day = part(8..10).trim_start_matches('0');
    format!("{} {day:>2} {}", month.unwrap_or(&"Jan"), part(11..19))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_docker_writes_them() {
        let origin = Origin { tag: "0123456789ab".into(), hostname: "vm".into(), fields: Vec::new() };
        let pid = std::process::id();
        let encode = |format, facility, stream| {
            let time = hull_types::Timestamp::from_nanos(1_794_003_466_588_628_001);
            let server = Server::Udp(String::new());
            let line = Line { stream, time, text: b"out", partial: false };
            String::from_utf8(Syslog { server, facility, format }.encode(&origin, &line)).unwrap()
        };
        let rows = [
            (Format::Unix, 3, Stream::Stdout, format!("<30>Nov  6 22:17:46 0123456789ab[{pid}]: out\n")),
            (Format::Rfc3164, 3, Stream::Stdout, format!("<30>Nov  6 22:17:46 vm 0123456789ab[{pid}]: out\n")),
            (Format::Unix, 19, Stream::Stderr, format!("<155>Nov  6 22:17:46 0123456789ab[{pid}]: out\n")),
            (
                Format::Rfc5424,
                3,
                Stream::Stdout,
                format!("<30>1 2026-11-06T22:17:46Z vm 0123456789ab {pid} 0123456789ab - out\n"),
            ),
            (
                Format::Rfc5424Micro,
                3,
                Stream::Stdout,
                format!("<30>1 2026-11-06T22:17:46.588628Z vm 0123456789ab {pid} 0123456789ab - out\n"),
            ),
        ];
        for (format, facility, stream, wanted) in rows {
            assert_eq!(encode(format, facility, stream), wanted, "{format:?}");
        }
    }

    #[test]
    fn facilities_have_names_and_numbers() {
        for (word, number) in
            [("", Some(3)), ("kern", Some(0)), ("ftp", Some(11)), ("local0", Some(16)), ("local7", Some(23))]
        {
            assert_eq!(facility(word), number, "{word}");
        }
        assert_eq!((facility("19"), facility("24"), facility("x")), (Some(19), None, None));
    }
}
