//! The façade's operations that docker has nothing like: what a container is.

use hull_wire as wire;

use super::{Engine, Result};
use crate::{by_hand, explain, story, why};

impl Engine {
    /// `GET /hull/containers/{id}/explain`: what a running container is, read from the kernel now. The seccomp filter's verdict
    /// is told for each of `syscalls`.
    pub fn explain(&self, who: &str, syscalls: &[String]) -> Result<wire::Explanation> {
        explain::explain(&self.core, &*self.container(who)?, syscalls)
    }

    /// `GET /hull/containers/{id}/start`: what was done when in a container's latest start, also for a while after it was removed.
    pub fn start_story(&self, who: &str) -> Result<wire::StartStory> {
        story::story(&self.core, who)
    }

    /// `GET /hull/containers/{id}/by-hand`: a running container as a shell script that makes another one like it.
    pub fn by_hand(&self, who: &str) -> Result<wire::ByHand> {
        by_hand::by_hand(&self.core, &*self.container(who)?)
    }

    /// `GET /hull/containers/{id}/postmortem`: why a container ended, also for a while after it was removed.
    pub fn postmortem(&self, who: &str) -> Result<wire::Postmortem> {
        why::why(&self.core, who)
    }
}
