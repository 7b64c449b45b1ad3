//! [`Cache`]: compiled programs, since thousands of containers share a few.
//!
//! A program depends on the profile's text, the container's capabilities, architecture and kernel.
//! Invariant: at most [`MOST`] programs are kept; profiles come from clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::compile::{Program, Target, compile};
use super::profile::Profile;
use crate::Error;

/// Programs kept. When there are more, all are forgotten: a host has few kinds of container.
const MOST: usize = 32;

/// A profile's digest, and the target.
type Key = ([u8; 32], Target);

/// Programs by what they depend on. Cheap to make; one per engine is enough.
#[derive(Debug, Default)]
pub struct Cache {
    programs: Mutex<HashMap<Key, Arc<Program>>>,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The program of `profile` for `target`, compiled if it is not known yet.
    pub fn program(&self, profile: &Profile, target: &Target) -> Result<Arc<Program>, Error> {
        let key = (profile.digest(), *target);
        if let Some(program) = self.lock().get(&key) {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(compile(profile, target)?);
        let mut programs = self.lock();
        if programs.len() >= MOST {
            programs.clear();
        }
        programs.insert(key, Arc::clone(&program));
        Ok(program)
    }

    /// A panic elsewhere leaves the map whole: every change is one insert or clear.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
