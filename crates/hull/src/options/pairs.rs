//! `key=value` lists: labels, annotations, sysctls, log and storage options; decimal CPUs.

use std::collections::BTreeMap;

use hull_types::Fault;

use super::malformed;

/// A map of `key=value`; a bare key has an empty value if `bare` allows it. The last one wins.
pub(crate) fn map(flag: &str, items: &[String], bare: bool) -> Result<BTreeMap<String, String>, Fault> {
    let mut out = BTreeMap::new();
    for item in items {
        let (key, value) = match item.split_once('=') {
            Some(pair) => pair,
            None if bare => (item.as_str(), ""),
            None => return Err(malformed(flag, item, "it must be key=value")),
        };
        if key.is_empty() {
            return Err(malformed(flag, item, "the key is empty"));
        }
        out.insert(key.to_owned(), value.to_owned());
    }
    Ok(out)
}

/// Decimal CPUs in billionths, exactly.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, Fault> {
    let wrong = |why| malformed("cpus", text, why);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(wrong("it must be a decimal number that is not negative"));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err(wrong("it has more than nine decimals"));
    }
    let whole: i64 = format!("0{whole}").parse().map_err(|_| wrong("it is too large"))?;
    let billionths: i64 = format!("{fraction:0<9}").parse().map_err(|_| wrong("it is too large"))?;
    whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(billionths)).ok_or_else(|| wrong("it is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_exact() {
        let table = [
            ("1.5", Some(1_500_000_000)),
            (".25", Some(250_000_000)),
            ("2", Some(2_000_000_000)),
            ("0.000000001", Some(1)),
            ("1.0000000000", Some(1_000_000_000)),
            ("0.0000000001", None),
            ("-1", None),
            ("", None),
            (".", None),
            ("1e3", None),
            ("99999999999", None),
        ];
        for (text, want) in table {
            assert_eq!(nano_cpus(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn pairs_keep_everything_after_the_first_equals_sign() {
        let items = ["a=b=c".to_owned(), "bare".to_owned()];
        let got = map("label", &items, true).unwrap();
        assert_eq!(got["a"], "b=c");
        assert_eq!(got["bare"], "");
        assert!(map("sysctl", &items, false).is_err());
        assert!(map("label", &["=x".to_owned()], true).is_err());
    }
}
