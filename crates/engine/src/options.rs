//! What callers of the façade ask for and get back, where it is not a document of the wire.
//!
//! Plain values: no behaviour beyond reading filters and the detach keys' streams.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use hull_types::Timestamp;

use crate::input::Input;

pub use hull_wire::StdStream;

/// Told of each object that a prune removes: its id or name, and what happened to it. Must not block.
pub type Told = Arc<dyn Fn(&str, &'static str) + Send + Sync>;

/// Bytes that a process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it wrote them.
    pub stream: StdStream,
    /// What it wrote.
    pub bytes: Bytes,
}

/// The output of a process.
pub struct Output {
    /// It has a terminal: frames are not to be multiplexed.
    pub tty: bool,
    /// The frames; ends with the process, with the log, or when the client detaches.
    pub frames: BoxStream<'static, Frame>,
}

/// An attached client's two directions.
pub struct Attached {
    /// The process has a terminal.
    pub tty: bool,
    /// What the process writes.
    pub output: Output,
    /// What the client types; absent if it did not ask for stdin or the process has none.
    pub input: Option<Input>,
}

/// `rm`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes as well.
    pub volumes: bool,
    /// Remove a link (refused: hull has none).
    pub link: bool,
}

/// `ps`.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Stopped ones as well.
    pub all: bool,
    /// The newest so many, running or not.
    pub limit: Option<usize>,
    /// Measure the root file systems.
    pub size: bool,
    /// Each with its health, as the API has it from 1.52 on.
    pub health: bool,
    /// Which ones.
    pub filters: hull_wire::Filters,
}

/// `logs`.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// fd 1.
    pub stdout: bool,
    /// fd 2.
    pub stderr: bool,
    /// Go on until the container ends.
    pub follow: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line begins with the labels and variables that the log options name.
    pub details: bool,
    /// Lines from this moment on.
    pub since: Option<Timestamp>,
    /// Lines up to this moment.
    pub until: Option<Timestamp>,
    /// The last so many lines; `None` is all.
    pub tail: Option<u64>,
}

/// `attach`.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Send input.
    pub stdin: bool,
    /// Receive fd 1.
    pub stdout: bool,
    /// Receive fd 2.
    pub stderr: bool,
    /// Stay and receive what is still to come.
    pub stream: bool,
    /// Begin with what was already written.
    pub logs: bool,
    /// In docker's form `ctrl-p,ctrl-q`; `None` is exactly that.
    pub detach_keys: Option<String>,
}

/// Which objects `system df` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageKinds {
    /// Images and their layers.
    pub images: bool,
    /// Containers' own layers.
    pub containers: bool,
    /// Volumes.
    pub volumes: bool,
    /// The build cache.
    pub build_cache: bool,
}

impl UsageKinds {
    /// Everything.
    pub const ALL: Self = Self { images: true, containers: true, volumes: true, build_cache: true };
    /// Nothing.
    pub const NONE: Self = Self { images: false, containers: false, volumes: false, build_cache: false };
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run (at once if so already).
    #[default]
    NotRunning,
    /// It exits after this call.
    NextExit,
    /// It is gone.
    Removed,
}

/// `import`.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// `name[:tag]`, or empty for an image without a name.
    pub reference: String,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
    /// The history's comment.
    pub message: String,
    /// Where the archive came from, as the history says it (`-` is the request's body).
    pub source: String,
    /// `os[/arch[/variant]]`, or empty for this machine's.
    pub platform: String,
}

/// How an exec was started.
pub enum ExecStarted {
    /// In the background.
    Detached,
    /// With the client attached.
    Attached(Attached),
}
