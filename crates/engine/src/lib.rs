//! The engine: containers, execs, events, logs, images, and recovery, behind one façade, [`Engine`].
//!
//! One task owns each container's state and moves it by a pure table ([`container`]); reads use the
//! published snapshot and never wait for a task. The façade speaks the documents of `hull-wire` and
//! refuses with [`hull_types::Fault`]. It knows nothing of HTTP and starts no server.
#![forbid(unsafe_code)]

pub mod admit;
mod attach;
mod by_hand;
mod config;
mod container;
mod copy;
mod core;
mod create;
mod detach;
mod download;
mod engine;
mod error;
mod events;
mod exec;
mod exec_output;
mod exec_tree;
mod explain;
mod files;
mod images;
mod info;
mod input;
mod inspect;
mod janitor;
mod keeper;
mod list;
mod logging;
mod names;
pub mod networks;
mod open;
mod options;
mod orphan;
pub mod prepare;
mod prune;
mod ready;
mod recover;
mod registry;
mod resize;
mod settings;
mod stats;
mod story;
mod top;
mod transfer;
mod volumes;
mod wait;
mod why;

pub use config::EngineConfig;
pub use copy::CopyInto;
pub use download::Download;
pub use engine::Engine;
pub use error::{Error, RefusalKind};
pub use files::CommitRequest;
pub use input::Input;
pub use options::{
    AttachOptions, Attached, ExecStarted, Frame, ImportOptions, ListOptions, LogOptions, Output, RemoveOptions,
    StdStream, Told, UsageKinds, WaitCondition,
};
pub use settings::{Registries, Settings};
pub use transfer::{PullOptions, PushOptions};
pub use wait::Waiting;
