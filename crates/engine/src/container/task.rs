//! The task that owns a container's state: it turns messages into inputs of the table, and carries
//! out the actions. Preparing and launching is in [`super::launch`], ends and removal in [`super::end`].

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hull_types::{Fault, Signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::death::Sent;
use super::probe::Checks;
use super::record::{Definition, State};
use super::step::{Action, After, Answer, Goal, Input, Phase, step};
use super::{Container, Message, Reply};
use crate::core::Core;

/// The wish of a health check.
pub(super) const UNHEALTHY: &str = "its health check found it unhealthy";

/// The owner of one container.
pub(crate) struct Task {
    pub(super) core: Arc<Core>,
    pub(super) container: Arc<Container>,
    pub(super) definition: Arc<Definition>,
    pub(super) state: State,
    inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) parked: Vec<(Goal, Reply)>,
    timer: Option<Instant>,
    /// The latest stop's wishes.
    stop: StopWish,
    /// The client's signal, for [`Action::SignalGiven`].
    given: Option<Signal>,
    /// The back-off before the current run, if the policy started it.
    pub(super) last_delay: Option<Duration>,
    /// `rm -v`, or the end of an ephemeral container.
    pub(super) remove_volumes: bool,
    /// Why the latest launch or removal failed.
    pub(super) trouble: Option<Fault>,
    /// The run's output, as the collector watches it.
    pub(super) log: Option<hull_logs::Run>,
    /// The janitor still removes the cgroup and the mounts of the last run.
    pub(super) sweeping: Option<oneshot::Receiver<()>>,
    /// The mount namespace of the current run, see [`Task::keep_mounts`].
    pub(super) mounts: Option<OwnedFd>,
    /// Launch attempts that ended, and runs.
    pub(super) exits: u64,
    /// The state is written after the answer.
    unsaved: bool,
    /// Why the latest state could not be written.
    pub(super) unwritten: Option<Fault>,
    /// Why the start that a client waits for is being undone.
    pub(super) undoing: Option<Fault>,
    /// PID 1 of a launch that was given up after it had succeeded.
    pub(super) given_up: i32,
    /// The health checks of the current run, if it has any.
    pub(super) checks: Option<Box<Checks>>,
    /// Whose wish is being followed, in words.
    pub(super) wish: &'static str,
    /// The latest signal to this run.
    pub(super) sent: Option<Sent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct StopWish {
    signal: Option<Signal>,
    timeout: Option<i64>,
}

impl Task {
    pub fn new(core: Arc<Core>, container: Arc<Container>, inbox: mpsc::UnboundedReceiver<Message>) -> Self {
        let view = container.view();
        Self {
            core,
            definition: Arc::clone(&view.definition),
            state: view.state.clone(),
            container,
            inbox,
            parked: Vec::new(),
            timer: None,
            stop: StopWish::default(),
            given: None,
            last_delay: None,
            remove_volumes: false,
            trouble: None,
            log: None,
            sweeping: None,
            mounts: None,
            exits: 0,
            unsaved: false,
            unwritten: None,
            undoing: None,
            given_up: 0,
            checks: None,
            wish: "",
            sent: None,
        }
    }

    /// Lives until the container is gone.
    pub async fn run(mut self, first: Option<Input>) {
        if let Some(input) = first {
            self.feed(input, None).await;
        }
        while self.state.phase != Phase::Gone {
            let due = self.checks.as_ref().and_then(|checks| checks.due());
            let message = match self.timer.into_iter().chain(due).min() {
                None => self.inbox.recv().await,
                Some(at) => match tokio::time::timeout_at(at, self.inbox.recv()).await {
                    Ok(message) => message,
                    Err(_) if self.timer == Some(at) => {
                        self.on_timer().await;
                        continue;
                    }
                    Err(_) => {
                        self.probe();
                        continue;
                    }
                },
            };
            match message {
                Some(message) => self.on_message(message).await,
                None => return,
            }
        }
    }

    async fn on_timer(&mut self) {
        self.timer = None;
        let input = if self.state.phase == Phase::Backoff { Input::BackoffOver } else { Input::GraceOver };
        self.feed(input, None).await;
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Start { reply } => {
                if matches!(self.state.phase, Phase::Created | Phase::Exited | Phase::Backoff) {
                    self.begin_by_hand();
                }
                self.feed(Input::Start, Some(reply)).await;
            }
            Message::Stop { signal, timeout, with_engine, reply } => {
                self.wish = if with_engine { "the engine was shut down" } else { "a client asked it to stop" };
                self.state.shut_down = with_engine && self.state.phase.is_live();
                self.stop = StopWish { signal, timeout };
                self.feed(Input::Stop, Some(reply)).await;
            }
            Message::Restart { signal, timeout, reply } => {
                self.wish = "a client asked it to start anew";
                self.stop = StopWish { signal, timeout };
                self.begin_by_hand();
                self.feed(Input::Restart, Some(reply)).await;
            }
            Message::Kill { signal, reply } => {
                self.wish = "a client sent it (`kill`)";
                self.given = Some(signal);
                self.trouble = None;
                let ends = self.ends_it(signal);
                self.feed(Input::Kill { ends }, Some(reply)).await;
            }
            Message::Pause { reply } => self.feed(Input::Pause, Some(reply)).await,
            Message::Unpause { reply } => self.feed(Input::Unpause, Some(reply)).await,
            Message::Remove { options, reply } => {
                self.wish = "a client removed it by force";
                self.remove_volumes |= options.volumes;
                self.feed(Input::Remove { force: options.force }, Some(reply)).await;
            }
            Message::Rename { name, reply } => drop(reply.send(self.rename(name))),
            Message::Update { request, reply } => drop(reply.send(self.update(&request))),
            Message::Connect { network, wish, reply } => drop(reply.send(self.connect(&network, *wish))),
            Message::Disconnect { network, reply } => drop(reply.send(self.disconnect(&network))),
            Message::Probed { number, result } => {
                if let Some(input) = self.on_probed(number, result) {
                    self.stop = StopWish::default();
                    self.wish = UNHEALTHY;
                    self.feed(input, None).await;
                }
            }
            Message::Exited(ending) => {
                if let Some(input) = self.on_ending(ending) {
                    self.feed(input, None).await;
                }
            }
        }
    }

    fn begin_by_hand(&mut self) {
        (self.state.manual, self.state.shut_down) = (false, false);
        self.state.restarts = 0;
        self.last_delay = None;
    }

    /// Whether a client's signal is meant to end the container for good. COMPAT(docker 28): any signal
    /// is, unless the container names a stop signal of its own and this is neither that nor SIGKILL.
    fn ends_it(&self, signal: Signal) -> bool {
        signal == Signal::KILL
            || self.definition.config.stop_signal.is_empty()
            || signal.number() == self.definition.spec.stop.signal
    }

    /// One input through the table, then what its actions bring, until nothing follows.
    async fn feed(&mut self, input: Input, mut reply: Option<Reply>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let before = self.state.phase;
            let step = step(before, input);
            self.state.phase = step.phase;
            self.follow_with_checks(input == Input::Launched);
            let mut refused = None;
            let pausing = matches!(input, Input::Pause | Input::Unpause);
            for action in step.actions {
                match self.act(action).await {
                    Ok(None) => {}
                    Ok(follows) => next = follows,
                    Err(fault) => refused = Some(fault),
                }
                // What the kernel or the disk refused: the container is as it was.
                if refused.is_some() && pausing {
                    self.state.phase = before;
                    let _ = self.freeze(before == Phase::Paused);
                    self.follow_with_checks(false);
                    break;
                }
            }
            if input == Input::Launched {
                self.undo_unwritten_start();
            }
            self.publish();
            if let Some(reply) = reply.take() {
                match (step.answer, refused) {
                    (_, Some(fault)) => drop(reply.send(Err(fault))),
                    (Answer::Done | Answer::Nobody, None) => drop(reply.send(Ok(()))),
                    (Answer::Refuse(why), None) => drop(reply.send(Err(self.container.view().refuse(why).into()))),
                    (Answer::When(goal), None) => self.parked.push((goal, reply)),
                }
            }
            self.settle(input);
            if std::mem::take(&mut self.unsaved) {
                // It is logged; nobody was promised more.
                let _ = self.save();
            }
        }
    }

    async fn act(&mut self, action: Action) -> Result<Option<Input>, Fault> {
        match action {
            Action::Launch => return Ok(Some(self.launch().await)),
            Action::Destroy => return Ok(Some(self.destroy().await)),
            Action::SignalStop => {
                self.note_sent(self.stop_signal());
                self.signal(self.stop_signal(), true)?;
            }
            Action::SignalKill => {
                self.note_sent(Signal::KILL);
                self.signal(Signal::KILL, true)?;
            }
            Action::SignalGiven => {
                let signal = self.given.take().unwrap_or(Signal::KILL);
                self.note_sent(signal);
                self.signal(signal, true)?;
            }
            Action::Freeze => self.freeze(true)?,
            Action::Thaw => self.freeze(false)?,
            Action::ArmGrace => {
                let seconds = self.stop.timeout.unwrap_or(self.definition.spec.stop.timeout);
                self.timer = u64::try_from(seconds).ok().map(|s| in_time(Duration::from_secs(s.min(u32::MAX.into()))));
            }
            Action::ArmBackoff(delay) => {
                self.last_delay = Some(delay);
                self.timer = Some(in_time(delay));
            }
            Action::Disarm => self.timer = None,
            Action::MarkManual => self.state.manual = true,
            // Nothing of an ephemeral container is promised beyond its run: its client need not wait.
            Action::Save if self.definition.ephemeral() => self.unsaved = true,
            Action::Save => self.save()?,
            Action::Forget => self.forget(),
            Action::Announce(notice) => self.announce(notice),
        }
        Ok(None)
    }

    /// Remembers what is about to be sent, for whoever asks why it ended.
    fn note_sent(&mut self, signal: Signal) {
        let seconds = self.stop.timeout.unwrap_or(self.definition.spec.stop.timeout);
        let asked = self.sent.take().filter(|sent| sent.signal != signal.number());
        let why = match asked.filter(|_| signal == Signal::KILL && matches!(self.state.phase, Phase::Stopping(_))) {
            Some(asked) => {
                let first =
                    Signal::from_number(asked.signal).map_or_else(|_| asked.signal.to_string(), |s| s.to_string());
                format!("{}, and {seconds} s after {first} it had not ended", self.wish)
            }
            None => self.wish.to_owned(),
        };
        self.sent = Some(Sent { signal: signal.number(), why });
    }

    fn stop_signal(&self) -> Signal {
        let own = Signal::from_number(self.definition.spec.stop.signal).unwrap_or(Signal::TERM);
        self.stop.signal.unwrap_or(own)
    }

    pub(super) fn signal(&self, signal: Signal, tell: bool) -> Result<(), Fault> {
        let Some(live) = self.container.live() else { return Ok(()) };
        match hull_sys::pidfd::send_signal(&live.pidfd, signal.number()) {
            Ok(()) => {}
            // It has ended; the keeper's report is on its way.
            Err(error) if error.errno == rustix::io::Errno::SRCH => return Ok(()),
            Err(error) => {
                return Err(Fault::internal(format!("cannot signal container `{}`", self.definition.name)).cause(error));
            }
        }
        if tell {
            self.core.announce(&self.definition, "kill", &[("signal", signal.number().to_string())]);
        }
        Ok(())
    }

    fn freeze(&self, frozen: bool) -> Result<(), Fault> {
        let cgroup = self.core.cgroup(&self.container.view())?;
        Ok(crate::core::blocking(|| cgroup.freeze(frozen))?)
    }

    /// Writes the state. What could not be written is told whoever waits for it, in [`Task::settle`].
    pub(super) fn save(&mut self) -> Result<(), Fault> {
        self.state.terminal = *self.container.terminal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = &self.definition.name;
        let Err(error) = self.core.save_state(&self.definition, &self.state) else {
            // ORDER: the record goes when what it says is written elsewhere.
            if self.container.live().is_none() && !self.state.phase.is_running() {
                self.forget_exit();
            }
            return Ok(());
        };
        tracing::error!(container = %name, %error, "state not saved");
        let what = if self.state.phase.is_running() { "runs" } else { "does not run any more" };
        let fault = Fault::internal(format!("container `{name}` {what}, but that could not be written to the disk"));
        let fault = fault.cause(&error).hint("check free space and the health of the disk under the root directory");
        self.unwritten = Some(fault.clone());
        Err(fault)
    }

    /// With a restart policy a start is a promise beyond the boot: a client who waits for one that could not
    /// be written is refused, and the container ended.
    fn undo_unwritten_start(&mut self) {
        let waited_for = self.parked.iter().any(|(goal, _)| matches!(goal, Goal::Started | Goal::Restarted));
        if !waited_for || !self.definition.restarts() {
            return;
        }
        if let Some(fault) = self.unwritten.take() {
            self.state.manual = true;
            self.state.phase = Phase::Stopping(After::Rest);
            // It fails only when there is nothing to end.
            let _ = self.signal(Signal::KILL, false);
            self.undoing = Some(fault);
        }
    }
}

fn in_time(duration: Duration) -> Instant {
    Instant::now() + duration
}
