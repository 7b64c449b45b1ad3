//! Cuts a template into text and actions, and an action into tokens.

use serde_json::{Number, Value};

use super::Error;

/// Text, or the tokens between `{{` and `}}`.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// One token of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `.A` (one link of a chain); `spaced` if blanks stand before it.
    Field {
        name: String,
        spaced: bool,
    },
    Dot,
    Var(String),
    Word(String),
    Literal(Value),
    Pipe,
    Declare,
    Assign,
    Comma,
    Open,
    Close,
}

/// Splits a template; trim markers and comments are resolved here.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let mut before = if trim_next { before.trim_start() } else { before };
        let Some(mut body) = after else {
            push_text(&mut out, before);
            return Ok(out);
        };
        if body.starts_with('-') && body[1..].starts_with(char::is_whitespace) {
            before = before.trim_end();
            body = &body[1..];
        }
        push_text(&mut out, before);
        let (tokens, tail, trim) = action(body)?;
        if let Some(tokens) = tokens {
            out.push(Piece::Action(tokens));
        }
        rest = tail;
        trim_next = trim;
    }
}

fn push_text(out: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        out.push(Piece::Text(text.to_owned()));
    }
}

/// Tokens up to `}}` (none for a comment), what follows, and whether to trim it.
fn action(body: &str) -> Result<(Option<Vec<Token>>, &str, bool), Error> {
    if let Some(comment) = body.trim_start().strip_prefix("/*") {
        let (_, tail) = comment.split_once("*/").ok_or_else(|| Error::Syntax("unclosed comment".into()))?;
        let (tail, trim) = close(tail.trim_start(), true)
            .or_else(|| close(tail, false))
            .ok_or_else(|| Error::Syntax("comment ends before closing delimiter".into()))?;
        return Ok((None, tail, trim));
    }
    let mut tokens = Vec::new();
    let mut rest = body;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len() || tokens.is_empty();
        if let Some((tail, trim)) = close(trimmed, spaced) {
            return Ok((Some(tokens), tail, trim));
        }
        if trimmed.is_empty() {
            return Err(Error::Syntax("unclosed action".into()));
        }
        let (token, tail) = token(trimmed, spaced)?;
        tokens.push(token);
        rest = tail;
    }
}

/// If `rest` closes the action: what follows and whether ` -}}` asked for trimming.
fn close(rest: &str, spaced: bool) -> Option<(&str, bool)> {
    if let Some(tail) = rest.strip_prefix("}}") {
        return Some((tail, false));
    }
    if spaced {
        return rest.strip_prefix("-}}").map(|tail| (tail, true));
    }
    None
}

fn token(rest: &str, spaced: bool) -> Result<(Token, &str), Error> {
    let first = rest.chars().next().unwrap_or('\0');
    let simple = match first {
        '|' => Some((Token::Pipe, 1)),
        ',' => Some((Token::Comma, 1)),
        '(' => Some((Token::Open, 1)),
        ')' => Some((Token::Close, 1)),
        ':' if rest.starts_with(":=") => Some((Token::Declare, 2)),
        '=' => Some((Token::Assign, 1)),
        _ => None,
    };
    if let Some((token, length)) = simple {
        return Ok((token, &rest[length..]));
    }
    match first {
        '"' => quoted(rest),
        '`' => raw(rest),
        '$' => {
            let (name, tail) = word(&rest[1..]);
            Ok((Token::Var(name.to_owned()), tail))
        }
        '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let (name, tail) = word(&rest[1..]);
            if name.is_empty() {
                return Ok((Token::Dot, tail));
            }
            let name = name.to_owned();
            Ok((Token::Field { name, spaced }, tail))
        }
        c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => number(rest),
        c if c.is_alphabetic() || c == '_' => {
            let (name, tail) = word(rest);
            let token = match name {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "nil" => Token::Literal(Value::Null),
                _ => Token::Word(name.to_owned()),
            };
            Ok((token, tail))
        }
        c => Err(Error::Syntax(format!("unexpected character `{c}` in action"))),
    }
}

fn word(rest: &str) -> (&str, &str) {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    rest.split_at(end)
}

fn number(rest: &str) -> Result<(Token, &str), Error> {
    let end = rest
        .char_indices()
        .find(|&(at, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || (at == 0 && matches!(c, '-' | '+'))))
        .map_or(rest.len(), |(at, _)| at);
    let (text, tail) = rest.split_at(end);
    let plain = text.replace('_', "");
    let value = plain
        .parse::<i64>()
        .map(Number::from)
        .ok()
        .or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64))
        .ok_or_else(|| Error::Syntax(format!("bad number `{text}`")))?;
    Ok((Token::Literal(Value::Number(value)), tail))
}

fn raw(rest: &str) -> Result<(Token, &str), Error> {
    let (text, tail) = rest[1..].split_once('`').ok_or_else(|| Error::Syntax("unterminated raw string".into()))?;
    Ok((Token::Literal(Value::String(text.to_owned())), tail))
}

fn quoted(rest: &str) -> Result<(Token, &str), Error> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Literal(Value::String(text)), &rest[at + 1..])),
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, '0')) => text.push('\0'),
                Some((_, c @ ('"' | '\\' | '\''))) => text.push(c),
                Some((_, c)) => return Err(Error::Syntax(format!("unknown escape `\\{c}` in string"))),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err(Error::Syntax("unterminated string".into()))
}
