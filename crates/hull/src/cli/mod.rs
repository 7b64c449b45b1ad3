//! The command line: global flags, the verb, its flags, its exit code. One file per verb.
//!
//! Synchronous and without a runtime. Talks to the engine through the API's client only.

pub(crate) mod context;
pub(crate) mod contexts;
pub(crate) mod failure;
pub(crate) mod io;
pub(crate) mod parse;
pub(crate) mod reach;
pub(crate) mod spawn;
pub(crate) mod verbs;

mod creation;
mod docs;
mod each;
mod filters;
mod moments;
mod quick;

mod attach;
mod check;
mod commit;
mod completion;
mod cp;
mod create;
mod debug;
mod df;
mod dial;
mod diff;
mod diff_view;
mod engine;
mod events;
mod exec;
mod explain;
mod export;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logs;
mod manifest;
mod network;
mod pause;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod start;
mod stats;
mod stop;
mod tag;
mod top;
mod unpause;
mod update;
mod version;
mod volume;
mod wait;
mod why;

use hull_types::Fault;

use context::{Context, Globals};
use failure::{Failure, Outcome};
use verbs::Entry;

/// The version, as `hull --version` and the engine report it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs one command and returns its exit code.
pub(crate) fn main(args: Vec<std::ffi::OsString>) -> u8 {
    match words(args).and_then(dispatch) {
        Ok(code) => code,
        Err(Failure { code, fault }) => {
            if let Some(fault) = fault {
                failure::report(&fault);
            }
            code
        }
    }
}

fn words(args: Vec<std::ffi::OsString>) -> Result<Vec<String>, Failure> {
    let text = |arg: std::ffi::OsString| {
        arg.into_string().map_err(|_| Failure::usage(Fault::invalid("an argument is not valid UTF-8")))
    };
    args.into_iter().map(text).collect()
}

fn dispatch(args: Vec<String>) -> Outcome {
    let mut args = args.into_iter();
    let (globals, word) = globals(&mut args)?;
    let rest: Vec<String> = args.collect();
    let Some(word) = word else {
        return io::print(&docs::overview()).map(|()| 0);
    };
    match word.as_str() {
        "--help" | "-h" | "help" => return help(rest),
        "--version" | "-v" => return io::say(format_args!("hull version {VERSION}")).map(|()| 0),
        _ => {}
    }
    let context = Context::resolve(globals).map_err(Failure::usage)?;
    call(&context, "hull", verbs::ALL, &word, rest)
}

/// `hull help VERB` is `hull VERB --help`.
fn help(mut rest: Vec<String>) -> Outcome {
    if rest.is_empty() {
        return io::print(&docs::overview()).map(|()| 0);
    }
    let word = rest.remove(0);
    rest.push("--help".to_owned());
    let context = Context::resolve(Globals::default()).map_err(Failure::usage)?;
    call(&context, "hull", verbs::ALL, &word, rest)
}

/// Finds the verb, going into a group (`hull container ls`) if the word names one.
fn call(context: &Context, path: &str, entries: &[Entry], word: &str, mut rest: Vec<String>) -> Outcome {
    for entry in entries {
        match entry {
            Entry::Verb(verb) if verb.name == word => return verb.call(context, path, rest),
            Entry::Hidden(verb) if verb.name == word => return verb.call(context, path, rest),
            Entry::Group { name, about, entries } if *name == word => {
                let path = format!("{path} {name}");
                match rest.first().map(String::as_str) {
                    None | Some("--help" | "-h" | "help") => {
                        return io::print(&docs::group(&path, about, entries)).map(|()| 0);
                    }
                    Some(_) => {}
                }
                let inner = rest.remove(0);
                return call(context, &path, entries, &inner, rest);
            }
            _ => {}
        }
    }
    let shown = parse::shortened(word);
    let summary = if word.starts_with('-') {
        format!("unknown flag `{shown}`")
    } else {
        format!("unknown command `{path} {shown}`")
    };
    let hint = match like(word, entries) {
        Some(like) => format!("did you mean `{path} {like}`? `{path} --help` lists all commands"),
        None => format!("see `{path} --help`"),
    };
    Err(Failure::usage(Fault::invalid(summary).hint(hint)))
}

/// The listed command that a mistyped word is most like, if it is like one.
fn like(word: &str, entries: &[Entry]) -> Option<&'static str> {
    let names = entries.iter().filter_map(|entry| match entry {
        Entry::Verb(verb) => Some(verb.name),
        Entry::Group { name, .. } => Some(*name),
        Entry::Hidden(_) => None,
    });
    // One slip in a short word, some in a long one; two letters that changed places are one.
    let most = 1 + word.len() / 5;
    let slips = names.map(|name| (strsim::osa_distance(word, name), name)).filter(|(slips, _)| *slips <= most);
    slips.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// Takes the flags before the verb.
fn globals(args: &mut impl Iterator<Item = String>) -> Result<(Globals, Option<String>), Failure> {
    let mut globals = Globals::default();
    while let Some(arg) = args.next() {
        let (flag, mut value) = match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (arg.clone(), None),
        };
        let mut wanted = || {
            let found = value.take().or_else(|| args.next());
            found.ok_or_else(|| Failure::usage(Fault::invalid(format!("flag `{flag}` needs a value"))))
        };
        match flag.as_str() {
            "--root" => globals.root = Some(wanted()?),
            "--run" => globals.run = Some(wanted()?),
            "--host" | "-H" => globals.host = Some(wanted()?),
            // COMPAT(docker 28): scripts that `alias docker=hull` pass these; they change nothing here
            "--log-level" | "-l" | "--config" => drop(wanted()?),
            "--debug" | "-D" => {}
            "--context" | "-c" => globals.context = Some(wanted()?),
            "--tlscacert" => globals.tls.authority = Some(wanted()?.into()),
            "--tlscert" => globals.tls.certificate = Some(wanted()?.into()),
            "--tlskey" => globals.tls.key = Some(wanted()?.into()),
            "--tls" | "--tlsverify" => globals.tls.on = value.is_none_or(|value| value == "true"),
            _ => return Ok((globals, Some(arg))),
        }
    }
    Ok((globals, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_flags_stand_before_the_verb() {
        let args = ["--root", "/r", "--run=/x", "-H", "unix:///s", "-D", "ps", "-a"];
        let mut args = args.map(str::to_owned).into_iter();
        let (globals, word) = globals(&mut args).unwrap();
        assert_eq!(globals.root.as_deref(), Some("/r"));
        assert_eq!(globals.run.as_deref(), Some("/x"));
        assert_eq!(globals.host.as_deref(), Some("unix:///s"));
        assert_eq!(word.as_deref(), Some("ps"));
        assert_eq!(args.next().as_deref(), Some("-a"));
    }
}
