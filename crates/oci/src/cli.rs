//! The command line: runc's global flags, the verb, and how a failure is said.

mod flags;

use std::ffi::OsString;
use std::path::PathBuf;

pub use flags::{Flag, Words};

use crate::error::{Doing, Error, Result};
use crate::log::Log;
use crate::verbs;

/// The flags before the verb.
#[derive(Clone, Debug)]
pub struct Globals {
    /// Where containers' state lies.
    pub root: PathBuf,
    /// The log.
    pub log: Log,
    /// Cgroups are made by systemd.
    pub systemd: bool,
    /// Cgroups that may not be made are done without.
    pub rootless: bool,
}

const GLOBALS: &[Flag] = &[
    Flag::bool("debug"),
    Flag::value("log"),
    Flag::value("log-format"),
    Flag::value("root"),
    Flag::value("criu"),
    Flag::bool("systemd-cgroup"),
    Flag::value("rootless"),
    Flag::bool("help").or("h"),
    Flag::bool("version").or("v"),
];

/// The version, and the specification's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Of the runtime specification.
pub const SPEC: &str = "1.3.0";

/// Runs a command.
pub fn main(args: Vec<OsString>) -> i32 {
    let mut log = Log::default();
    match run(args, &mut log) {
        Ok(code) => code,
        Err(Failed { error, verb, code }) => {
            let message = match verb {
                Some(verb) if !matches!(error, Error::Usage(_)) => said(verb, &error),
                _ => error.to_string(),
            };
            log.error(&message);
            code
        }
    }
}

/// runc prefixes what fails within these verbs.
fn said(verb: &str, error: &Error) -> String {
    match verb {
        "create" | "run" => format!("hull {verb} failed: {error}"),
        "exec" => format!("exec failed: {error}"),
        _ => error.to_string(),
    }
}

struct Failed {
    error: Error,
    verb: Option<&'static str>,
    code: i32,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, verb: None, code: 1 }
    }
}

fn run(args: Vec<OsString>, log: &mut Log) -> Result<i32, Failed> {
    let words = args
        .into_iter()
        .map(|word| word.into_string().map_err(|word| Error::Usage(format!("{word:?} is not valid UTF-8"))))
        .collect::<Result<Vec<_>>>()?;
    let given = Words::before_verb(GLOBALS, words)?;
    log.file = given.value("log").filter(|path| !path.is_empty()).map(PathBuf::from);
    log.json = match given.value("log-format") {
        None | Some("text" | "") => false,
        Some("json") => true,
        Some(other) => return Err(Error::Usage(format!("invalid log-format: {other:?}")).into()),
    };
    if given.is("version") {
        say(&format!("runc version {VERSION}\ncommit: hull-{VERSION}\nspec: {SPEC}\n"))?;
        return Ok(0);
    }
    let Some((verb, rest)) = given.rest.split_first() else {
        say(&verbs::help())?;
        return Ok(0);
    };
    if given.is("help") || verb == "help" || verb == "h" {
        say(&verbs::help())?;
        return Ok(0);
    }
    let Some(verb) = verbs::find(verb) else {
        return Err(Error::Usage(format!("no such command: {verb:?}; see `hull oci --help`")).into());
    };
    let words = Words::of_verb(verb.flags, rest.to_vec(), verb.passes_on)?;
    if words.is("help") {
        say(&verb.help())?;
        return Ok(0);
    }
    let globals = Globals {
        root: root(given.value("root")),
        log: log.clone(),
        systemd: given.is("systemd-cgroup"),
        rootless: rootless(given.value("rootless"))?,
    };
    (verb.run)(&globals, &words).map_err(|error| Failed { error, verb: Some(verb.name), code: verb.failure })
}

/// Prints on stdout; a reader that has gone is an error like another.
pub fn say(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).doing(|| "write to stdout".to_owned())
}

/// `/run/hull-oci`, or for a user without rights its runtime directory.
fn root(given: Option<&str>) -> PathBuf {
    if let Some(root) = given.filter(|root| !root.is_empty()) {
        return root.into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !rustix::process::geteuid().is_root() => PathBuf::from(dir).join("hull-oci"),
        _ => PathBuf::from("/run/hull-oci"),
    }
}

fn rootless(given: Option<&str>) -> Result<bool> {
    match given {
        None | Some("auto" | "") => Ok(!rustix::process::geteuid().is_root()),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Error::Usage(format!("invalid value {other:?} for --rootless: true, false or auto"))),
    }
}
