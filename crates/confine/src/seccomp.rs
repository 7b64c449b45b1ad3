//! Seccomp: profiles, and the BPF program that a profile becomes for one container.
//!
//! `profile` holds what is asked for (docker's table in `table`, a user's JSON read by `json`),
//! `verdict` decides what each system call number of an architecture gets, `assemble` and `compile`
//! write the program. Must not load it.
//!
//! The program, in order:
//! ```text
//! load arch ── native? ── load nr ── binary tree over ranges of numbers ── return, or arguments
//!          ├── each compat architecture of the profile: likewise
//!          └── any other: kill the process
//! ```
//! x32 shares x86-64's `arch` and is the upper part of its tree (bit 30 of the number).
//!
//! Invariants: a program ends in a return on every path, reads only `struct seccomp_data`, has at
//! most 4096 instructions, and never permits what the profile does not.

mod assemble;
mod cache;
mod compile;
mod json;
mod profile;
mod syscalls;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod verdict;

pub use cache::Cache;
pub use compile::{Program, Target, compile};
pub use profile::{Action, Arch, Kernel, Profile};
pub use syscalls::syscall_name;
