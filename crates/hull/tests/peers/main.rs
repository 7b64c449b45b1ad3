//! Other engines over `hull oci`: containerd, podman and Docker's daemon, each in a room of its own; and Docker Compose over hull's engine.
//!
//! What they run, exec into, pause, update, stop and remove is looked at from outside, and runc under the same engine is the control:
//! an expectation that runc does not meet is a wrong expectation. A test whose engine is not installed fails and says what brings it.

mod beside;
mod bollard;
mod clients;
mod compose;
mod containerd;
mod contexts;
mod docker;
mod goldens;
mod networks;
mod operators;
mod podman;
mod stack;
mod words;
