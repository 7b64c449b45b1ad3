//! Colours on a terminal: what is read first is bold, what explains it is dim, what is shared is yellow, what is refused or has
//! gone wrong is red. They say nothing that the words do not say.

/// Whether there are colours.
#[derive(Clone, Copy)]
pub(crate) struct Paint(bool);

/// Pieces of a line and the number of their colour.
const WORDS: [(&str, &str, &str); 8] = [
    ("namespaces", "the host's", "33"),
    ("namespaces", "hull's own, which is not the machine's first", "33"),
    ("namespaces", "shared with", "33"),
    ("namespaces", "private", "32"),
    ("limits", "oom_kill ", "31"),
    ("limits", "nr_throttled ", "31"),
    ("confinement", "refused:", "31"),
    ("confinement", "off: every system call is allowed", "33"),
];

impl Paint {
    pub fn new(colour: bool) -> Self {
        Self(colour)
    }

    pub fn heading(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What is to be done.
    pub fn hint(self, text: &str) -> String {
        self.with("36", text)
    }

    /// What differs.
    pub fn differs(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What only leads the eye.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What went wrong.
    pub fn wrong(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, number: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A part of the page that is laid out already.
pub(super) fn paint(brush: Paint, part: &str, text: &str) -> String {
    let line = |line: &str| {
        let (fact, cause) = line.find("← ").map_or((line, ""), |at| line.split_at(at));
        let mut fact = fact.to_owned();
        for (_, words, number) in WORDS.iter().filter(|(of, ..)| *of == part) {
            fact = fact.replacen(words, &brush.with(number, words), 1);
        }
        if cause.is_empty() { fact + "\n" } else { format!("{fact}{}\n", brush.with("2", cause)) }
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_is_changed() {
        let text = "  mnt  private  ← always new\n\n  x\n";
        assert_eq!(paint(Paint::new(false), "namespaces", text), text);
        let painted = paint(Paint::new(true), "namespaces", text);
        assert_eq!(painted, "  mnt  \x1b[32mprivate\x1b[0m  \x1b[2m← always new\x1b[0m\n\n  x\n");
        assert!(!paint(Paint::new(true), "process", "private\n").contains('\x1b'));
    }
}
