//! Start-up is recovery: from the records, the keeper's listing and its exit records back to
//! containers with tasks; then everything that no container owns is swept.

mod decide;
mod sweep;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hull_launch::keeper::ExitRecord;
use hull_records::Db;
use hull_types::{ContainerId, Fault, Timestamp};
use tokio::sync::mpsc;

use crate::container::record::{Definition, State};
use crate::container::step::{Input, Phase};
use crate::container::task::Task;
use crate::container::{Container, Ending, Message, View};
use crate::core::Core;
use crate::create::log_bound;
use crate::keeper::Listing;
use decide::{Found, Verdict, decide};

/// One container as it was found.
struct Case {
    container: Arc<Container>,
    inbox: mpsc::UnboundedReceiver<Message>,
    verdict: Verdict,
    record: Option<ExitRecord>,
}

/// Brings every recorded container back and sweeps the rest.
pub(crate) async fn recover(core: &Arc<Core>) -> Result<(), Fault> {
    let mut listing = core.keeper.list().await?;
    let mut records = sweep::exit_records(core);
    let mut cases = Vec::new();
    for db in [&core.durable, &core.fleeting] {
        for (definition, state) in rows(db)? {
            let record = records.remove(definition.id.as_str());
            if let Some(case) = examine(core, definition, state, record, &listing) {
                cases.push(case);
            }
        }
    }
    // ORDER: all are known before the first is started, since one may join another's namespaces.
    sweep::sweep(core, &listing, &records);
    for case in cases {
        take_over(core, case, &mut listing);
    }
    Ok(())
}

/// Definitions with their states. What cannot be read is named, and the others load.
fn rows(db: &Db) -> Result<Vec<(Definition, State)>, Fault> {
    let (definitions, states) = db.write_relaxed(|tx| {
        hull_records::Result::Ok((tx.scan::<Definition>()?, tx.scan::<State>()?))
    })?;
    for aside in db.set_aside().iter().chain(&definitions.set_aside).chain(&states.set_aside) {
        tracing::error!(table = %aside.table, key = %aside.key, why = %aside.why, "unreadable record set aside");
    }
    let mut states: HashMap<_, _> = states.rows.into_iter().collect();
    let with_state = definitions.rows.into_iter().map(|(key, definition)| {
        let state = states.remove(&key).unwrap_or_else(|| State::created(""));
        (definition, state)
    });
    Ok(with_state.collect())
}

fn examine(
    core: &Arc<Core>,
    definition: Definition,
    mut state: State,
    record: Option<ExitRecord>,
    listing: &Listing,
) -> Option<Case> {
    let id = definition.id;
    let alive = listing.children.iter().any(|(key, ..)| key == id.as_str());
    // A record that was accounted for, but whose file the janitor had not removed yet.
    let record = record.filter(|record| state.phase.is_live() || record.at_ns > state.finished.nanos());
    let found = Found {
        phase: state.phase,
        same_boot: state.boot == core.facts.boot,
        alive,
        exit_record: record.is_some(),
        ephemeral: definition.ephemeral(),
        manual: state.manual,
    };
    let verdict = decide(found, &definition.host_config.restart_policy);
    match verdict {
        Verdict::Adopt if state.phase == Phase::Paused => {}
        Verdict::Adopt => state.phase = Phase::Running,
        Verdict::ReadExit => {
            // It may have ended before its start was saved.
            state.phase = Phase::Running;
            state.ever_started = true;
            state.pid = record.as_ref().map_or(0, |r| r.pid);
            if state.started <= state.finished {
                state.started = record.as_ref().map_or(state.started, |r| Timestamp::from_nanos(r.at_ns));
            }
        }
        Verdict::UnknownExit { .. } => state.phase = Phase::Running,
        Verdict::Start => state.phase = Phase::Backoff,
        Verdict::Rest | Verdict::Remove => {}
    }
    let spool = match hull_logs::Spool::open(core.container_dir(&id).join("log"), log_bound(&definition)) {
        Ok(spool) => spool,
        Err(error) => {
            tracing::error!(container = %definition.name, %error, "container left out: its log cannot be opened");
            return None;
        }
    };
    if let Err(error) = core.registry.reserve(&definition.name, id) {
        tracing::error!(%id, %error, "container left out: two records have one name");
        return None;
    }
    let (mailbox, inbox) = mpsc::unbounded_channel();
    let view = View { definition: Arc::new(definition), state };
    let container = Arc::new(Container::new(view, spool, mailbox));
    core.registry.insert(Arc::clone(&container));
    Some(Case { container, inbox, verdict, record })
}

fn take_over(core: &Arc<Core>, case: Case, listing: &mut Listing) {
    let Case { container, inbox, verdict, record } = case;
    let id = container.id;
    let mut task = Task::new(Arc::clone(core), Arc::clone(&container), inbox);
    // Also of one that has ended: what it wrote last is still in the held pipes.
    let mut held = listing.held.remove(id.as_str()).unwrap_or_default();
    let mut first = None;
    let ended = match verdict {
        Verdict::Adopt => {
            task.adopt(take_child(listing, &id), std::mem::take(&mut held));
            None
        }
        Verdict::ReadExit => record.map(Ending::Known),
        Verdict::UnknownExit { reboot } => {
            let who = if reboot { "the machine was restarted" } else { "the keeper ended" };
            let why = format!("exit code unknown: {who} while the container ran");
            Some(Ending::Unknown { why, at_ns: Timestamp::now().nanos() })
        }
        Verdict::Start => {
            first = Some(Input::BackoffOver);
            None
        }
        Verdict::Remove => {
            first = Some(Input::Remove { force: true });
            None
        }
        Verdict::Rest => None,
    };
    if let Some(ending) = ended {
        task.adopt(None, held);
        let _ = container.tell(Message::Exited(ending));
    }
    tokio::spawn(task.run(first));
}

fn take_child(listing: &mut Listing, id: &ContainerId) -> Option<(i32, OwnedFd)> {
    let at = listing.children.iter().position(|(key, ..)| key == id.as_str())?;
    let (_, pid, pidfd) = listing.children.swap_remove(at);
    Some((pid, pidfd))
}
