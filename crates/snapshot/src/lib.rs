//! Layers on disk, and root file systems on top of them, as detached mounts.
//!
//! Owns `<root>/layers`, `<root>/snapshots` and `<root>/trash`. Knows chain ids, not images, and slots,
//! not containers. Invariants: a layer is visible under its chain id only when it is whole and on the
//! disk; nothing is ever attached in the host's mount namespace; removing is renaming into the trash,
//! which [`Snapshots::sweep`] empties behind the answer; a prepared root file system looks the same
//! whether it came from the pool or not.
//!
//! ```text
//! layers/<chain id>/{fs,layer.json}    an unpacked layer, read-only from now on
//! layers/.new-<n>/                     on the way in
//! snapshots/<slot>/{upper,work}        one container's own changes
//! snapshots/.pool-<n>/                 prepared for a container that does not exist yet
//! snapshots/.empty/                    the lower directory of an image without layers
//! trash/<n>                            out of sight, to be deleted
//! ```
#![forbid(unsafe_code)]

mod changes;
mod dir;
mod error;
mod host;
mod layers;
mod places;
mod pool;
mod rootfs;
mod slots;
mod store;
mod usage;
mod verify;
mod view;

pub use changes::{ChangeKind, Changed, Owner};
pub use error::Error;
pub use layers::{Ground, LayerInfo, LayerStage, StagedLayer, StagedOrVisible, chain_id};
pub use places::{Place, Places};
pub use rootfs::{Base, Prepared, Rootfs};
pub use store::{Recovered, Snapshots};
pub use usage::bytes as bytes_beneath;
pub use verify::Verified;

/// The most layers that one root file system can stand on.
pub const MAX_LAYERS: usize = hull_mount::MAX_LOWERS;

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;
