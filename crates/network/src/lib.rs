//! Networks of a container: its namespace, the bridge it is wired to, its addresses and published ports,
//! its name service, and the three files in `/etc` that speak of names.
//!
//! [`Definition`] is what a network is asked to be, [`Switch`] makes the kernel so, [`ipam`] and [`rules`]
//! decide without touching anything. Knows nothing of containers beyond a host name.
#![forbid(unsafe_code)]

pub mod claims;
mod definition;
pub mod dns;
mod error;
pub mod etc;
mod gateway;
pub mod ipam;
pub mod look;
mod netns;
pub mod ports;
pub mod rules;
mod switch;

pub use definition::{Definition, Driver, Endpoint, Subnet};
pub use error::Error;
pub use gateway::{GatewayMode, Gateways};
pub use hull_netlink::route::{IpvlanFlag, IpvlanMode, Mac, MacvlanMode, Net};
pub use netns::{Netns, Pool};
pub use switch::{Switch, own_parent};
