//! What is different each time is made equal: ids (numbered as they appear), times, hardware addresses, the directory, the width of columns.

use std::path::Path;

use regex_lite::{Captures, Regex};

/// The rules, and the ids seen so far.
pub(super) struct Normal {
    dir: String,
    ids: Vec<String>,
    id: Regex,
    /// Lines that are left out before ids are counted.
    rules: Vec<(Regex, &'static str)>,
}

/// In this order. The first ones are what comes or not by chance: a word of a copy that the other side broke off, a state of a layer that
/// is left behind too soon to be told.
const RULES: [(&str, &str); 9] = [
    (r"(?m)^.*io: read/write on closed pipe.*\n", ""),
    (r"(?m)^<short \d+>: (Verifying Checksum|Download complete)\n", ""),
    (r"\b0001-01-01T00:00:00Z", "<never>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \w+", "<time>"),
    (r"\b(Less than a second|About a minute|About an hour|\d+ (seconds?|minutes?|hours?))\b", "<while>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    // Columns are as wide as what stands in them.
    (r"(?m)(\S)  +", "$1  "),
    (r"(?m)[ \t]+$", ""),
];

/// What hull and docker have differently in many places; docs/docker.md says why.
const DELIBERATE: [(&str, &str); 5] = [
    (r#""Runtime":"(runc|hull)""#, r#""Runtime":<own>"#),
    (r#""CgroupnsMode":"(host|private)""#, r#""CgroupnsMode":<own>"#),
    (r#""WorkingDir":"/?""#, r#""WorkingDir":<top>"#),
    (r#""Env":(null|\[\])"#, r#""Env":<none>"#),
    (r#""NetworkID":"(<id \d+>)?""#, r#""NetworkID":<any>"#),
];

impl Normal {
    pub(super) fn new(dir: &Path) -> Self {
        let rule = |(pattern, to): (&str, &'static str)| (Regex::new(pattern).expect("a pattern"), to);
        Self {
            dir: dir.display().to_string(),
            ids: Vec::new(),
            id: Regex::new(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b").expect("a pattern"),
            rules: RULES.into_iter().chain(DELIBERATE).map(rule).collect(),
        }
    }

    pub(super) fn apply(&mut self, text: &str) -> String {
        let text = text.replace(&self.dir, "<dir>").replace('\r', "");
        let Self { ids, id, .. } = self;
        let text = id.replace_all(&text, |found: &Captures<'_>| numbered(ids, &found[0]));
        self.rules.iter().fold(text.into_owned(), |text, (rule, to)| rule.replace_all(&text, *to).into_owned())
    }
}

/// Short and long form of one id are one number, but for the form.
fn numbered(ids: &mut Vec<String>, id: &str) -> String {
    let known = ids.iter().position(|known| known.starts_with(id) || id.starts_with(known.as_str()));
    let at = known.unwrap_or_else(|| {
        ids.push(id.to_owned());
        ids.len() - 1
    });
    let kind = if id.len() == 64 { "id" } else { "short" };
    format!("<{kind} {}>", at + 1)
}
