//! [`Timestamp`]: nanoseconds since 1970, printed as docker prints times.
//!
//! "Never" is a value of its own ([`Timestamp::NEVER`]), since docker shows Go's zero time there.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, shown};

const NEVER_TEXT: &str = "0001-01-01T00:00:00Z";
const NANOS: i64 = 1_000_000_000;

/// A moment in nanoseconds since 1970 UTC; good until the year 2262.
///
/// JSON carries RFC 3339 with nanoseconds, binary formats the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Go's zero time: it has not happened.
    pub const NEVER: Self = Self(i64::MIN);

    /// The moment of the call.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// From nanoseconds since 1970.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds since 1970; saturates.
    pub fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS))
    }

    /// Nanoseconds since 1970.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970; 0 for [`Timestamp::NEVER`].
    pub fn secs(self) -> i64 {
        if self.is_never() { 0 } else { self.0.div_euclid(NANOS) }
    }

    /// Whether this is [`Timestamp::NEVER`].
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }

    /// Parses the API's `since` and `until`: seconds since 1970 with an optional fraction, or RFC 3339.
    ///
    /// # Errors
    /// [`Error::Time`].
    pub fn parse_api(text: &str) -> Result<Self, Error> {
        parse_seconds(text).map(Self).map_or_else(|| text.parse(), Ok)
    }

    /// RFC 3339 with always nine digits of nanoseconds, as `docker logs -t` prints.
    pub fn fixed(self) -> String {
        let seconds = Self::from_secs(self.secs()).to_string();
        let nanos = if self.is_never() { 0 } else { self.0.rem_euclid(NANOS) };
        format!("{}.{nanos:09}Z", seconds.trim_end_matches('Z'))
    }
}

/// `1700000000` or `1700000000.000000123`.
fn parse_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, whole),
    };
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse::<i64>().ok()?;
    let total = whole.parse::<i64>().ok()?.checked_mul(NANOS)?.checked_add(nanos)?;
    Some(if negative { -total } else { total })
}

/// [`Timestamp::NEVER`].
impl Default for Timestamp {
    fn default() -> Self {
        Self::NEVER
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN + 1, |n| -n),
        };
        Self(nanos)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Parses RFC 3339 with any offset; Go's zero time and the empty text are [`Timestamp::NEVER`].
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text == NEVER_TEXT {
            return Ok(Self::NEVER);
        }
        let bad = || Error::Time(shown(text));
        let parsed: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        i64::try_from(parsed.as_nanosecond()).map(Self).map_err(|_| bad())
    }
}

/// RFC 3339 in UTC with as many digits of nanoseconds as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(time) if !self.is_never() => write!(f, "{time}"),
            _ => f.write_str(NEVER_TEXT),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { to.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return i64::deserialize(from).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_docker_prints_them() {
        let rows = [
            (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"),
            (1_700_000_000_123_000_000, "2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.123000000Z"),
            (1_700_000_000_000_000_001, "2023-11-14T22:13:20.000000001Z", "2023-11-14T22:13:20.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        ];
        for (nanos, text, fixed) in rows {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!((time.to_string().as_str(), time.fixed().as_str()), (text, fixed));
            assert_eq!(text.parse(), Ok(time));
        }
    }

    #[test]
    fn never_is_gos_zero_time() {
        assert_eq!(Timestamp::default().to_string(), NEVER_TEXT);
        assert_eq!(NEVER_TEXT.parse(), Ok(Timestamp::NEVER));
        assert_eq!(serde_json::to_string(&Timestamp::NEVER).unwrap(), format!("\"{NEVER_TEXT}\""));
    }

    #[test]
    fn the_apis_times_are_seconds_or_rfc_3339() {
        let rows = [
            ("1700000000", Some(1_700_000_000_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500_000_000)),
            ("1700000000.000000001", Some(1_700_000_000_000_000_001)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000_000_000)),
            ("2023-11-14T23:13:20+01:00", Some(1_700_000_000_000_000_000)),
            ("0", Some(0)),
            ("99999999999999", None),
            ("1.", None),
            ("yesterday", None),
            ("1\0", None),
        ];
        for (text, nanos) in rows {
            assert_eq!(Timestamp::parse_api(text).ok().map(Timestamp::nanos), nanos, "{text}");
        }
    }
}
