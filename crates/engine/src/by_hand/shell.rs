//! Lines of a shell script: words that the shell takes as they are, comments that stay comments.

/// As one word of bash. Nothing in it reaches a terminal as a control character.
pub(super) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,+@%-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => word.extend(['\\', c]),
            '\n' => word.push_str("\\n"),
            c if c.is_control() => {
                word.extend(c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            }
            c => word.push(c),
        }
    }
    word + "'"
}

/// A path beneath the coming root.
pub(super) fn beneath(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" => "\"$R\"".to_owned(),
        rest => format!("\"$R\"/{}", quote(rest)),
    }
}

/// Without what would end a line or move a cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Width of a comment.
const WIDTH: usize = 110;

/// A part of the script.
#[derive(Debug, Default)]
pub(super) struct Lines(pub String);

impl Lines {
    /// A comment, with an empty line before it.
    pub fn say(&mut self, text: &str) {
        self.0.push_str("\n#");
        let mut column = 1;
        for word in clean(text).split_whitespace() {
            let length = word.chars().count() + 1;
            if column > 1 && column + length > WIDTH {
                self.0.push_str("\n#");
                column = 1;
            }
            self.0.push(' ');
            self.0.push_str(word);
            column += length;
        }
        self.0.push('\n');
    }

    /// One line, or several.
    pub fn run(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }
}

/// A word that no line of the text consists of.
pub(super) fn end_of(text: &str) -> String {
    let mut word = "INSIDE".to_owned();
    while text.lines().any(|line| line == word) {
        word.push('_');
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_bash_reads() {
        for text in ["plain", "", "a b", "it's", "$HOME `x` \"y\"", "two\nlines\\n", "\u{1b}[2J\u{9b}", "ü=é", "~", "#"]
        {
            let script = format!("printf %s {}", quote(text));
            let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), text, "{script}");
            assert!(!script.chars().any(char::is_control), "{script:?}");
        }
    }

    #[test]
    fn comments_stay_comments() {
        let mut lines = Lines::default();
        lines.say(&format!("a\nrm -rf / {}", "word ".repeat(60)));
        assert!(lines.0.lines().all(|line| line.is_empty() || line.starts_with('#')), "{}", lines.0);
        assert!(lines.0.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(end_of("x\nINSIDE\nINSIDE_\n"), "INSIDE__");
    }
}
