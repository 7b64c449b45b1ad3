//! Words of an instruction: quotes, escapes and variables. Pure.

/// Splits at white space outside quotes. Quotes and backslashes stay, for [`expand`].
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                word.push('\\');
                word.extend(chars.next());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Takes quotes and backslashes away, and puts in `$NAME`, `${NAME}`, `${NAME:-default}` and
/// `${NAME:+alternative}`; not between single quotes.
pub(super) fn expand(text: &str, env: &[String]) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                let next = rest.chars().next();
                if quote.is_some() && !matches!(next, Some('"' | '\\' | '$')) {
                    out.push('\\');
                }
                out.extend(next);
                rest = &rest[next.map_or(0, char::len_utf8)..];
            }
            (None | Some('"'), '$') => {
                let (value, after) = variable(rest, env)?;
                out.push_str(&value);
                rest = after;
            }
            _ => out.push(c),
        }
    }
    if quote.is_some() { Err("a quote is not closed") } else { Ok(out) }
}

/// The value of what follows a `$`, and what follows that.
fn variable<'a>(text: &'a str, env: &[String]) -> Result<(String, &'a str), &'static str> {
    let value = |name: &str| {
        let pair = env.iter().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        pair.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(braced) = text.strip_prefix('{') else {
        let end = word(text);
        return match &text[..end] {
            "" => Ok(("$".to_owned(), text)),
            name => Ok((value(name), &text[end..])),
        };
    };
    let (inside, after) = braced.split_once('}').ok_or("a `${` is not closed")?;
    let (name, modifier) = inside.split_at(word(inside));
    let value = value(name);
    let value = match (modifier.get(..2), value.is_empty()) {
        _ if name.is_empty() => return Err("a `${}` names no variable"),
        (None, _) if modifier.is_empty() => value,
        (Some(":-"), true) | (Some(":+"), false) => modifier[2..].to_owned(),
        (Some(":-"), false) | (Some(":+"), true) => value,
        _ => return Err("a `${}` has an unknown modifier"),
    };
    Ok((value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_outside_quotes() {
        let rows = [
            ("a b", Ok(vec!["a", "b"])),
            ("a='x y' b=\"p q\"", Ok(vec!["a='x y'", "b=\"p q\""])),
            (r"a=x\ y", Ok(vec![r"a=x\ y"])),
            ("", Ok(vec![])),
            ("a='x", Err(())),
        ];
        for (text, expected) in rows {
            let got = split(text).map_err(|_| ());
            assert_eq!(got, expected.map(|words| words.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn variables_and_quotes() {
        let env = ["A=1".to_owned(), "PATH=/bin".to_owned()];
        let rows = [
            ("$A", Ok("1")),
            ("${A}b$PATH:/x", Ok("1b/bin:/x")),
            ("'$A' \"$A\"", Ok("$A 1")),
            (r"\$A", Ok("$A")),
            ("${B:-x}${A:-y}${A:+z}${B:+w}", Ok("x1z")),
            ("100$", Ok("100$")),
            ("${A", Err(())),
            ("${}", Err(())),
            ("${A?x}", Err(())),
            ("\"", Err(())),
        ];
        for (text, expected) in rows {
            let got = expand(text, &env).map_err(|_| ());
            assert_eq!(got, expected.map(str::to_owned), "{text}");
        }
    }
}
