//! [`ByteSize`]: docker's sizes. Input is binary (`64m` is 64 MiB), lists print decimal units.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, shown};

/// A number of bytes; -1 where a caller allows "unlimited".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub i64);

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

impl ByteSize {
    /// Unlimited, where a caller allows it.
    pub const UNLIMITED: Self = Self(-1);

    /// The number of bytes.
    pub fn bytes(self) -> i64 {
        self.0
    }

    /// Parses as [`FromStr`] does and also takes `-1`.
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn parse_or_unlimited(text: &str) -> Result<Self, Error> {
        if text == "-1" { Ok(Self::UNLIMITED) } else { text.parse() }
    }

    /// Decimal units with three significant digits, as `docker images` prints: `4.26MB`.
    pub fn human(self) -> String {
        print(self.0, 1000.0, 3, &DECIMAL)
    }

    /// Binary units with four significant digits, as `docker stats` prints: `1.5MiB`.
    pub fn human_binary(self) -> String {
        print(self.0, 1024.0, 4, &BINARY)
    }
}

fn print(bytes: i64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// C's `%.{digits}g` for the values that a size takes: no exponent unless rounding demands one.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let last = digits as i32 - 1;
    if exponent > last {
        // `%g` turns 1023 with three digits into 1.02e+03; docker prints the same.
        let mantissa = scientific.split_once('e').map_or("", |(m, _)| m);
        return format!("{}e+{exponent:02}", trim_zeros(mantissa));
    }
    trim_zeros(&format!("{value:.*}", usize::try_from(last - exponent).unwrap_or(0))).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The multiplier of what follows the number: `""`, `b`, `k`, `kb`, `kib`, … in any case.
fn multiplier(unit: &str) -> Option<u64> {
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let mut chars = unit.chars();
    let shift = match chars.next() {
        None => return Some(1),
        Some('b') => return chars.next().is_none().then_some(1),
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some(_) => return None,
    };
    matches!(chars.as_str(), "" | "b" | "ib").then_some(1 << shift)
}

impl FromStr for ByteSize {
    type Err = Error;

    /// Parses `64m`, `1.5g`, `1024`, `10 kB`: never negative, binary multiples.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Size(shown(text));
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let multiplier = multiplier(unit).ok_or_else(bad)?;
        if let Ok(whole) = number.parse::<u64>() {
            let bytes = whole.checked_mul(multiplier).ok_or_else(bad)?;
            return i64::try_from(bytes).map(Self).map_err(|_| bad());
        }
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let bytes = number.parse::<f64>().map_err(|_| bad())? * multiplier as f64;
        if bytes < i64::MAX as f64 { Ok(Self(bytes as i64)) } else { Err(bad()) }
    }
}

/// The plain number of bytes.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_parse_as_docker_does() {
        let rows = [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32Kib", 32 << 10),
            ("64m", 64 << 20),
            ("32 mb", 32 << 20),
            ("1g", 1 << 30),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
            ("1.5k", 1536),
            ("32.", 32),
            ("0.5m", 1 << 19),
        ];
        for (text, bytes) in rows {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn malformed_and_huge_sizes_are_refused() {
        for bad in [
            "",
            "-1",
            "m",
            "hello",
            "-32",
            ".3kB",
            " 32 ",
            "32m b",
            "32bm",
            "32i",
            "1e3",
            "NaN",
            "inf",
            "0x10",
            "1.2.3",
            "99999999999999999999",
            "9999999p",
            "1_000",
            "٣",
            "12\0",
            "3\n",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
        assert_eq!(ByteSize::parse_or_unlimited("-1"), Ok(ByteSize::UNLIMITED));
        assert!(ByteSize::parse_or_unlimited("-2").is_err());
    }

    #[test]
    fn sizes_print_as_docker_prints_them() {
        let rows = [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1000B"),
            (1024, "1.02kB", "1KiB"),
            (4_261_550, "4.26MB", "4.064MiB"),
            (1_572_864, "1.57MB", "1.5MiB"),
            (77_800_000, "77.8MB", "74.2MiB"),
            (16_777_216_000, "16.8GB", "15.62GiB"),
        ];
        for (bytes, decimal, binary) in rows {
            assert_eq!(ByteSize(bytes).human(), decimal);
            assert_eq!(ByteSize(bytes).human_binary(), binary);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error(text in ".{0,40}") {
            if let Ok(size) = text.parse::<ByteSize>() {
                prop_assert!(size.0 >= 0);
            }
        }

        #[test]
        fn a_printed_number_parses_back(bytes in 0_i64..) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
            prop_assert!(!ByteSize(bytes).human().is_empty());
        }
    }
}
