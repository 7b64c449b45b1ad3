//! The target of a request: its version, path segments and query, decoded once.

use hull_types::{Fault, Timestamp};
use hull_wire::{API_VERSION, Filters, MIN_API_VERSION};

/// A decoded target.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// The version in the path, or the newest.
    pub version: (u16, u16),
    /// The path behind the version.
    pub segments: Vec<String>,
    /// The query.
    pub query: Query,
}

/// Decoded query parameters, in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Target {
    /// Decodes `/v1.51/containers/x/json?size=1`.
    pub fn parse(target: &str) -> Result<Self, Fault> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut segments: Vec<String> = Vec::new();
        for segment in path.split('/').skip(1) {
            let decoded = percent_decode(segment, false)
                .filter(|text| !text.chars().any(char::is_control))
                .ok_or_else(|| Fault::invalid("the request's path is malformed"))?;
            segments.push(decoded);
        }
        let version = match segments.first().and_then(|first| version(first)) {
            Some(version) => {
                segments.remove(0);
                check_version(version)?;
                version
            }
            None => API_VERSION,
        };
        Ok(Self { version, segments, query: Query::parse(query)? })
    }
}

/// `v1.51`.
fn version(segment: &str) -> Option<(u16, u16)> {
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(major)?, number(minor)?))
}

fn check_version(version: (u16, u16)) -> Result<(), Fault> {
    let show = |(major, minor): (u16, u16)| format!("{major}.{minor}");
    if version < MIN_API_VERSION {
        return Err(Fault::invalid(format!(
            "client version {} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
            show(version),
            show(MIN_API_VERSION)
        )));
    }
    if version > API_VERSION {
        return Err(Fault::invalid(format!(
            "client version {} is too new. Maximum supported API version is {}",
            show(version),
            show(API_VERSION)
        )));
    }
    Ok(())
}

/// `%XX`, and `+` for a space in queries; `None` if it is malformed or not UTF-8.
fn percent_decode(text: &str, plus: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
                out.push(u8::try_from(value).ok()?);
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

impl Query {
    fn parse(text: &str) -> Result<Self, Fault> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| {
                percent_decode(text, true)
                    .filter(|text: &String| !text.contains('\0'))
                    .ok_or_else(|| Fault::invalid("the request's query is malformed"))
            };
            pairs.push((decode(key)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The parameter's first value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The parameter's first value unless it is empty.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Every value of the parameter.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
    }

    /// Docker's truth: absent, `""`, `0`, `no`, `false` and `none` are false, all else is true.
    pub fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    /// As [`Query::flag`], with a value for when it is absent.
    pub fn flag_or(&self, key: &str, absent: bool) -> bool {
        match self.get(key) {
            None => absent,
            Some(value) => !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none"),
        }
    }

    /// A number; `None` if absent or empty.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Fault> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| wrong(key, &text, "it must be a number in range")),
        }
    }

    /// A number that must be there.
    pub fn required<T: std::str::FromStr>(&self, key: &str) -> Result<T, Fault> {
        self.number(key)?.ok_or_else(|| Fault::invalid(format!("the parameter `{key}` is missing")))
    }

    /// A moment; `None` if absent, empty or 0.
    pub fn moment(&self, key: &str) -> Result<Option<Timestamp>, Fault> {
        match self.text(key).filter(|text| text != "0") {
            None => Ok(None),
            Some(text) => Ok(Some(Timestamp::parse_api(&text)?)),
        }
    }

    /// Puts a value in the place of all that the parameter has.
    pub fn set(&mut self, key: &str, value: String) {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.to_owned(), value));
    }

    /// The `filters` parameter.
    pub fn filters(&self) -> Result<Filters, Fault> {
        Ok(Filters::parse(self.get("filters").unwrap_or_default())?)
    }
}

/// The sentence for a parameter that is wrong.
pub(crate) fn wrong(key: &str, value: &str, why: &str) -> Fault {
    let shown: String = value.chars().take(64).flat_map(char::escape_debug).collect();
    Fault::invalid(format!("invalid value `{shown}` of the parameter `{key}`: {why}"))
}

/// A container's or exec's name or id: what no one may be called is refused before it is looked up. COMPAT(docker 28): what an image may
/// be called is only not there, since its CLI's `inspect` asks for a container first.
pub(crate) fn object<'t>(kind: &str, text: &'t str) -> Result<&'t str, Fault> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if plain && starts && text.len() <= 255 {
        return Ok(text);
    }
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    let reference = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-:@".contains(&b));
    if reference && starts && kind == "container" {
        return Err(Fault::not_found(format!("No such container: {shown}")));
    }
    Err(Fault::invalid(format!("invalid {kind} name or id `{shown}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_decode_into_version_path_and_query() {
        let target = Target::parse("/v1.41/images/a%2Fb/c/json?x=1&y=a+b%26&x=2&flag").unwrap();
        assert_eq!(target.version, (1, 41));
        assert_eq!(target.segments, ["images", "a/b", "c", "json"]);
        assert_eq!(
            (target.query.get("x"), target.query.get("y"), target.query.get("flag")),
            (Some("1"), Some("a b&"), Some(""))
        );
        assert_eq!(target.query.all("x"), ["1", "2"]);
        assert_eq!(Target::parse("/_ping").unwrap().version, API_VERSION);
        assert_eq!(Target::parse("/version").unwrap().segments, ["version"]);
    }

    #[test]
    fn malformed_targets_and_foreign_versions_are_refused() {
        for bad in [
            "/a%",
            "/a%0",
            "/a%zz",
            "/%00",
            "/a%0ab",
            "/%ff",
            "/?a=%00",
            "/?%ff=1",
            "/v1.23/info",
            "/v1.99/info",
            "/v2.0/info",
            "/v0.1/info",
        ] {
            let fault = Target::parse(bad).expect_err(bad);
            assert_eq!(fault.kind, hull_types::Kind::Invalid, "{bad}");
        }
        assert!(Target::parse("/v1.23/info").unwrap_err().summary.contains("too old"));
        assert!(Target::parse("/v1.99/info").unwrap_err().summary.contains("too new"));
    }

    #[test]
    fn parameters_have_dockers_types() {
        let query = Target::parse("/x?a=1&b=false&c=None&d=x&e=&n=-5&m=99999999999999999999").unwrap().query;
        let flags: Vec<bool> = ["a", "b", "c", "d", "e", "z"].iter().map(|key| query.flag(key)).collect();
        assert_eq!(flags, [true, false, false, true, false, false]);
        assert!(query.flag_or("z", true) && !query.flag_or("b", true));
        assert_eq!(query.number::<i64>("n"), Ok(Some(-5)));
        assert_eq!(query.number::<i64>("e"), Ok(None));
        assert!(
            query.number::<i64>("m").is_err() && query.number::<u16>("n").is_err() && query.number::<i64>("d").is_err()
        );
        assert!(query.required::<u16>("z").is_err());
    }

    #[test]
    fn names_that_nothing_can_have_are_refused_at_once() {
        for bad in ["", "..", "../x", "a/b", "-a", "a b", "a\n", "é", &"a".repeat(256)] {
            assert!(object("container", bad).is_err(), "{bad:?}");
        }
        assert_eq!(object("container", "web-1.a_b"), Ok("web-1.a_b"));
    }
}
