//! Without a keeper: the next one – systemd's, else one that is started here – gets what the old one
//! held, and starts the next engine.
//!
//! The containers are no children of the new keeper. Their ends are seen through their pidfds; the
//! exit code is known where the kernel tells it after the reaping (KERNEL(6.15): PIDFD_GET_INFO),
//! elsewhere it is said to be unknown.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use hull_launch::keeper::{ExitRecord, start_keeper};
use hull_types::Timestamp;
use tokio::io::Interest;

use crate::container::{Container, Ending, Live, Message, run};
use crate::core::Core;

/// How long systemd's next keeper is waited for, and then one that is started here.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keeper has died. Ends this process when a new one has taken over; else the engine goes on with
/// what runs, and nothing new can be started. Does not block.
pub(crate) fn keeper_died(core: &Arc<Core>) {
    let core = Arc::clone(core);
    let spawned = std::thread::Builder::new().name("hull-handover".into()).spawn(move || {
        hand_over(&core);
        watch_all(&core);
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no new keeper is started: no thread can be made");
    }
}

/// Returns only if nobody took over.
fn hand_over(core: &Core) {
    let (Some(listener), Some(handover)) = (&core.facts.listener, &core.facts.handover) else {
        tracing::error!("no new keeper is started: this engine has no socket to hand over");
        return;
    };
    // Of whom systemd restarts, it is the one to start another: else it would find the lock taken.
    for ours in [!core.facts.under_systemd, true] {
        if ours && let Err(error) = start_keeper(&arguments(core)) {
            tracing::error!(%error, "no new keeper could be started");
            return;
        }
        match handover.give(PATIENCE, listener.as_fd(), &legacy(core)) {
            Ok(_until_the_end) => {
                tracing::warn!("a new keeper takes over");
                // Crash-only: the next engine's start is the recovery.
                std::process::exit(0);
            }
            Err(error) => tracing::error!(%error, "no new keeper came"),
        }
        if ours {
            return;
        }
    }
}

fn watch_all(core: &Core) {
    for container in core.registry.all() {
        if let Some(live) = container.live() {
            core.runtime.spawn(watch(container, live));
        }
    }
}

fn arguments(core: &Core) -> Vec<OsString> {
    let facts = &core.facts;
    let flags: [(&str, OsString); 3] = [
        ("--root", facts.root.clone().into()),
        ("--run", facts.run.clone().into()),
        ("--host", facts.host.clone().into()),
    ];
    let mut arguments = vec!["keeper".into()];
    arguments.extend(flags.into_iter().flat_map(|(flag, value)| [flag.into(), value]));
    arguments
}

fn legacy(core: &Core) -> Vec<(String, String, OwnedFd)> {
    let mut all = crate::volumes::mounts::legacy(core);
    for container in core.registry.all() {
        let Some(live) = container.live() else { continue };
        let named = run::legacy(&live, container.spool.sources());
        let names = core.networks.name_sockets(container.id);
        all.extend(named.into_iter().chain(names).map(|(name, fd)| (container.id.to_string(), name.to_owned(), fd)));
    }
    all
}

/// Reports the end of a process that is no child of the keeper.
pub(crate) async fn watch(container: Arc<Container>, live: Arc<Live>) {
    if let Ok(pidfd) = live.pidfd.try_clone()
        && let Ok(pidfd) = crate::ready::watch(pidfd, Interest::READABLE)
        && pidfd.readable().await.is_err()
    {
        return;
    }
    let ending = match ended(&live.pidfd, container.id.as_str(), live.pid).await {
        Some(record) => Ending::Known(record),
        None => Ending::Unknown {
            why: "exit code unknown: the keeper had ended before the container".into(),
            at_ns: Timestamp::now().nanos(),
        },
    };
    let _ = container.tell(Message::Exited(ending));
}

/// How a process ended that somebody else reaps, if the kernel still tells. It does so from the reaping
/// on, for which the host's init may take a moment.
async fn ended(pidfd: &OwnedFd, key: &str, pid: i32) -> Option<ExitRecord> {
    let at_ns = Timestamp::now().nanos();
    for _ in 0..100 {
        if let Ok(Some(status)) = hull_sys::pidfd::exit_status(pidfd) {
            return Some(ExitRecord { key: key.to_owned(), pid, status, at_ns });
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    None
}
