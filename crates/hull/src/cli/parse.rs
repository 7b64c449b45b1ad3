//! Arguments by docker's rules (pflag) through clap: `--tty=false`, values that begin with a dash,
//! the last of a repeated flag wins, one sentence for what is wrong.
//!
//! Only the verb that is called is built; the whole tree exists for completion and man pages.

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};

/// One verb: its flags and what it does. Implemented once in each verb's file.
pub(crate) trait Spoken: clap::Args {
    /// The word on the command line.
    const NAME: &'static str;
    /// One line for the help.
    const ABOUT: &'static str;
    /// What follows the name in the usage line.
    const USAGE: &'static str;
    /// More text for the help and the man page.
    const MORE: &'static str = "";

    /// Reads plain arguments without clap, if the verb has a quick reader and they are plain.
    fn quick(_args: &[String]) -> Option<Self> {
        None
    }

    /// Does it.
    fn run(self, context: &Context) -> Outcome;
}

/// A verb as data, so that a table can list all of them.
#[derive(Clone, Copy)]
pub(crate) struct Verb {
    pub name: &'static str,
    pub about: &'static str,
    usage: &'static str,
    build: fn() -> Command,
    quick: fn(&Context, &[String]) -> Option<Outcome>,
    run: fn(&Context, &mut ArgMatches) -> Outcome,
}

impl Verb {
    /// The table's entry for `V`.
    pub(crate) const fn of<V: Spoken>() -> Self {
        Self { name: V::NAME, about: V::ABOUT, usage: V::USAGE, build: build::<V>, quick: quick::<V>, run: run::<V> }
    }

    /// The same verb under another word (`container ls` for `ps`).
    pub(crate) const fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The clap command as help, completion and man pages show it, with its usage under `path`.
    pub(crate) fn command(&self, path: &str) -> Command {
        let usage = format!("{path} {} {}", self.name, self.usage);
        (self.build)().name(self.name).override_usage(usage.trim_end().to_owned())
    }

    /// Parses `args` and runs the verb.
    pub(crate) fn call(&self, context: &Context, path: &str, args: Vec<String>) -> Outcome {
        if let Some(outcome) = (self.quick)(context, &args) {
            return outcome;
        }
        let whole = format!("{path} {}", self.name);
        match (self.build)().mut_args(pflag).try_get_matches_from(args) {
            Ok(mut matches) => (self.run)(context, &mut matches),
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                let help = self.command(path).render_help().to_string();
                super::io::print(&help).map(|()| 0)
            }
            Err(error) => Err(refusal(error, &whole)),
        }
    }
}

fn build<V: Spoken>() -> Command {
    let mut command = V::augment_args(Command::new(V::NAME))
        .about(V::ABOUT)
        .no_binary_name(true)
        .disable_help_flag(true)
        .args_override_self(true);
    if !V::MORE.is_empty() {
        command = command.after_help(V::MORE);
    }
    let taken = command.get_arguments().any(|arg| arg.get_short() == Some('h'));
    let help = Arg::new("help").long("help").help("Print usage").action(ArgAction::Help);
    command.arg(if taken { help } else { help.short('h') })
}

fn quick<V: Spoken>(context: &Context, args: &[String]) -> Option<Outcome> {
    V::quick(args).map(|verb| verb.run(context))
}

fn run<V: Spoken>(context: &Context, matches: &mut ArgMatches) -> Outcome {
    let parsed = V::from_arg_matches_mut(matches).map_err(|e| refusal(e, V::NAME))?;
    parsed.run(context)
}

/// Gives a flag pflag's manners.
fn pflag(arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    match arg.get_action() {
        ArgAction::SetTrue => {
            let default = if arg.get_default_values().is_empty() { "false" } else { "true" };
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value(default)
                .hide_default_value(true)
                .hide_possible_values(true)
                .value_name("")
                .value_parser(boolean())
        }
        // Its value may be left out.
        ArgAction::Set if arg.is_require_equals_set() => arg,
        ArgAction::Set | ArgAction::Append => arg.allow_hyphen_values(true).num_args(1),
        _ => arg,
    }
}

fn boolean() -> ValueParser {
    let words = ["true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"];
    ValueParser::new(PossibleValuesParser::new(words).map(|word| word.starts_with(['t', 'T', '1'])))
}

/// clap's complaint as one sentence.
fn refusal(error: clap::Error, command: &str) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let arg = text(ContextKind::InvalidArg).unwrap_or_default();
    let flag = arg.split([' ', '=', '[']).next().unwrap_or_default();
    let summary = match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') => format!("unknown flag `{flag}`"),
        ErrorKind::UnknownArgument => format!("unexpected argument `{}`", shortened(&arg)),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match text(ContextKind::InvalidValue) {
            Some(value) if !value.is_empty() => {
                let why = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
                format!("invalid value `{}` for `{flag}`{why}", shortened(&value))
            }
            _ => format!("flag `{flag}` needs a value"),
        },
        ErrorKind::MissingRequiredArgument => format!("`{command}` needs {}", arg.to_lowercase().replace("...", "")),
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        _ => {
            let rendered = error.to_string();
            let line = rendered.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    };
    let hint = match text(ContextKind::SuggestedArg) {
        Some(like) => format!("did you mean `{like}`? `{command} --help` lists all flags"),
        None => format!("see `{command} --help`"),
    };
    Failure::usage(Fault::invalid(summary).hint(hint))
}

/// At most 64 characters of what a user typed, control characters escaped.
pub(crate) fn shortened(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(64) {
        if c.is_control() {
            out.extend(c.escape_debug());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(64).is_some() {
        out.push('…');
    }
    out
}

/// What clap reads.
#[cfg(test)]
pub(super) fn by_clap<V: Spoken>(args: &[String]) -> V {
    let matches = build::<V>().mut_args(pflag).try_get_matches_from(args);
    V::from_arg_matches(&matches.expect("readable")).expect("readable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::verbs::{ALL, Entry};

    /// Flags of docker 28, one a line: verb, long, and short or type or both.
    const DOCKER: &str = include_str!("data/docker-flags.txt");

    fn verb(name: &str) -> Verb {
        let found = ALL.iter().find_map(|entry| match entry {
            Entry::Verb(verb) if verb.name == name => Some(*verb),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no verb {name}"))
    }

    #[test]
    fn every_flag_of_docker_is_known() {
        for line in DOCKER.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, long, rest @ ..] = words.as_slice() else { panic!("line {line}") };
            let command = verb(name).command("hull");
            let found = command.get_arguments().find(|arg| {
                arg.get_long() == Some(*long) || arg.get_all_aliases().is_some_and(|all| all.contains(long))
            });
            let arg = found.unwrap_or_else(|| panic!("`hull {name}` lacks --{long}"));
            let short = rest.first().filter(|word| word.len() == 1).and_then(|word| word.chars().next());
            assert_eq!(arg.get_short(), short, "short form of `hull {name} --{long}`");
            let has_type = rest.last().is_some_and(|word| word.len() > 1);
            let takes_value = !matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Help);
            assert_eq!(takes_value, has_type, "`hull {name} --{long}` takes a value");
        }
    }

    fn parsed(name: &str, args: &[&str]) -> Result<ArgMatches, Failure> {
        let matches = (verb(name).build)().mut_args(pflag).try_get_matches_from(args);
        matches.map_err(|error| refusal(error, "hull run"))
    }

    #[test]
    fn arguments_have_pflags_manners() {
        let words = |matches: &ArgMatches, id: &str| -> Vec<String> {
            matches.get_many::<String>(id).map(|all| all.cloned().collect()).unwrap_or_default()
        };
        let got = parsed(
            "run",
            &["-itd", "--rm=false", "-eA=1", "-e=B=2", "-e", "-C", "--memory-swap", "-1", "img", "-d", "--", "-x"],
        );
        let got = got.unwrap_or_else(|failure| panic!("{failure:?}"));
        for (flag, want) in [("interactive", true), ("tty", true), ("detach", true), ("rm", false), ("sig_proxy", true)]
        {
            assert_eq!(got.get_flag(flag), want, "{flag}");
        }
        assert_eq!(words(&got, "env"), ["A=1", "B=2", "-C"]);
        assert_eq!(words(&got, "memory_swap"), ["-1"]);
        assert_eq!(words(&got, "words"), ["img", "-d", "--", "-x"]);
        let got = parsed("run", &["--name", "a", "--name=b", "--sig-proxy=false", "--", "img"]).unwrap();
        assert_eq!(words(&got, "name"), ["b"]);
        assert!(!got.get_flag("sig_proxy"));
        assert_eq!(words(&got, "words"), ["img"]);
        let got = parsed("stop", &["web", "-t", "3", "db"]).unwrap();
        assert_eq!(words(&got, "containers"), ["web", "db"]);
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        let long = "x".repeat(1 << 20);
        let table: [(&[&str], &str); 7] = [
            (&["--frob", "img"], "unknown flag `--frob`"),
            (&["-Z", "img"], "unknown flag `-Z`"),
            (&["--memory"], "flag `--memory` needs a value"),
            (&["--cpu-shares", "many", "img"], "invalid value `many` for `--cpu-shares`"),
            (&["-t=maybe", "img"], "invalid value `maybe` for `--tty`"),
            (&[], "`hull run` needs <image>"),
            (&["--pids-limit", &long, "img"], "invalid value `xxx"),
        ];
        for (args, want) in table {
            let failure = parsed("run", args).expect_err(want);
            assert_eq!(failure.code, 125);
            let fault = failure.fault.unwrap();
            assert!(fault.summary.contains(want) && fault.summary.len() < 300, "{}", fault.summary);
        }
        assert_eq!(shortened("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
    }
}
