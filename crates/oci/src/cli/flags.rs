//! Flags as Go's: `-b x`, `--bundle x`, `--bundle=x`, one or two dashes; `--` ends them.

use crate::error::{Error, Result};

/// A flag that a verb knows.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    name: &'static str,
    short: Option<&'static str>,
    takes_value: bool,
}

impl Flag {
    /// Is given or not.
    pub const fn bool(name: &'static str) -> Self {
        Self { name, short: None, takes_value: false }
    }

    /// Has a value; may be given more than once.
    pub const fn value(name: &'static str) -> Self {
        Self { name, short: None, takes_value: true }
    }

    /// Another name.
    pub const fn or(self, short: &'static str) -> Self {
        Self { short: Some(short), ..self }
    }

    /// As the help shows it.
    pub fn shown(&self) -> String {
        let value = if self.takes_value { " value" } else { "" };
        let short = self.short.map(|short| format!(", -{short}{value}")).unwrap_or_default();
        format!("--{}{value}{short}", self.name)
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.short == Some(name)
    }
}

/// A command line, split.
#[derive(Debug, Default)]
pub struct Words {
    given: Vec<(&'static str, String)>,
    /// Arguments.
    pub rest: Vec<String>,
}

impl Words {
    /// Flags up to the first word that is none.
    pub fn before_verb(flags: &'static [Flag], words: Vec<String>) -> Result<Self> {
        Self::split(flags, words, Some(0))
    }

    /// Flags anywhere; after `passes_on` arguments, every word is an argument.
    pub fn of_verb(flags: &'static [Flag], words: Vec<String>, passes_on: Option<usize>) -> Result<Self> {
        Self::split(flags, words, passes_on)
    }

    fn split(flags: &'static [Flag], words: Vec<String>, passes_on: Option<usize>) -> Result<Self> {
        let mut out = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                out.rest.extend(words);
                break;
            }
            let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else {
                out.rest.push(word);
                // The word itself, and `passes_on` further ones that may be followed by flags of this verb.
                if passes_on.is_some_and(|most| out.rest.len() > most) {
                    out.rest.extend(words);
                    break;
                }
                continue;
            };
            let body = body.strip_prefix('-').unwrap_or(body);
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let flag = flags.iter().find(|flag| flag.is(name));
            let flag = flag.ok_or_else(|| Error::Usage(format!("flag provided but not defined: -{name}")))?;
            out.given.push((flag.name, value_of(flag, inline, &mut words)?));
        }
        Ok(out)
    }

    /// Whether a flag is given and not false.
    pub fn is(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !matches!(value, "false" | "0" | "f" | "F" | "FALSE" | "False"))
    }

    /// The last value of a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a flag.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// A number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.value(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::Usage(format!("invalid value {text:?} for flag -{name}"))),
        }
    }

    /// The one argument that the verb wants.
    pub fn id(&self, verb: &str) -> Result<&str> {
        match &self.rest[..] {
            [id] => Ok(id),
            _ => Err(Error::Usage(format!("{verb}: {verb:?} requires exactly 1 argument"))),
        }
    }
}

fn value_of(flag: &Flag, inline: Option<String>, words: &mut impl Iterator<Item = String>) -> Result<String> {
    match (flag.takes_value, inline) {
        (_, Some(value)) => Ok(value),
        (false, None) => Ok("true".to_owned()),
        (true, None) => words.next().ok_or_else(|| Error::Usage(format!("flag needs an argument: -{}", flag.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[Flag::value("bundle").or("b"), Flag::bool("detach").or("d"), Flag::value("env").or("e")];

    fn split(words: &[&str], passes_on: Option<usize>) -> Result<Words> {
        Words::of_verb(FLAGS, words.iter().map(|word| (*word).to_owned()).collect(), passes_on)
    }

    #[test]
    fn flags_are_gos() {
        for words in
            [&["-b", "/x", "-d", "id"], &["--bundle", "/x", "--detach", "id"], &["-bundle=/x", "-d", "-d", "id"]]
        {
            let words = split(words, None).unwrap();
            assert_eq!(words.value("bundle"), Some("/x"));
            assert!(words.is("detach"));
            assert_eq!(words.id("run").unwrap(), "id");
        }
        assert!(!split(&["--detach=false", "id"], None).unwrap().is("detach"));
        assert!(split(&["id", "-d"], None).unwrap().is("detach"));
    }

    #[test]
    fn the_words_of_a_command_are_its_own() {
        let words = split(&["-e", "A=1", "-e", "B=2", "id", "sh", "-d", "--", "-c"], Some(0)).unwrap();
        assert_eq!(words.rest, ["id", "sh", "-d", "--", "-c"]);
        assert_eq!(words.values("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert!(!words.is("detach"));
    }

    #[test]
    fn what_is_unknown_or_lacks_its_value_is_refused() {
        for words in [&["--nope"][..], &["--bundle"]] {
            assert!(matches!(split(words, None), Err(Error::Usage(_))));
        }
    }
}
