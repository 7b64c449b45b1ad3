//! Waiting for the end of a run, or of the container.

use std::sync::Arc;

use hull_types::Fault;
use hull_wire as wire;
use tokio::sync::watch;

use crate::container::{Container, Life};
use crate::options::WaitCondition;

/// A registered wait: what happens from its making on is not missed.
pub struct Waiting {
    life: watch::Receiver<Life>,
    condition: WaitCondition,
    seen: u64,
}

impl Waiting {
    pub(crate) fn new(container: &Arc<Container>, condition: WaitCondition) -> Self {
        let life = container.life.subscribe();
        let seen = life.borrow().exits;
        Self { life, condition, seen }
    }

    /// Waits for the condition.
    ///
    /// # Errors
    /// Never; a run whose end is not known has an error inside the response, as docker's.
    pub async fn done(mut self) -> Result<wire::ContainerWaitResponse, Fault> {
        let (condition, seen) = (self.condition, self.seen);
        let over = move |life: &Life| match condition {
            WaitCondition::NotRunning => !life.running,
            WaitCondition::NextExit => life.exits > seen || life.removed,
            WaitCondition::Removed => life.removed,
        };
        // An error: its task is gone, and with it the container.
        let _ = self.life.wait_for(over).await.map(|_| ());
        let life = self.life.borrow().clone();
        let error = (life.code == crate::container::end::UNKNOWN_EXIT && !life.error.is_empty())
            .then(|| wire::WaitError { message: life.error.clone() });
        Ok(wire::ContainerWaitResponse { status_code: life.code, error })
    }
}
