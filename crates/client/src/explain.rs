//! What docker has nothing like: what a container is.

use hull_wire::{ByHand, Explanation, Postmortem, StartStory};

use crate::Client;
use crate::error::Error;
use crate::request::Request;

impl Client {
    /// What a running container is; the seccomp filter's verdict is told for each of `syscalls`.
    pub fn container_explain(&self, who: &str, syscalls: &[String]) -> Result<Explanation, Error> {
        let request = Request::new("GET", &["hull", "containers", who, "explain"]);
        self.call(if syscalls.is_empty() { request } else { request.query("syscalls", syscalls.join(",")) })?.json()
    }

    /// What was done when in a container's latest start; also for a while after it was removed.
    pub fn container_start_story(&self, who: &str) -> Result<StartStory, Error> {
        self.call(Request::new("GET", &["hull", "containers", who, "start"]))?.json()
    }

    /// A container as a shell script that makes another one like it.
    pub fn container_by_hand(&self, who: &str) -> Result<ByHand, Error> {
        self.call(Request::new("GET", &["hull", "containers", who, "by-hand"]))?.json()
    }

    /// Why a container ended; also for a while after it was removed.
    pub fn container_postmortem(&self, who: &str) -> Result<Postmortem, Error> {
        self.call(Request::new("GET", &["hull", "containers", who, "postmortem"]))?.json()
    }
}
