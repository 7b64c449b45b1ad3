//! Launching: the [`plan`] of a process with a boundary, its pure compiler, the child that walks it,
//! and the keeper that clones, reaps and holds what must outlive the engine.
//!
//! Nothing here knows images, networks or the API: a launch takes values and file descriptors.

#![forbid(unsafe_code)]

mod child;
mod cloning;
pub mod compile;
pub mod direct;
mod init;
pub mod keeper;
pub mod plan;
pub mod spec;
