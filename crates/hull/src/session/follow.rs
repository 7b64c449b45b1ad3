//! An attached container from here to its end, across a restart of the engine.
//!
//! ```text
//! attached --stream ends--> waiting --answer--> Exited
//!     |                        | connection lost
//!     |                        v
//!     |                 engine is back --still runs--> attached (replayed output is passed over)
//!     |                        \--exited--> rest of the output, Exited
//!     \--keys--> Detached
//! ```

use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hull_client::{AttachOptions, Client, Error, Hijacked, WaitCondition, Waiting};
use hull_sys::signals::SignalFd;
use hull_types::{Fault, Kind};

use super::escape::Escape;
use super::relay::{Control, End, Outputs, Relay, Sides};
use super::{signals, terminal};

/// How long a restarted engine is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The status of a container that was never started.
const CREATED: &str = "created";

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// With this exit code.
    Exited(i64),
    /// The user left; the container goes on.
    Detached,
    /// Nobody reads the output.
    ReaderGone,
    /// A signal ended the CLI.
    Killed(i32),
}

/// One container that is followed.
pub(crate) struct Follow<'a> {
    pub client: &'a Client,
    pub id: &'a str,
    pub tty: bool,
    pub options: AttachOptions,
    pub escape: Option<Escape>,
    pub signals: &'a SignalFd,
    pub forward: bool,
    /// This command starts the container: its stream can be replayed from the first byte, and a start
    /// that the engine did not come to is made again.
    pub from_start: bool,
    /// It is removed when it ends (`--rm`).
    pub removed: bool,
}

/// The streams and the registered wait of a container.
pub(crate) type Attachment<'a> = (Hijacked, Waiting<'a>);

/// Forwards signals and sizes to a container.
struct ToContainer<'a> {
    client: &'a Client,
    id: &'a str,
    tty: bool,
}

impl Control for ToContainer<'_> {
    fn signal(&self, number: i32) {
        // it may have exited meanwhile
        let _ = self.client.container_kill(self.id, Some(&signals::name(number)));
    }

    fn resize(&self) {
        if self.tty
            && let Some((rows, columns)) = terminal::size()
        {
            let _ = self.client.container_resize(self.id, rows, columns);
        }
    }
}

impl<'a> Follow<'a> {
    /// Moves its streams until it ends or the user leaves. Without an attachment – the engine went away
    /// while it was made – one is made first.
    pub(crate) fn run(mut self, attachment: Option<Attachment<'a>>) -> Result<Finish, Fault> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let mut outputs = Outputs::new(stdout.as_fd(), stderr.as_fd());
        let mut attachment = attachment;
        loop {
            let (link, waiting) = match attachment.take() {
                Some(attached) => attached,
                None => match self.attach_again(&mut outputs)? {
                    Some(attached) => attached,
                    None => return self.last_words(&mut outputs),
                },
            };
            match self.relay(&link, &mut outputs)? {
                End::Closed => {}
                End::Detached => return Ok(Finish::Detached),
                End::ReaderGone => return Ok(Finish::ReaderGone),
                End::Killed(signal) => return Ok(Finish::Killed(signal)),
            }
            match waiting.done() {
                Ok(answer) => match answer.error {
                    Some(error) => return Err(Fault::internal(error.message)),
                    None => return Ok(Finish::Exited(answer.status_code)),
                },
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn relay(&mut self, link: &Hijacked, outputs: &mut Outputs<'_>) -> Result<End, Fault> {
        let control = ToContainer { client: self.client, id: self.id, tty: self.tty };
        let sides = Sides {
            stdin: self.options.stdin,
            escape: self.escape.as_mut(),
            signals: self.signals,
            forward: self.forward,
            control: &control,
        };
        let moved = Relay::new(link, outputs, sides).run();
        moved.map_err(|e| Fault::internal("lost the container's streams").cause(e))
    }

    /// Streams and wait of a container that survived its engine; none if it has exited.
    fn attach_again(&self, outputs: &mut Outputs<'_>) -> Result<Option<Attachment<'a>>, Fault> {
        patiently(|| self.try_attach(outputs)).map_err(|error| self.end_unknown(error))
    }

    fn try_attach(&self, outputs: &mut Outputs<'_>) -> Result<Option<Attachment<'a>>, Error> {
        let state = self.client.container_inspect(self.id, false)?.state;
        let unstarted = self.from_start && state.status == CREATED;
        if !state.running && !unstarted {
            return Ok(None);
        }
        let condition = match (self.removed, unstarted) {
            (true, _) => WaitCondition::Removed,
            (false, true) => WaitCondition::NextExit,
            (false, false) => WaitCondition::NotRunning,
        };
        let waiting = self.client.container_wait(self.id, condition)?;
        let options = AttachOptions { logs: self.from_start, ..self.options.clone() };
        let link = self.client.container_attach(self.id, &options)?;
        if self.from_start {
            outputs.expect_replay();
        }
        if unstarted {
            self.client.container_start(self.id)?;
        }
        Ok(Some((link, waiting)))
    }

    /// The rest of what an exited container wrote, and its exit code.
    fn last_words(&mut self, outputs: &mut Outputs<'_>) -> Result<Finish, Fault> {
        let code = patiently(|| self.client.container_wait(self.id, WaitCondition::NotRunning).and_then(Waiting::done));
        let code = code.map_err(|error| self.end_unknown(error))?.status_code;
        if self.from_start {
            let options = AttachOptions { logs: true, stream: false, stdin: false, ..self.options.clone() };
            if let Ok(link) = self.client.container_attach(self.id, &options) {
                outputs.expect_replay();
                self.options.stdin = false;
                self.relay(&link, outputs)?;
            }
        }
        Ok(Finish::Exited(code))
    }

    /// Why the exit code cannot be told.
    fn end_unknown(&self, error: Error) -> Fault {
        if error.kind() != Kind::NotFound {
            return error.into();
        }
        let id = self.id.get(..12).unwrap_or(self.id);
        Fault::internal(format!("the exit code of container `{id}` is not known"))
            .cause("it was removed while the engine restarted")
    }
}

/// Asks again while no engine answers, for it is being started again.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(Error::Lost { .. } | Error::Connect { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Starts a new container, once, though the engine may go away meanwhile.
pub(crate) fn start_once(client: &Client, id: &str) -> Result<(), Error> {
    match client.container_start(id) {
        Err(Error::Lost { .. }) => patiently(|| {
            let status = client.container_inspect(id, false)?.state.status;
            if status == CREATED { client.container_start(id) } else { Ok(()) }
        }),
        other => other,
    }
}
