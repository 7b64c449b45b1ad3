//! The Engine API: HTTP/1.1 on a unix socket ↔ one call of [`hull_engine::Engine`].
//!
//! Owns HTTP ([`http`]), the routes and the mapping of faults to statuses. It holds no logic: a handler decodes,
//! calls the engine and encodes. Knows nothing of containers beyond the documents of `hull-wire`.
#![forbid(unsafe_code)]

pub mod http;
mod query;
mod routes;
mod status;
mod tls;

use std::future::Future;
use std::os::unix::net::UnixListener;

use hull_engine::Engine;
use hull_types::{Fault, Kind};

pub use routes::Access;
pub use tls::{Identity, certificates, serve_tls, unusable};

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listening socket is not one that tokio can use.
    #[error("cannot listen on the inherited socket: {0}")]
    Listen(#[source] std::io::Error),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Listen(_) => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Serves the Engine API on `listener` until `shutdown` is ready. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// [`Error::Listen`]. What goes wrong on one connection ends that connection only.
pub async fn serve(engine: Engine, listener: UnixListener, shutdown: impl Future) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listen)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(Error::Listen)?;
    http::serve(listener, routes::Api::new(engine, Access::Full, None), shutdown).await;
    Ok(())
}

/// Serves the Engine API, or a part of it, on a further socket as long as the runtime lives; with a label (`key` or
/// `key=value`) only what bears it.
///
/// # Errors
/// [`Error::Listen`].
pub fn serve_beside(
    engine: Engine,
    listener: UnixListener,
    access: Access,
    label: Option<String>,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listen)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(Error::Listen)?;
    tokio::spawn(http::serve(listener, routes::Api::new(engine, access, label), std::future::pending::<()>()));
    Ok(())
}
