//! The name service of containers: what listens at 127.0.0.11 in their namespaces.
//!
//! [`Zone`] knows who is called what on which network. [`Sockets`] are opened inside a container's namespace and are
//! all that is needed to serve it, so they can wait elsewhere while no engine runs. [`Server`] answers on them:
//! names of the container's own networks from the zone, everything else from the resolvers of the host (or those
//! that the container was given), never from any other.

mod forward;
mod message;
mod resolvers;
mod server;
mod socket;
mod zone;

pub use resolvers::Resolvers;
pub use server::{Scope, Server};
pub use socket::{SERVER, Sockets};
pub use zone::Zone;
