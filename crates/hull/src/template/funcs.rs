//! The functions of a template: Go's own and docker's.

use std::cmp::Ordering;

use serde_json::Value;

use super::eval::Val;
use super::{Error, print};

const NAMES: [&str; 24] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println",
    "json", "join", "split", "upper", "lower", "title", "pad", "truncate", "html",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Go's truth: not zero, not empty, not missing.
pub(super) fn truth(value: &Val) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

pub(super) fn call(name: &str, args: &[Val]) -> Result<Value, Error> {
    Ok(match (name, args) {
        ("not", [value]) => Value::Bool(!truth(value)),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => Value::Bool(rest.iter().any(|other| equal(first, other))),
        ("ne", [a, b]) => Value::Bool(!equal(a, b)),
        ("lt", [a, b]) => Value::Bool(order(name, a, b)? == Ordering::Less),
        ("le", [a, b]) => Value::Bool(order(name, a, b)? != Ordering::Greater),
        ("gt", [a, b]) => Value::Bool(order(name, a, b)? == Ordering::Greater),
        ("ge", [a, b]) => Value::Bool(order(name, a, b)? != Ordering::Less),
        ("len", [value]) => length(value)?,
        ("index", [value, keys @ ..]) => index(value, keys)?,
        ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds)?,
        ("print", args) => Value::String(print::print(args)),
        ("println", args) => Value::String(print::println(args)),
        ("printf", [Some(Value::String(format)), rest @ ..]) => Value::String(print::printf(format, rest)?),
        ("json", [value]) => Value::String(json(value)),
        ("join", [list, Some(Value::String(by))]) => join(list, by)?,
        ("split", [Some(Value::String(text)), Some(Value::String(by))]) => text.split(by.as_str()).collect(),
        ("upper", [value]) => Value::String(text(name, value)?.to_uppercase()),
        ("lower", [value]) => Value::String(text(name, value)?.to_lowercase()),
        ("title", [value]) => Value::String(title(text(name, value)?)),
        ("pad", [value, before, after]) => {
            let (before, after) = (count(before)?, count(after)?);
            let text = text(name, value)?;
            let shown = if text.is_empty() {
                String::new()
            } else {
                format!("{}{text}{}", " ".repeat(before), " ".repeat(after))
            };
            Value::String(shown)
        }
        ("truncate", [value, limit]) => text(name, value)?.chars().take(count(limit)?).collect::<String>().into(),
        ("html", [value]) => Value::String(html(&print::shown(value))),
        _ => return Err(Error::Data(format!("wrong number or kind of arguments for `{name}`"))),
    })
}

fn text<'a>(name: &str, value: &'a Val) -> Result<&'a str, Error> {
    match value {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Ok(""),
        Some(other) => Err(Error::Data(format!("`{name}` wants a string, not a {}", kind(other)))),
    }
}

fn count(value: &Val) -> Result<usize, Error> {
    match value.as_ref().and_then(Value::as_u64) {
        Some(number) if number <= 1 << 16 => Ok(number as usize),
        _ => Err(Error::Data(format!("{} is no usable count", print::shown(value)))),
    }
}

fn equal(a: &Val, b: &Val) -> bool {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (None | Some(Value::Null), None | Some(Value::Null)) => true,
        (a, b) => a == b,
    }
}

fn order(name: &str, a: &Val, b: &Val) -> Result<Ordering, Error> {
    let found = match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => Some(a.cmp(b)),
        (Some(Value::Number(a)), Some(Value::Number(b))) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().and_then(|a| a.partial_cmp(&b.as_f64()?)),
        },
        _ => None,
    };
    found.ok_or_else(|| {
        let (a, b) = (print::shown(a), print::shown(b));
        Error::Data(format!("`{name}` cannot compare {a} with {b}"))
    })
}

fn length(value: &Val) -> Result<Value, Error> {
    Ok(match value {
        Some(Value::String(text)) => text.len().into(),
        Some(Value::Array(list)) => list.len().into(),
        Some(Value::Object(object)) => object.len().into(),
        None | Some(Value::Null) => 0.into(),
        Some(other) => return Err(Error::Data(format!("a {} has no length", kind(other)))),
    })
}

fn index(value: &Val, keys: &[Val]) -> Result<Value, Error> {
    let mut current = value.clone();
    for key in keys {
        current = match (&current, key) {
            (Some(Value::Array(list)), Some(Value::Number(at))) => {
                let found = at.as_u64().and_then(|at| list.get(at as usize));
                let found = found.ok_or_else(|| Error::Data(format!("index {at} is out of range")))?;
                Some(found.clone())
            }
            // Go's zero value of a map of strings
            (Some(Value::Object(object)), Some(Value::String(key))) => {
                Some(object.get(key).cloned().unwrap_or_else(|| Value::String(String::new())))
            }
            (None | Some(Value::Null), _) => return Err(Error::Data("index of nil".into())),
            (_, key) => {
                return Err(Error::Data(format!("cannot index with {}", print::shown(key))));
            }
        };
    }
    Ok(current.unwrap_or(Value::Null))
}

fn slice(value: &Val, bounds: &[Val]) -> Result<Value, Error> {
    let length = length(value)?.as_u64().unwrap_or(0) as usize;
    let from = bounds.first().map_or(Ok(0), count)?;
    let to = bounds.get(1).map_or(Ok(length), count)?;
    let out_of_range = || Error::Data(format!("slice {from}:{to} is out of range 0:{length}"));
    match value {
        Some(Value::String(text)) => Ok(text.get(from..to).ok_or_else(out_of_range)?.into()),
        Some(Value::Array(list)) => Ok(list.get(from..to).ok_or_else(out_of_range)?.to_vec().into()),
        _ => Err(Error::Data("only a string or a list can be sliced".into())),
    }
}

fn json(value: &Val) -> String {
    let mut value = value.clone().unwrap_or(Value::Null);
    if let Value::Object(object) = &mut value {
        object.retain(|key, _| !key.ends_with("()"));
    }
    value.to_string()
}

fn join(list: &Val, by: &str) -> Result<Value, Error> {
    match list {
        Some(Value::Array(list)) => Ok(list.iter().map(print::go).collect::<Vec<_>>().join(by).into()),
        None | Some(Value::Null) => Ok(Value::String(String::new())),
        Some(other) => Err(Error::Data(format!("`join` wants a list, not a {}", kind(other)))),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    let upper_first = |c: char| {
        let shown: String = if start { c.to_uppercase().collect() } else { c.to_string() };
        start = !c.is_alphanumeric() && c != '\'';
        shown
    };
    text.chars().map(upper_first).collect()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}
