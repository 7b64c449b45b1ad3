//! Networks of a container: its namespace, and the three files in `/etc` that speak of names.
//!
//! So far: an empty namespace with `lo` up (`none`), the host's own, and another container's, the two
//! of which need nothing made. Knows nothing of containers beyond a host name.
#![forbid(unsafe_code)]

mod error;
pub mod etc;
mod netns;

pub use error::Error;
pub use netns::{Netns, Pool};
