//! The verbs, one file each: their flags, and what they do.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod hearing;
mod kill;
mod launching;
mod list;
mod pause;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::cli::{Flag, Globals, Words};
use crate::error::{Error, Result};

/// A verb.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the help.
    about: &'static str,
    /// Its arguments, for the help.
    usage: &'static str,
    /// Its flags; `--help` is every verb's.
    pub flags: &'static [Flag],
    /// After so many arguments, words are no longer looked at for flags.
    pub passes_on: Option<usize>,
    /// Runs it; its exit code.
    pub run: fn(&Globals, &Words) -> Result<i32>,
    /// Its exit code when it fails.
    pub failure: i32,
}

/// As most verbs are.
const PLAIN: Verb =
    Verb { name: "", about: "", usage: "<container-id>", flags: HELP, passes_on: None, run: |_, _| Ok(0), failure: 1 };

const HELP: &[Flag] = &[Flag::bool("help").or("h")];

const ALL: &[Verb] = &[
    Verb {
        name: "checkpoint",
        about: "checkpoint a running container (not supported)",
        passes_on: Some(0),
        run: checkpoint,
        ..PLAIN
    },
    Verb { name: "create", about: "create a container", flags: create::FLAGS, run: create::run, ..PLAIN },
    Verb {
        name: "delete",
        about: "delete any resources held by the container often used with detached container",
        flags: delete::FLAGS,
        run: delete::run,
        ..PLAIN
    },
    Verb {
        name: "events",
        about: "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
        flags: events::FLAGS,
        run: events::run,
        ..PLAIN
    },
    Verb {
        name: "exec",
        about: "execute new process inside the container",
        usage: "<container-id> <command> [command options] || -p process.json <container-id>",
        flags: exec::FLAGS,
        passes_on: Some(0),
        run: exec::run,
        failure: 255,
    },
    Verb { name: "features", about: "show the enabled features", usage: "", run: features::run, ..PLAIN },
    Verb {
        name: "kill",
        about: "kill sends the specified signal (default: SIGTERM) to the container's init process",
        usage: "<container-id> [signal]",
        flags: kill::FLAGS,
        run: kill::run,
        ..PLAIN
    },
    Verb {
        name: "list",
        about: "lists containers started with the given root",
        usage: "",
        flags: list::FLAGS,
        run: list::run,
        ..PLAIN
    },
    Verb { name: "pause", about: "pause suspends all processes inside the container", run: pause::pause, ..PLAIN },
    Verb {
        name: "ps",
        about: "ps displays the processes running inside a container",
        usage: "<container-id> [ps options]",
        flags: ps::FLAGS,
        passes_on: Some(0),
        run: ps::run,
        ..PLAIN
    },
    Verb {
        name: "restore",
        about: "restore a container from a previous checkpoint (not supported)",
        passes_on: Some(0),
        run: restore,
        ..PLAIN
    },
    Verb {
        name: "resume",
        about: "resumes all processes that have been previously paused",
        run: pause::resume,
        ..PLAIN
    },
    Verb { name: "run", about: "create and run a container", flags: run::FLAGS, run: run::run, ..PLAIN },
    Verb {
        name: "spec",
        about: "create a new specification file",
        usage: "",
        flags: spec::FLAGS,
        run: spec::run,
        ..PLAIN
    },
    Verb { name: "start", about: "executes the user defined process in a created container", run: start::run, ..PLAIN },
    Verb { name: "state", about: "output the state of a container", run: state::run, ..PLAIN },
    Verb {
        name: "update",
        about: "update container resource constraints",
        flags: update::FLAGS,
        run: update::run,
        ..PLAIN
    },
];

/// The verb of this name.
pub fn find(name: &str) -> Option<&'static Verb> {
    ALL.iter().find(|verb| verb.name == name)
}

/// Every verb.
pub fn help() -> String {
    let mut text = String::from(
        "NAME:\n   hull oci - Open Container Initiative runtime, with runc's command line\n\nUSAGE:\n   hull oci [global options] command [command options] [arguments...]\n\nCOMMANDS:\n",
    );
    for verb in ALL {
        text += &format!("   {:<11} {}\n", verb.name, verb.about);
    }
    text += "\nGLOBAL OPTIONS:\n   --debug             enable debug logging\n   --log value         file to write logs to (default: stderr)\n   --log-format value  'text' (default) or 'json'\n   --root value        directory of containers' state (default: /run/hull-oci)\n   --systemd-cgroup    cgroups are made by systemd; cgroupsPath is `slice:prefix:name`\n   --rootless value    ignore cgroup permission errors: true, false or auto\n   --help, -h          show help\n   --version, -v       print the version\n";
    text
}

impl Verb {
    /// Its own help.
    pub fn help(&self) -> String {
        let mut text = format!(
            "NAME:\n   hull oci {0} - {1}\n\nUSAGE:\n   hull oci {0} [command options] {2}\n\nOPTIONS:\n",
            self.name, self.about, self.usage
        );
        for flag in self.flags {
            text += &format!("   {}\n", flag.shown());
        }
        text
    }
}

fn checkpoint(_: &Globals, _: &Words) -> Result<i32> {
    Err(Error::unsupported("checkpoint", "processes are not saved yet; stop the container and start a new one"))
}

fn restore(_: &Globals, _: &Words) -> Result<i32> {
    Err(Error::unsupported("restore", "processes are not saved yet; start a new container"))
}
