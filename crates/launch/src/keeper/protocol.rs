//! What engine and keeper say to each other. Encoded with postcard, in frames that carry descriptors.
//!
//! Requests with a `seq` are answered exactly once with that number; launches progress side by side,
//! so answers come in any order. A connection starts with nothing: the engine asks for `List`.

use serde::{Deserialize, Serialize};

use crate::plan::{IdMaps, LaunchPlan, Slot};

/// The engine's number of a request.
pub type Seq = u64;

/// The name under which a launch's pty master is held until `Drop`.
pub const TERMINAL: &str = "terminal";

/// From the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Makes a process. The descriptors of the frame are the plan's slots. Those in `hold` are kept
    /// under (`plan.key`, name) if the launch succeeds, all others are closed.
    /// Answer: any `Warned`, then `Launched` or `Failed`.
    Launch {
        /// Number of this request.
        seq: Seq,
        /// What to do.
        plan: Box<LaunchPlan>,
        /// What to keep.
        hold: Vec<(String, Slot)>,
    },
    /// A new user namespace with these maps. Answer: `Userns` with its descriptor, or `Failed`.
    Userns {
        /// Number of this request.
        seq: Seq,
        /// Its maps.
        maps: IdMaps,
    },
    /// Keeps the frame's one descriptor under this name; one held before under it is closed.
    Hold {
        /// A container or exec id, or any other owner.
        key: String,
        /// Which of its descriptors.
        name: String,
    },
    /// Closes what is held: one name, or all of the key (a pidfd is not held: it goes with the exit).
    Drop {
        /// The owner.
        key: String,
        /// `None`: all of it.
        name: Option<String>,
    },
    /// Answer: `Listing`.
    List {
        /// Number of this request.
        seq: Seq,
    },
    /// The keeper replaces its program by the frame's one descriptor (an executable file, which it
    /// copies into a sealed memfd) when no launch is under way. Children, descriptors and this link
    /// survive. The next engine is started from the new program. Answer: `Upgraded` or `Failed`.
    Upgrade {
        /// Number of this request.
        seq: Seq,
    },
    /// The keeper ends as soon as the engine has: it does not start another.
    Shutdown,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The process runs its command. Descriptors: its pidfd; then, with `terminal`, the pty master
    /// (a duplicate is held under [`TERMINAL`]).
    Launched {
        /// Number of the request.
        seq: Seq,
        /// Its pid, as the keeper sees it.
        pid: i32,
        /// Whether a pty master comes with it.
        terminal: bool,
        /// How long everything took.
        times: Times,
    },
    /// Nothing was made; all that the launch had made is gone.
    Failed {
        /// Number of the request.
        seq: Seq,
        /// Why.
        failure: Failure,
        /// Of a launch: how far it came when; the child's last time is that of what failed.
        times: Times,
    },
    /// A step that was not required was refused by the kernel; the launch goes on.
    Warned {
        /// Number of the request.
        seq: Seq,
        /// The step and the refusal.
        failure: Failure,
    },
    /// The user namespace. Descriptor: its nsfs fd.
    Userns {
        /// Number of the request.
        seq: Seq,
    },
    /// A launched process has exited and was reaped; its record is written.
    Exited(ExitRecord),
    /// All that is there. Descriptors: the pidfd of each child, then each held one, in order.
    Listing {
        /// Number of the request.
        seq: Seq,
        /// Launched processes that have not exited.
        children: Vec<Child>,
        /// What is held.
        held: Vec<HeldName>,
    },
    /// The keeper runs its new program.
    Upgraded {
        /// Number of the request.
        seq: Seq,
    },
}

/// When a launch came how far, by the system's clock (`CLOCK_REALTIME`: time namespaces do not shift it).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The keeper has read the request; nanoseconds since the epoch. All others count from here.
    pub begun: i64,
    /// The child's first instruction, the beginning of each step of the plan, and the moment before `execve`; nanoseconds.
    /// Of a plan with more steps than [`hull_sys::cells::STAMPS`] only the first. [`Times::UNKNOWN`] where a seccomp
    /// filter does not let the child ask.
    pub child: Vec<i64>,
    /// The keeper has heard that `execve` succeeded; nanoseconds.
    pub heard: i64,
}

impl Times {
    /// Not noted.
    pub const UNKNOWN: i64 = -1;
}

/// Which step failed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Index into [`LaunchPlan::steps`], [`crate::plan::STEP_EXEC`] or [`crate::plan::STEP_CLONE`].
    pub step: u32,
    /// What the kernel answered; 0 if the process was killed while at this step.
    pub errno: i32,
    /// The call with its operands, as `sys` prints it; for a killed process the signal.
    pub call: String,
    /// For [`crate::plan::STEP_EXEC`]: the path that was tried last and the first bytes of that file
    /// (at most 1024), if it could be read.
    pub file: Option<(Vec<u8>, Vec<u8>)>,
}

/// A launched process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its key.
    pub key: String,
    /// Its pid, as the keeper sees it.
    pub pid: i32,
}

/// A held descriptor's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldName {
    /// Its owner.
    pub key: String,
    /// Which one.
    pub name: String,
}

/// How a launched process ended; the content (JSON) of `<run>/exits/<key>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The plan's key.
    pub key: String,
    /// Its pid, as the keeper saw it.
    pub pid: i32,
    /// The raw wait status; see [`hull_sys::process::exit_code`].
    pub status: i32,
    /// When it was reaped, in nanoseconds since the epoch.
    pub at_ns: i64,
}
