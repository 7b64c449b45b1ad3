//! Decoding by Go's rules, and the sentence that names the field which is wrong.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use hull_types::{Fault, Kind};

/// Bodies above this size get an error without the field's name: searching it takes several parses.
const EXPLAIN_LIMIT: usize = 16 * 1024;
/// How many members of one object or list are tried as the culprit.
const EXPLAIN_WIDTH: usize = 256;

/// Why a body is not what the endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON, cut short, or nested too deeply.
    #[error("the request's JSON is malformed: {0}")]
    Malformed(String),
    /// JSON, but a field has the wrong type or range.
    #[error("the request's field `{field}` is wrong: {why}")]
    Field {
        /// The path of the field: `HostConfig.Memory`.
        field: String,
        /// What was found and what was expected.
        why: String,
    },
    /// JSON of another shape altogether.
    #[error("the request's JSON has the wrong shape: {0}")]
    Shape(String),
    /// The `filters` parameter is not a map of lists.
    #[error("invalid filters: {0}")]
    Filters(String),
    /// A filter that this endpoint does not know.
    #[error("invalid filter '{0}'")]
    UnknownFilter(String),
}

impl Error {
    /// Every one of these is a mistake in the request.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Decodes one JSON document; an error names the field.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Field`] or [`Error::Shape`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| explain::<T>(body, &error))
}

fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Error {
    if !error.is_data() {
        return Error::Malformed(sentence(error));
    }
    let parsed = if body.len() > EXPLAIN_LIMIT { None } else { serde_json::from_slice::<Value>(body).ok() };
    let path = parsed.map(|mut document| culprit::<T>(&mut document)).unwrap_or_default();
    match path.as_slice() {
        [_, ..] => Error::Field { field: path.join("."), why: sentence(error) },
        [] => Error::Shape(sentence(error)),
    }
}

/// The error without the position and in plain words, cut to a readable length and on one line.
fn sentence(error: &serde_json::Error) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("expected i64", "expected a whole number"),
        ("expected u64", "expected a whole number that is not negative"),
        ("expected u32", "expected a number from 0 to 4294967295"),
        ("expected u16", "expected a number from 0 to 65535"),
        ("expected struct ", "expected an object: "),
        ("expected a sequence", "expected a list"),
    ];
    let text = error.to_string();
    let mut text = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head).to_owned();
    if let Some((plain, word)) = WORDS.iter().find_map(|(jargon, word)| Some((text.rsplit_once(jargon)?.0, word))) {
        let rest = &text[plain.len()..];
        let rest = WORDS.iter().find_map(|(jargon, _)| rest.strip_prefix(jargon)).unwrap_or_default();
        text = format!("{plain}{word}{rest}");
    }
    text.chars().take(200).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The path of the member that is wrong: since every member may be absent, the one whose removal cures the document
/// is it. Empty if no single member does.
fn culprit<T: DeserializeOwned>(document: &mut Value) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(step) = find_step::<T>(document, &path) {
        path.push(step);
    }
    path
}

fn find_step<T: DeserializeOwned>(document: &mut Value, path: &[String]) -> Option<String> {
    let names: Vec<String> = match at(document, path)? {
        Value::Object(map) => map.keys().take(EXPLAIN_WIDTH).cloned().collect(),
        Value::Array(list) => (0..list.len().min(EXPLAIN_WIDTH)).map(|i| i.to_string()).collect(),
        _ => return None,
    };
    names.into_iter().find(|name| cures::<T>(document, path, name))
}

fn cures<T: DeserializeOwned>(document: &mut Value, path: &[String], name: &str) -> bool {
    let Some(kept) = at(document, path).and_then(|parent| take(parent, name)) else { return false };
    // From bytes as every request: reading it from the document itself would be all the code for each type once more.
    let cured = serde_json::from_slice::<T>(document.to_string().as_bytes()).is_ok();
    match at(document, path) {
        Some(Value::Object(map)) => drop(map.insert(name.to_owned(), kept)),
        Some(Value::Array(list)) => list.insert(name.parse().unwrap_or(0), kept),
        _ => {}
    }
    cured
}

fn take(parent: &mut Value, name: &str) -> Option<Value> {
    match parent {
        Value::Object(map) => map.remove(name),
        Value::Array(list) => Some(list.remove(name.parse().ok()?)),
        _ => None,
    }
}

fn at<'a>(document: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(document, |value, name| child(value, name))
}

fn child<'a>(parent: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match parent {
        Value::Object(map) => map.get_mut(name),
        Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// `null` decodes as the zero value.
pub(crate) fn null_is_zero<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Whether a field is its type's zero value.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The zero value encodes as `null`.
pub(crate) fn zero_is_null<S, T>(value: &T, to: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize + Default + PartialEq,
{
    if is_zero(value) { to.serialize_none() } else { value.serialize(to) }
}

/// A list of words that may also be written as one word: docker's `Cmd` and `Entrypoint`.
pub(crate) fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string or a list of strings")]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Words>::deserialize(from)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}

/// Go's `struct{}`: `{}` in JSON; any object and `null` decode to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty {}

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        to.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        type Members = std::collections::BTreeMap<String, serde::de::IgnoredAny>;
        Option::<Members>::deserialize(from).map(|_| Self {})
    }
}
