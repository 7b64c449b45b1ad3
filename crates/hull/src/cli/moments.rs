//! `--since` and `--until`: times as docker's CLI reads them.

use hull_types::{Fault, GoDuration, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;

use super::failure::Failure;
use super::parse::shortened;

/// Seconds with nine decimals, as the API takes them: from `42m` (ago), RFC 3339, a local date or
/// time without zone, or seconds since 1970.
pub(super) fn moment(flag: &str, text: &str) -> Result<String, Failure> {
    let nanos = nanos(text).ok_or_else(|| {
        let shown = shortened(text);
        let fault = Fault::invalid(format!("invalid value `{shown}` for `--{flag}`: it is no time"));
        Failure::usage(fault.hint("write 42m, 2026-01-02T15:04:05Z, 2026-01-02, or seconds since 1970"))
    })?;
    Ok(format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000)))
}

fn nanos(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000);
    }
    if let Ok(span) = text.parse::<GoDuration>() {
        return Timestamp::now().nanos().checked_sub(span.nanos());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.nanos());
    }
    let local = text.parse::<civil::DateTime>().ok().or_else(|| {
        let date = text.parse::<civil::Date>().ok()?;
        Some(date.to_datetime(civil::Time::midnight()))
    })?;
    let zoned = local.to_zoned(TimeZone::system()).ok()?;
    i64::try_from(zoned.timestamp().as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_docker_does() {
        assert_eq!(moment("since", "17").unwrap(), "17.000000000");
        assert_eq!(moment("since", "1970-01-01T00:00:01.5Z").unwrap(), "1.500000000");
        assert!(moment("since", "2026-01-02").is_ok());
        assert!(moment("since", "2026-01-02T15:04:05").is_ok());
        let ago: f64 = moment("since", "10m").unwrap().parse().unwrap();
        let now = Timestamp::now().nanos() as f64 / 1e9;
        assert!((now - ago - 600.0).abs() < 5.0);
        assert!(moment("since", "soon").is_err());
    }
}
