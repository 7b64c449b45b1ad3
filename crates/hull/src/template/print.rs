//! Values as Go's `%v` prints them, and `printf`.

use serde_json::Value;

use super::Error;
use super::eval::Val;

/// As `{{ }}` prints it.
pub(super) fn shown(value: &Val) -> String {
    value.as_ref().map_or_else(|| "<no value>".to_owned(), go)
}

/// Go's `%v`.
pub(super) fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(object) => {
            let mut pairs: Vec<_> = object.iter().filter(|(k, _)| !k.ends_with("()")).collect();
            pairs.sort_by(|a, b| a.0.cmp(b.0));
            let pairs: Vec<_> = pairs.into_iter().map(|(k, v)| format!("{k}:{}", go(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// Go's `Print`: a blank between two operands if neither is a string.
pub(super) fn print(args: &[Val]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for arg in args {
        let text = matches!(arg, Some(Value::String(_)));
        if !text && !after_text {
            out.push(' ');
        }
        out.push_str(&shown(arg));
        after_text = text;
    }
    out
}

/// Go's `Println`.
pub(super) fn println(args: &[Val]) -> String {
    let mut line = args.iter().map(shown).collect::<Vec<_>>().join(" ");
    line.push('\n');
    line
}

/// Flags, width and precision between `%` and the verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Go's `Sprintf` with the verbs that formats use.
pub(super) fn printf(format: &str, args: &[Val]) -> Result<String, Error> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = spec(&mut chars);
        let Some(verb) = chars.next() else {
            return Err(Error::Data("printf: the format ends with `%`".into()));
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let arg = args.next().ok_or_else(|| Error::Data(format!("printf: no operand for `%{verb}`")))?;
        out.push_str(&padded(&spec, verb_text(verb, &spec, arg)?, arg));
    }
    Ok(out)
}

fn spec(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
        match flag {
            '-' => spec.left = true,
            '0' => spec.zero = true,
            '+' => spec.plus = true,
            _ => {}
        }
    }
    spec.width = digits(chars);
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(digits(chars));
    }
    spec
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut number = 0usize;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        number = (number * 10 + digit as usize - '0' as usize).min(4096);
    }
    number
}

fn verb_text(verb: char, spec: &Spec, arg: &Val) -> Result<String, Error> {
    let integer = || match arg {
        Some(Value::Number(n)) => n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from)),
        _ => None,
    };
    let wrong = || Error::Data(format!("printf: `%{verb}` does not fit {}", shown(arg)));
    Ok(match verb {
        'v' | 's' => {
            let text = shown(arg);
            match spec.precision {
                Some(limit) if verb == 's' => text.chars().take(limit).collect(),
                _ => text,
            }
        }
        'd' => {
            let number = integer().ok_or_else(wrong)?;
            if spec.plus { format!("{number:+}") } else { number.to_string() }
        }
        'x' => match arg {
            Some(Value::String(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            _ => format!("{:x}", integer().ok_or_else(wrong)?),
        },
        'X' => format!("{:X}", integer().ok_or_else(wrong)?),
        'o' => format!("{:o}", integer().ok_or_else(wrong)?),
        'f' => {
            let number = arg.as_ref().and_then(Value::as_f64).ok_or_else(wrong)?;
            format!("{number:.*}", spec.precision.unwrap_or(6))
        }
        'q' => format!("{:?}", shown(arg)),
        't' => match arg {
            Some(Value::Bool(flag)) => flag.to_string(),
            _ => return Err(wrong()),
        },
        other => return Err(Error::Data(format!("printf: `%{other}` is not supported"))),
    })
}

fn padded(spec: &Spec, text: String, arg: &Val) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if spec.left {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && matches!(arg, Some(Value::Number(_))) {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
