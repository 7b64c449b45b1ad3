//! One container: what others see of it ([`Container`]) and the task that owns it ([`task`]).
//!
//! Everything that readers need is published: the [`View`], the spool, the [`Life`]. A reader never
//! waits for the task. Whoever wants a change sends a [`Message`].

mod change;
mod connect;
pub(crate) mod death;
pub(crate) mod end;
pub(crate) mod health;
pub(crate) mod launch;
pub(crate) mod policy;
mod probe;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod step;
pub(crate) mod task;
mod tell;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use hull_launch::keeper::ExitRecord;
use hull_logs::Spool;
use hull_types::{ContainerId, Fault, Name, Signal};
use hull_wire as wire;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, RefusalKind};
use crate::list::Row;
use crate::options::RemoveOptions;
use record::{Definition, State};
use step::{Phase, Refusal};

/// What readers see: immutable, replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub definition: Arc<Definition>,
    pub state: State,
    rows: [OnceLock<Row>; 2],
}

impl View {
    pub fn new(definition: Arc<Definition>, state: State) -> Self {
        Self { definition, state, rows: Default::default() }
    }

    /// Its row in a list, with its health or without, made when it is first asked for.
    pub fn row(&self, health: bool, make: impl FnOnce() -> Result<Row, Fault>) -> Result<&Row, Fault> {
        let kept = &self.rows[usize::from(health)];
        match kept.get() {
            Some(row) => Ok(row),
            None => make().map(|row| kept.get_or_init(|| row)),
        }
    }

    pub fn name(&self) -> &Name {
        &self.definition.name
    }

    pub fn refuse(&self, why: Refusal) -> Error {
        Error::Refused { why: RefusalKind(why), name: self.name().to_string(), id: self.definition.id.to_string() }
    }
}

/// What waiters look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    /// Its PID 1 runs (also paused).
    pub running: bool,
    /// How many runs, or attempts to run, have ended.
    pub exits: u64,
    /// The exit code of the last.
    pub code: i64,
    /// Why the code is not known.
    pub error: String,
    /// It is gone.
    pub removed: bool,
}

/// The kernel objects of the current run.
#[derive(Debug)]
pub(crate) struct Live {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The write end of its stdin, until a client has closed it.
    pub stdin: Mutex<Option<OwnedFd>>,
    /// The master of its terminal.
    pub master: Option<OwnedFd>,
}

/// A container as everybody but its task knows it.
#[derive(Debug)]
pub(crate) struct Container {
    pub id: ContainerId,
    pub spool: Arc<Spool>,
    pub life: watch::Sender<Life>,
    view: RwLock<Arc<View>>,
    live: Mutex<Option<Arc<Live>>>,
    mailbox: mpsc::UnboundedSender<Message>,
    /// Held by a launch, and by who writes into the files of a container that does not run.
    pub files: Arc<tokio::sync::Mutex<()>>,
    /// Rows and columns that clients have asked for.
    pub terminal: Mutex<(u16, u16)>,
}

/// How a client hears what became of its wish.
pub(crate) type Reply<T = ()> = oneshot::Sender<Result<T, Fault>>;

/// What can be asked of, or told to, a container's task.
#[derive(Debug)]
pub(crate) enum Message {
    Start {
        reply: Reply,
    },
    Stop {
        signal: Option<Signal>,
        timeout: Option<i64>,
        /// Because the engine ends: the restart policy starts it when the next one comes.
        with_engine: bool,
        reply: Reply,
    },
    Restart {
        signal: Option<Signal>,
        timeout: Option<i64>,
        reply: Reply,
    },
    Kill {
        signal: Signal,
        reply: Reply,
    },
    Pause {
        reply: Reply,
    },
    Unpause {
        reply: Reply,
    },
    Remove {
        options: RemoveOptions,
        reply: Reply,
    },
    Rename {
        name: Name,
        reply: Reply,
    },
    Update {
        request: Box<wire::ContainerUpdateRequest>,
        reply: Reply<Vec<String>>,
    },
    Connect {
        network: Arc<hull_network::Definition>,
        wish: Box<crate::networks::EndpointWish>,
        reply: Reply,
    },
    /// By the network's name or id: the network may be gone.
    Disconnect {
        network: String,
        reply: Reply,
    },
    /// What a health check found.
    Probed {
        /// Which one.
        number: u64,
        result: health::Found,
    },
    /// The keeper, or recovery, says that PID 1 ended.
    Exited(Ending),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As the keeper recorded it.
    Known(ExitRecord),
    /// Nobody saw it; why, and when that was noticed.
    Unknown { why: String, at_ns: i64 },
}

impl Container {
    pub fn new(view: View, spool: Arc<Spool>, mailbox: mpsc::UnboundedSender<Message>) -> Self {
        let life = Life {
            running: view.state.phase.is_live() && view.state.phase != Phase::Starting,
            code: view.state.exit_code,
            ..Life::default()
        };
        Self {
            id: view.definition.id,
            spool,
            life: watch::Sender::new(life),
            terminal: Mutex::new(view.state.terminal),
            view: RwLock::new(Arc::new(view)),
            live: Mutex::default(),
            files: Arc::default(),
            mailbox,
        }
    }

    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, view: Arc<View>) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }

    pub fn tell(&self, message: Message) -> Result<(), Error> {
        self.mailbox.send(message).map_err(|_| Error::Removed)
    }

    /// Asks the task and waits for its answer.
    pub async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(reply))?;
        answer.await.map_err(|_| Fault::from(Error::Removed))?
    }
}
