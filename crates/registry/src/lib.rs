//! The distribution client: manifests, indexes, blobs and uploads of OCI and docker registries.
//!
//! Owns HTTP, TLS, authentication, redirects, retries and mirrors. Knows nothing of images or of where bytes
//! are kept. A registry is not trusted: every document is bounded, every blob has a promised size and digest,
//! credentials never follow a redirect, and nothing is spoken in the clear but with loopback addresses and
//! registries that the configuration names.
//!
//! Source: OCI distribution-spec 1.1, image-spec 1.1, docker's "Registry HTTP API V2" and token authentication.
#![forbid(unsafe_code)]

mod auth;
mod blob;
mod certificates;
mod challenge;
mod client;
mod config;
mod credentials;
mod error;
mod fetch;
mod login;
mod manifest;
mod place;
mod repository;
mod request;
mod resolve;
mod search;
mod tags;
mod upload;
mod verify;

pub use challenge::Challenge;
pub use client::Client;
pub use config::{Config, DOCKER_ETC, HULL_ETC};
pub use credentials::Credentials;
pub use error::Error;
pub use fetch::{Sink, Wanted};
pub use login::LoggedIn;
pub use manifest::{Descriptor, Document, Entry, ImageManifest, Index, Manifest, media};
pub use repository::Repository;
pub use search::Found;
pub use upload::{Source, Uploaded};

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;
