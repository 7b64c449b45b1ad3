//! A second, small reader of arguments for the verb that must start fastest.
//!
//! Building clap's model of `run` with its hundred flags costs a third of a millisecond. This reader
//! knows only names and kinds. Whatever it cannot read plainly – an unknown flag, `--help`, a value
//! that does not fit – it leaves to clap, which says what is wrong; so the two can never disagree
//! about an error, and a test holds them together about everything else.

/// Where the value of one flag goes in `T`.
pub(super) enum Slot<T> {
    Flag(fn(&mut T) -> &mut bool),
    Text(fn(&mut T) -> &mut String),
    Maybe(fn(&mut T) -> &mut Option<String>),
    List(fn(&mut T) -> &mut Vec<String>),
    Int(fn(&mut T) -> &mut Option<i64>),
    Small(fn(&mut T) -> &mut Option<u16>),
    Unsigned(fn(&mut T) -> &mut Option<u64>),
}

/// A flag: long name, short name or NUL, slot.
pub(super) type Known<T> = (&'static str, char, Slot<T>);

/// Fills `into`; what follows the first word that is no flag is returned. `None`: leave it to clap.
pub(super) fn read<T>(known: &[Known<T>], args: &[String], into: &mut T) -> Option<Vec<String>> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let (_, _, slot) = known.iter().find(|(long, _, _)| *long == name)?;
            match (slot, value) {
                (Slot::Flag(at), None) => *at(into) = true,
                (slot, Some(value)) => put(slot, value, into)?,
                (slot, None) => put(slot, rest.next()?, into)?,
            }
            continue;
        }
        let Some(shorts) = arg.strip_prefix('-').filter(|shorts| !shorts.is_empty()) else {
            let mut words = vec![arg.clone()];
            words.extend(rest.cloned());
            return Some(words);
        };
        read_shorts(known, shorts, &mut rest, into)?;
    }
    let words: Vec<String> = rest.cloned().collect();
    // no word at all: clap says what is missing
    (!words.is_empty()).then_some(words)
}

/// `it`, `eA=1`, `e` with the next argument.
fn read_shorts<T>(
    known: &[Known<T>],
    shorts: &str,
    rest: &mut std::slice::Iter<'_, String>,
    into: &mut T,
) -> Option<()> {
    let mut chars = shorts.chars();
    while let Some(short) = chars.next() {
        let (_, _, slot) = known.iter().find(|(_, have, _)| *have == short)?;
        let tail = chars.as_str();
        match (slot, tail.strip_prefix('=')) {
            (Slot::Flag(at), None) => *at(into) = true,
            (slot, Some(value)) => return put(slot, value, into),
            (slot, None) if tail.is_empty() => return put(slot, rest.next()?, into),
            (slot, None) => return put(slot, tail, into),
        }
    }
    Some(())
}

fn put<T>(slot: &Slot<T>, value: &str, into: &mut T) -> Option<()> {
    match slot {
        Slot::Flag(at) => {
            *at(into) = match value {
                "true" => true,
                "false" => false,
                _ => return None,
            }
        }
        Slot::Text(at) => *at(into) = value.to_owned(),
        Slot::Maybe(at) => *at(into) = Some(value.to_owned()),
        Slot::List(at) => at(into).push(value.to_owned()),
        Slot::Int(at) => *at(into) = Some(value.parse().ok()?),
        Slot::Small(at) => *at(into) = Some(value.parse().ok()?),
        Slot::Unsigned(at) => *at(into) = Some(value.parse().ok()?),
    }
    Some(())
}
