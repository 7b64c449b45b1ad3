//! HTTP/1.1 as the Engine API needs it, on unix streams.
//!
//! Why not a general server: Docker turns a connection into a raw stream with status 101 *and* with 200, on any
//! request of a connection and without an Upgrade header; and a request with both Content-Length and
//! Transfer-Encoding has to be refused rather than repaired. Both need the connection itself.
//!
//! Knows nothing of the engine: a [`Service`] answers requests.
//!
//! ```text
//! idle ──head──► request ──body──► service ──► reply ──► idle      (keep-alive)
//!   │ EOF, bad head: 400            │            ├─ Stream: chunks until it ends or the client is gone
//!   ▼                               │            ├─ Hijack: raw bytes both ways ──► closed
//! closed                            │            └─ WebSocket: messages both ways ──► closed
//!                                   └─ panics: 500
//! ```

mod body;
mod conn;
mod head;
mod hijack;
mod reply;
mod server;
mod websocket;

use std::future::Future;

pub use body::{Body, Upload};
pub use head::{Head, HeadError, Method};
pub use reply::{MULTIPLEXED, RAW, Reply, encode_frame, encode_lines};
pub use server::serve;

/// One request: its head, and its body.
pub struct Request {
    /// Request line and the headers that matter.
    pub head: Head,
    /// The body: whole, or as a reader if [`Service::takes_upload`] said so.
    pub body: Body,
    /// The process that connected, if it can be seen from here.
    pub peer: Option<i32>,
}

/// Answers requests.
pub trait Service: Clone + Send + Sync + 'static {
    /// Whether the body is to be read while the request is being answered, instead of before.
    fn takes_upload(&self, head: &Head) -> bool;

    /// Headers that every answer bears, each ending in CR LF.
    fn common_headers(&self) -> &str;

    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Reply> + Send;

    /// The answer to a request that could not be read or whose handler failed.
    fn refuse(&self, error: &HeadError) -> Reply;
}
