//! What the integration tests stand on: a [`Host`] with an engine of its own, images made on the spot,
//! and a [`Census`] of the machine that must be equal before and after.
//!
//! Never compiled into the product. Everything is real: the binary under test, the kernel, busybox.
#![forbid(unsafe_code)]

mod busybox;
mod census;
mod disk;
mod host;
mod inject;
mod kernel;
mod kill_at;
mod raw;
mod registry;
mod room;
mod run;
mod schema;
mod terminal;
mod watch;

pub use busybox::{busybox_tar, busybox_tree};
pub use census::Census;
pub use disk::Disk;
pub use host::{Host, Settings};
pub use inject::{Inject, injected, injected_start};
pub use kernel::{Cgroups, cgroup_file, cgroups, children, on_v2, status_field};
pub use kill_at::KillAt;
pub use raw::{Answer, request};
pub use registry::{Registry, RegistrySettings};
pub use room::Room;
pub use run::{Out, at_rest, eventually, hull_binary, kill9, patience, run, within};
pub use schema::{complaints, complaints_of_refusal, described, description, operation_of};
pub use terminal::on_a_terminal;
pub use watch::Watch;
