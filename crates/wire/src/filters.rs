//! [`Filters`]: the `filters` parameter of list endpoints.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::decode::Error;

/// Key → values, any of which may match. Decodes docker's two spellings:
/// `{"status":["running"]}` and `{"status":{"running":true}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// No filter: everything matches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the query parameter; the empty text is no filter.
    ///
    /// # Errors
    /// [`Error::Filters`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let map: Option<BTreeMap<String, Values>> = serde_json::from_str(text)
            .map_err(|_| Error::Filters("it must be JSON: an object of lists of strings".to_owned()))?;
        let map = map.unwrap_or_default().into_iter().map(|(key, values)| match values {
            Values::List(list) => (key, list),
            Values::Set(set) => (key, set.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect()),
        });
        let filters = Self(map.collect());
        let control = |text: &String| text.chars().any(char::is_control);
        if filters.0.iter().any(|(key, values)| control(key) || values.iter().any(control)) {
            return Err(Error::Filters("control characters are not allowed".to_owned()));
        }
        Ok(filters)
    }

    /// The query parameter, in the spelling that every docker version decodes.
    pub fn to_json(&self) -> String {
        let sets: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(|value| (value.as_str(), true)).collect()))
            .collect();
        serde_json::to_string(&sets).unwrap_or_default()
    }

    /// Adds a value.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().push(value.into());
    }

    /// The values of a key; empty if the key is absent.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether the key is there with at least one value.
    pub fn has(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// Whether there is no filter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every key with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// Refuses keys that the endpoint does not know.
    ///
    /// # Errors
    /// [`Error::UnknownFilter`].
    pub fn check(&self, known: &[&str]) -> Result<(), Error> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::UnknownFilter(key.chars().take(64).collect())),
            None => Ok(()),
        }
    }

    /// Whether `value` equals one of the key's values, or the key is absent.
    pub fn matches(&self, key: &str, value: &str) -> bool {
        let values = self.get(key);
        values.is_empty() || values.iter().any(|wanted| wanted == value)
    }

    /// Whether the labels have every `key` or `key=value` of the `label` filter.
    pub fn matches_labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.get(key).iter().all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_decode_and_the_encoding_decodes_again() {
        let list = Filters::parse(r#"{"status":["running","exited"],"label":["a=b"]}"#).unwrap();
        let set =
            Filters::parse(r#"{"status":{"running":true,"exited":true,"dead":false},"label":{"a=b":true}}"#).unwrap();
        assert_eq!(list.get("label"), set.get("label"));
        assert!(set.matches("status", "running") && !set.matches("status", "dead") && set.matches("name", "any"));
        assert_eq!(Filters::parse(&set.to_json()), Ok(set));
        assert_eq!(Filters::parse(""), Ok(Filters::new()));
        assert_eq!(Filters::parse("null"), Ok(Filters::new()));
    }

    #[test]
    fn malformed_and_unknown_filters_are_refused() {
        for bad in ["{", "[]", "1", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":["\u0000"]}"#, r#"{"a\n":["b"]}"#] {
            assert!(Filters::parse(bad).is_err(), "{bad}");
        }
        let filters = Filters::parse(r#"{"colour":["red"]}"#).unwrap();
        assert_eq!(filters.check(&["status"]).unwrap_err().to_string(), "invalid filter 'colour'");
    }

    #[test]
    fn labels_match_by_key_and_by_value() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for (text, expected) in [("a", true), ("a=b", true), ("a=c", false), ("b", false)] {
            let mut filters = Filters::new();
            filters.add("label", text);
            assert_eq!(filters.matches_labels("label", &labels), expected, "{text}");
        }
    }
}
