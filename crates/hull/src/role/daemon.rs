//! Called as `dockerd`: its flags and daemon.json, checked as a whole before anything starts; then this process becomes
//! the keeper. For the engine, whoever has started it: which settings it was given, and reading them again.
//!
//! ```text
//! dockerd ── flags + file ──▶ checked ──▶ HULL_DAEMON, HULL_SOCKETS, … ──▶ exec: keeper ──▶ engine
//! ```

mod endpoint;
mod file;
mod help;
mod pidfile;
mod table;
mod wanted;
mod words;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_engine::Settings;
use hull_types::{Fault, Kind};
use serde::{Deserialize, Serialize};

pub(crate) use endpoint::{Endpoints, listen};
use file::Values;
use wanted::Reading;

use super::sockets::{self, Socket};
use crate::cli::VERSION;
use crate::cli::failure::report;

/// The variable that tells the engine what dockerd was told.
const VARIABLE: &str = "HULL_DAEMON";
/// The variable with the file of an engine that was not called as dockerd.
pub(crate) const FILE_VARIABLE: &str = "HULL_CONFIG";
/// The keeper stays in the foreground.
pub(crate) const FOREGROUND: &str = "HULL_FOREGROUND";

/// What dockerd was told, for every engine of its keeper.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    file: PathBuf,
    named: bool,
    flags: Values,
    /// Flags and file when it started: an engine that finds the file broken goes on with it.
    accepted: Values,
}

/// Whether the program was called as dockerd.
pub(crate) fn is_called(called: &OsStr) -> bool {
    Path::new(called).file_name().is_some_and(|name| name == "dockerd")
}

/// The role. Returns only if nothing starts.
pub(crate) fn dockerd(args: Vec<std::ffi::OsString>) -> u8 {
    match start(args) {
        Ok(()) => 0,
        Err(fault) => {
            report(&fault);
            1
        }
    }
}

fn start(args: Vec<std::ffi::OsString>) -> Result<(), Fault> {
    let text = |arg: std::ffi::OsString| arg.into_string().map_err(|_| Fault::invalid("an argument is not UTF-8"));
    let args = args.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let words = words::parse(&args)?;
    if words.help {
        return say(&help::text());
    }
    if words.version {
        return say(&format!("Docker version {VERSION}, hull\n"));
    }
    let mut flags = words.values;
    let file = flags.remove("config-file").and_then(|file| file.as_str().map(PathBuf::from));
    let mut told = Told {
        named: file.is_some(),
        file: file.unwrap_or_else(|| file::DOCKER_FILE.into()),
        flags,
        accepted: Values::new(),
    };
    told.accepted = file::join(&told.flags, file::read(&told.file, told.named)?)?;
    let settings = wanted::settings(&told.accepted)?;
    hull_engine::networks::check_settings(&settings.networks)?;
    let endpoints = Endpoints::of(&told.accepted)?;
    if words.validate {
        return say("configuration OK\n");
    }
    become_keeper(&told, &endpoints)
}

/// `<data-root>` and `<exec-root>` are hull's own where none are named: what docker keeps is never touched.
fn become_keeper(told: &Told, endpoints: &Endpoints) -> Result<(), Fault> {
    let read = Reading(&told.accepted);
    let (root, run) = (read.path("data-root", "/var/lib/hull")?, read.path("exec-root", "/run/hull")?);
    if root.join("overlay2").exists() || root.join("image/overlay2").exists() {
        let fault = Fault::conflict(format!("{} holds docker's own state, which hull does not read", root.display()));
        return Err(fault.hint("name another --data-root, and bring the images in by `docker save` and `hull load`"));
    }
    endpoints.check()?;
    let group = group(&read.text("group"))?;
    let pidfile = read.path("pidfile", "/var/run/docker.pid")?;
    pidfile::write(&pidfile)?;
    let json = serde_json::to_string(told).map_err(|error| Fault::internal("cannot pass the flags on").cause(error))?;
    let own = std::env::current_exe().map_err(|error| Fault::internal("cannot find the program").cause(error))?;
    let main = endpoints.main(&run);
    let mut command = Command::new(own);
    command
        .arg0("hull")
        .args(["keeper".as_ref(), "--root".as_ref(), root.as_os_str(), "--run".as_ref(), run.as_os_str()])
        .arg("--host")
        .arg(format!("unix://{}", main.display()))
        .env(VARIABLE, json)
        .env(FOREGROUND, "1")
        .env(sockets::VARIABLE, endpoints.further())
        .env("HULL_PIDFILE", pidfile.as_os_str());
    match group {
        Some(group) => command.env("HULL_GROUP", group.to_string()),
        None => command.env_remove("HULL_GROUP"),
    };
    command.envs(wanted::proxies(&told.accepted)?);
    let error = command.exec();
    pidfile::remove(&pidfile);
    Err(Fault::internal("the keeper cannot be started").cause(error))
}

/// COMPAT(docker 28): its own group is used if it is there; another one must be.
fn group(name: &str) -> Result<Option<u32>, Fault> {
    let found = super::group_named(if name.is_empty() { "docker" } else { name });
    match (found, name) {
        (None, "") | (None, "docker") => Ok(None),
        (None, other) => Err(Fault::new(Kind::NotFound, format!("there is no group {other}"))),
        (found, _) => Ok(found),
    }
}

/// The engine's log level.
fn level(values: &Values) -> String {
    let read = Reading(values);
    match read.text("log-level").as_str() {
        _ if read.flag("debug") => "debug".to_owned(),
        "" => "info".to_owned(),
        "fatal" => "error".to_owned(),
        level => level.to_owned(),
    }
}

fn say(text: &str) -> Result<(), Fault> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Fault::internal("cannot write").cause(error))
}

/// What holds for the engine of this process.
pub(crate) struct Wanted {
    pub settings: Settings,
    pub endpoints: Endpoints,
    /// `debug`, `info`, …
    pub level: String,
}

impl Wanted {
    fn of(values: &Values) -> Result<Self, Fault> {
        Ok(Self { settings: wanted::settings(values)?, endpoints: Endpoints::of(values)?, level: level(values) })
    }
}

/// Reads flags and file for the engine. At its start a dockerd's engine takes what was accepted before, where the file
/// is broken meanwhile.
pub(crate) fn read(starting: bool) -> Result<Option<Wanted>, Fault> {
    let Some(json) = std::env::var_os(VARIABLE) else { return own() };
    let told: Told = serde_json::from_slice(json.as_encoded_bytes())
        .map_err(|error| Fault::invalid(format!("{VARIABLE} is unusable")).cause(error))?;
    let again = file::read(&told.file, told.named).and_then(|file| file::join(&told.flags, file));
    match again.and_then(|values| Wanted::of(&values)) {
        Err(fault) if starting => {
            report(&fault);
            Ok(Some(Wanted::of(&told.accepted)?))
        }
        other => other.map(Some),
    }
}

/// daemon.json of an engine that was not called as dockerd; `None` if there is none.
fn own() -> Result<Option<Wanted>, Fault> {
    let named = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
    let values = own_values(named.as_deref())?;
    if values.is_empty() { Ok(None) } else { Wanted::of(&values).map(Some) }
}

/// Checks daemon.json of an engine that is about to start.
pub(crate) fn check_own(named: Option<&Path>) -> Result<(), Fault> {
    let settings = wanted::settings(&own_values(named)?)?;
    hull_engine::networks::check_settings(&settings.networks)
}

fn own_values(named: Option<&Path>) -> Result<Values, Fault> {
    let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| "/etc/hull".into());
    let path = named.map_or_else(|| Path::new(&etc).join("daemon.json"), Path::to_path_buf);
    let values = file::join(&Values::new(), file::read(&path, named.is_some())?)?;
    for (keys, instead) in [
        (&["data-root", "exec-root"][..], "--root and --run say where the engine lives"),
        (
            &["hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"],
            "--host and --socket say where it listens; over TCP it does as `dockerd`",
        ),
        (&["pidfile"], "the keeper's pid is in its run directory"),
        (&["group"], "HULL_GROUP names the group of the socket"),
        (&["proxies", "http-proxy", "https-proxy", "no-proxy"], "HTTP_PROXY, HTTPS_PROXY and NO_PROXY name proxies"),
        (&["log-level"], "HULL_LOG has the level; `debug` is honoured"),
    ] {
        if let Some(key) = keys.iter().find(|key| values.contains_key(**key)) {
            let what = format!("{}: `{key}` is for an engine that was called as dockerd", path.display());
            return Err(Fault::unsupported(what).hint(instead));
        }
    }
    Ok(values)
}

/// Takes dockerd's pid file away at the end.
pub(crate) fn tidy() {
    if let Some(path) = std::env::var_os("HULL_PIDFILE") {
        pidfile::remove(Path::new(&path));
    }
}

/// A socket at this path, as docker makes it.
fn unix(path: &Path) -> Result<Socket, Fault> {
    format!("path={}", path.display()).parse()
}
