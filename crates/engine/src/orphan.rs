//! Without a keeper: the engine watches its containers' pidfds itself.
//!
//! Exit codes are known where the kernel tells them after the reaping (KERNEL(6.15): PIDFD_GET_INFO);
//! elsewhere the end is seen and its code is said to be unknown. Nothing new can be started.

use std::sync::Arc;

use hull_launch::keeper::ExitRecord;
use hull_types::Timestamp;
use tokio::io::Interest;

use crate::container::{Container, Ending, Live, Message};
use crate::core::Core;

/// Watches every running container.
pub(crate) fn watch_all(core: &Arc<Core>) {
    for container in core.registry.all() {
        if let Some(live) = container.live() {
            core.runtime.spawn(watch(container, live));
        }
    }
}

async fn watch(container: Arc<Container>, live: Arc<Live>) {
    if let Ok(pidfd) = live.pidfd.try_clone()
        && let Ok(pidfd) = crate::ready::watch(pidfd, Interest::READABLE)
        && pidfd.readable().await.is_err()
    {
        return;
    }
    let at_ns = Timestamp::now().nanos();
    let ending = match hull_sys::pidfd::exit_status(&live.pidfd) {
        Ok(Some(status)) => {
            Ending::Known(ExitRecord { key: container.id.to_string(), pid: live.pid, status, at_ns })
        }
        _ => Ending::Unknown { why: "exit code unknown: the keeper had ended before the container".into(), at_ns },
    };
    let _ = container.tell(Message::Exited(ending));
}
