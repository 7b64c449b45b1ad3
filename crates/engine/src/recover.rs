//! Start-up is recovery: from the records, the keeper's listing and its exit records back to
//! containers with tasks; then everything that no container owns is swept.

mod abandoned;
mod aside;
mod decide;
mod strays;
mod sweep;

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hull_launch::keeper::ExitRecord;
use hull_records::{Db, Gap};
use hull_types::{ContainerId, Fault, Timestamp};
use tokio::sync::mpsc;

use crate::container::record::{Definition, State};
use crate::container::step::{Input, Phase};
use crate::container::task::Task;
use crate::container::{Container, Ending, Message, View};
use crate::core::{Core, blocking};
use crate::create::log_kept;
use crate::keeper::Listing;
use crate::orphan;
use crate::volumes;
use decide::{Found, Verdict, decide};

/// The file in the run directory that says that the engine was told to end.
const TOLD_TO_END: &str = "told-to-end";

/// One container as it was found.
struct Case {
    container: Arc<Container>,
    inbox: mpsc::UnboundedReceiver<Message>,
    verdict: Verdict,
    record: Option<ExitRecord>,
    /// Its PID 1, if that is no child of the keeper.
    stray: Option<(i32, OwnedFd)>,
}

/// Brings every recorded container back and sweeps the rest.
pub(crate) async fn recover(core: &Arc<Core>) -> Result<(), Fault> {
    let mut listing = core.keeper.list().await?;
    volumes::mounts::report(core);
    volumes::mounts::adopt(core, &mut listing);
    let mut records = sweep::exit_records(core);
    let mut strays = strays::handed_over(&mut listing);
    let mut cases = Vec::new();
    let told_to_end = told_to_end(core);
    let mut gap = core.images.gap();
    let mut owned = BTreeSet::new();
    for db in [&core.durable, &core.fleeting] {
        let (rows, unread) = rows(db)?;
        gap = gap.max(unread);
        for (definition, state) in rows {
            // Also of one that is left out: its files wait for a start that can use them.
            owned.insert(definition.id.to_string());
            let record = records.remove(definition.id.as_str());
            let stray = strays.remove(definition.id.as_str());
            let seen = Seen { record, stray, told_to_end };
            if let Some(case) = examine(core, definition, state, &listing, seen) {
                cases.push(case);
            }
        }
    }
    volumes::mounts::sweep(core);
    // ORDER: all are known before the first is started, since one may join another's namespaces.
    sweep::sweep(core, &listing, &records, &owned);
    match gap {
        Gap::None => sweep::sweep_files(core, &owned),
        Gap::Damage if aside::set_aside(core, &owned) => sweep::sweep_files(core, &owned),
        Gap::Damage => {}
        Gap::Newer => tracing::warn!("nothing is swept: records of a newer hull are there"),
    }
    for case in cases {
        take_over(core, case, &mut listing);
    }
    // ORDER: an engine that does not get here is none that was started; the next one is.
    let _ = std::fs::remove_file(core.facts.run.join(TOLD_TO_END));
    blocking(|| core.networks.sweep());
    abandoned::sweep(core);
    // ORDER: only now every name is known; what was asked before would have been answered wrongly.
    blocking(|| core.networks.resume());
    Ok(())
}

/// Whether a container was left running on a network, as far as the records tell.
pub(crate) fn runs_on(dbs: &[&Db], boot: &str, network: &str) -> bool {
    dbs.iter().any(|db| {
        // What cannot be read may be anything.
        let states = match db.write_relaxed(|tx| tx.scan::<State>()) {
            Ok(states) => states,
            Err(error) => {
                tracing::warn!(%error, "whether containers run on the network cannot be read: as if they did");
                return true;
            }
        };
        let runs = |state: &State| state.boot == boot && state.phase.is_live();
        let on = |state: &State| state.given.endpoints.iter().any(|end| end.network == network);
        states.rows.iter().any(|(_, state)| runs(state) && on(state))
    })
}

/// Definitions with their states, and whether those are all. What cannot be read is named, and the
/// others load.
fn rows(db: &Db) -> Result<(Vec<(Definition, State)>, Gap), Fault> {
    let (definitions, states) =
        db.write_relaxed(|tx| hull_records::Result::Ok((tx.scan::<Definition>()?, tx.scan::<State>()?)))?;
    let gap = Gap::of(db.set_aside().iter().chain(&definitions.set_aside));
    for aside in db.set_aside().iter().chain(&definitions.set_aside).chain(&states.set_aside) {
        tracing::error!(table = %aside.table, key = %aside.key, why = %aside.why, "unreadable record set aside");
    }
    let mut states: HashMap<_, _> = states.rows.into_iter().collect();
    let with_state = definitions.rows.into_iter().map(|(key, definition)| {
        let state = states.remove(&key).unwrap_or_else(|| State::created(""));
        (definition, state)
    });
    Ok((with_state.collect(), gap))
}

/// What is seen of a container besides its records.
struct Seen {
    record: Option<ExitRecord>,
    stray: Option<(i32, OwnedFd)>,
    /// The engine before was told to end.
    told_to_end: bool,
}

/// Notes in the run directory that the engine was told to end, and is not followed by the next one at once.
pub(crate) fn note_end(core: &Core) {
    if let Err(error) = std::fs::write(core.facts.run.join(TOLD_TO_END), "") {
        tracing::warn!(%error, "the next engine will not know that this one was told to end");
    }
}

fn told_to_end(core: &Core) -> bool {
    core.facts.run.join(TOLD_TO_END).exists()
}

fn examine(core: &Arc<Core>, definition: Definition, mut state: State, listing: &Listing, seen: Seen) -> Option<Case> {
    let Seen { record, stray, told_to_end } = seen;
    let id = definition.id;
    let child = listing.children.iter().any(|(key, ..)| key == id.as_str());
    // A record that was accounted for, but whose file was not removed any more. The same moment, not an
    // earlier one: the clock may have been set meanwhile.
    let counted = |record: &ExitRecord| !state.phase.is_live() && record.at_ns == state.finished.nanos();
    if record.as_ref().is_some_and(counted) {
        let _ = std::fs::remove_file(core.exit_record(id.as_str()));
    }
    let record = record.filter(|record| !counted(record));
    let same_boot = state.boot == core.facts.boot;
    let lost = same_boot && state.phase.is_live() && !child && record.is_none();
    let stray = stray.or_else(|| if lost { strays::rescue(core, &definition, &state) } else { None });
    let found = Found {
        phase: state.phase,
        same_boot,
        alive: child || stray.is_some(),
        exit_record: record.is_some(),
        ephemeral: definition.ephemeral(),
        manual: state.manual,
        shut_down: state.shut_down,
        told_to_end,
        exit_code: state.exit_code,
        restarts: state.restarts,
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
        Verdict::Start => {
            state.phase = Phase::Backoff;
            // Whoever ended it: from here on it is the policy's again.
            (state.manual, state.shut_down) = (false, false);
        }
        Verdict::Remove => state.phase = Phase::Exited,
        Verdict::Rest if state.phase == Phase::Starting => state.phase = Phase::Exited,
        Verdict::Rest => {}
    }
    let spool = match open_spool(core, &definition) {
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
    let view = View::new(Arc::new(definition), state);
    let container = Arc::new(Container::new(view, spool, mailbox));
    core.registry.insert(Arc::clone(&container));
    Some(Case { container, inbox, verdict, record, stray })
}

/// The container's log; one that cannot be opened is set aside.
fn open_spool(core: &Core, definition: &Definition) -> hull_logs::Result<Arc<hull_logs::Spool>> {
    let path = core.container_dir(&definition.id).join("log");
    hull_logs::Spool::open(path.clone(), log_kept(definition)).or_else(|error| {
        let aside = (1..).map(|n| path.with_extension(format!("damaged-{n}"))).find(|aside| !aside.exists());
        let aside = aside.unwrap_or_else(|| path.with_extension("damaged"));
        tracing::error!(container = %definition.name, %error, aside = %aside.display(), "unreadable log set aside");
        std::fs::rename(&path, aside).map_err(|_| error)?;
        hull_logs::Spool::open(path, log_kept(definition))
    })
}

fn take_over(core: &Arc<Core>, case: Case, listing: &mut Listing) {
    let Case { container, inbox, verdict, record, stray } = case;
    let id = container.id;
    let mut task = Task::new(Arc::clone(core), Arc::clone(&container), inbox);
    // Also of one that has ended: what it wrote last is still in the held pipes.
    let mut held = listing.held.remove(id.as_str()).unwrap_or_default();
    let mut first = None;
    let ended = match verdict {
        Verdict::Adopt => {
            let foreign = stray.is_some();
            // One that has ended has no number any more: it keeps the saved one.
            let saved = container.view().state.pid;
            let stray = stray.map(|(pid, pidfd)| (if pid > 0 { pid } else { saved }, pidfd));
            task.adopt(stray.or_else(|| take_child(listing, &id)), std::mem::take(&mut held));
            if let Some(live) = container.live().filter(|_| foreign) {
                core.runtime.spawn(orphan::watch(Arc::clone(&container), live));
            }
            None
        }
        Verdict::ReadExit => record.map(Ending::Known),
        Verdict::UnknownExit { reboot } => {
            let damaged = sweep::damaged_exits(core).join(id.as_str());
            let why = match (reboot, damaged.exists()) {
                (true, _) => "exit code unknown: the machine was restarted while the container ran".to_owned(),
                (false, true) => format!("exit code unknown: its record is damaged and lies in {}", damaged.display()),
                (false, false) => "exit code unknown: the keeper ended while the container ran".to_owned(),
            };
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
