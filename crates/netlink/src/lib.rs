//! Netlink: links, addresses and routes (rtnetlink(7)), and nftables in atomic batches.
//!
//! Blocking, one request at a time on one socket; a socket belongs to the network namespace of the
//! thread that opened it, wherever it is used afterwards. It speaks of kernel objects only and knows
//! nothing of networks, containers or ports.
#![forbid(unsafe_code)]

mod error;
mod message;
pub mod nft;
pub mod route;
mod socket;

pub use error::{Error, Result, Tolerate};
pub use route::Route;
