//! Where in a JSON text an error stands: serde says line and column, a user wants the field's name.

/// The path of the value that the reader was in at this line and column (both from 1): `linux.resources.pids`.
pub fn path(text: &str, line: usize, column: usize) -> String {
    let before: usize = text.lines().take(line.saturating_sub(1)).map(|line| line.len() + 1).sum();
    let end = (before + column).min(text.len());
    let mut walk = Walk::default();
    walk.over(text.as_bytes().get(..end).unwrap_or_default());
    let mut path = String::new();
    for part in walk.stack {
        match part {
            Part::Key(key) if path.is_empty() => path = key,
            Part::Key(key) => path = format!("{path}.{key}"),
            Part::Index(index) => path = format!("{path}[{index}]"),
        }
    }
    path
}

enum Part {
    Key(String),
    Index(usize),
}

#[derive(Default)]
struct Walk {
    stack: Vec<Part>,
}

impl Walk {
    /// Keys and indices that are open at the end.
    fn over(&mut self, bytes: &[u8]) {
        let mut at = 0;
        let mut last = String::new();
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let length = bytes[at + 1..].iter().scan(false, |escaped, b| {
                        let ends = *b == b'"' && !*escaped;
                        *escaped = *b == b'\\' && !*escaped;
                        (!ends).then_some(())
                    });
                    let length = length.count();
                    last = String::from_utf8_lossy(&bytes[at + 1..at + 1 + length]).into_owned();
                    at += length + 1;
                }
                b':' => {
                    if let Some(Part::Key(key)) = self.stack.last_mut() {
                        *key = std::mem::take(&mut last);
                    }
                }
                b'{' => self.stack.push(Part::Key(String::new())),
                b'[' => self.stack.push(Part::Index(0)),
                b',' => {
                    if let Some(Part::Index(index)) = self.stack.last_mut() {
                        *index += 1;
                    }
                }
                // The innermost is still what an error at its closing bracket is about.
                b'}' | b']' if at + 1 < bytes.len() => _ = self.stack.pop(),
                _ => {}
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_by_its_field() {
        let text = "{\n \"a\": [1, {\"b\": \"x,]\"}],\n \"linux\": {\n  \"rdma\": {\"m\": {\"handles\": \"no\"}}}}";
        assert_eq!(path(text, 4, 30), "linux.rdma.m.handles");
        assert_eq!(path(text, 2, 18), "a[1].b");
        assert_eq!(path("", 1, 1), "");
        assert_eq!(path("{", 9, 9), "");
    }
}
