//! Carrying out the health checks of a run: when the next is due, the exec that asks, what follows.
//!
//! The container's task keeps the time; the exec runs beside it and reports. A container without checks has none of
//! this. A check that is given up – the container is paused or ends – is killed and not counted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hull_types::{Fault, GoDuration, Signal, Timestamp};
use hull_wire as wire;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::death::Sent;
use super::health::{Check, Found, Health, OUTPUT, OnFailure, Status};
use super::step::{Input, Phase};
use super::task::{Task, UNHEALTHY};
use super::{Container, Message};
use crate::core::Core;
use crate::exec::{self, Exec};
use crate::exec_tree;
use crate::options::{ExecStarted, Output};

/// The checks of the current run.
pub(super) struct Checks {
    check: Arc<Check>,
    /// When to ask next; `None` while one is asking.
    due: Option<Instant>,
    /// Dropping it gives up the check that is asking.
    asking: Option<oneshot::Sender<()>>,
    /// How many were begun.
    number: u64,
}

impl Checks {
    pub fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Task {
    /// Begins, goes on with or ends the checks, as the phase now demands. `anew`: a run has begun.
    pub(super) fn follow_with_checks(&mut self, anew: bool) {
        if self.definition.config.healthcheck.is_none() {
            return;
        }
        if self.state.phase != Phase::Running {
            if self.checks.take().is_some() {
                self.state.health = self.state.health.take().map(|health| Arc::new(health.unwatched()));
            }
            return;
        }
        if !anew && self.checks.is_some() {
            return;
        }
        let Some(check) = Check::of(&self.definition) else { return };
        if anew || self.state.health.is_none() {
            self.state.health = Some(Arc::new(Health::starting(self.state.health.as_deref())));
        }
        self.checks = Some(Box::new(Checks { check: Arc::new(check), due: None, asking: None, number: 0 }));
        self.wait_for_next();
    }

    fn wait_for_next(&mut self) {
        let status = self.state.health.as_ref().map_or(Status::Starting, |health| health.status);
        let ran = Timestamp::now().nanos().saturating_sub(self.state.started.nanos()).max(0);
        if let Some(checks) = &mut self.checks {
            let pause = checks.check.pause(status, Duration::from_nanos(ran.unsigned_abs()));
            checks.due = Instant::now().checked_add(pause);
        }
    }

    /// The next check is due.
    pub(super) fn probe(&mut self) {
        let Some(checks) = &mut self.checks else { return };
        checks.due = None;
        checks.number += 1;
        let (asking, given_up) = oneshot::channel();
        checks.asking = Some(asking);
        let probe = Probe {
            core: Arc::clone(&self.core),
            container: Arc::clone(&self.container),
            check: Arc::clone(&checks.check),
        };
        self.core.runtime.spawn(probe.run(checks.number, given_up));
    }

    /// A check has an answer; what it demands of the container.
    pub(super) fn on_probed(&mut self, number: u64, found: Found) -> Option<Input> {
        let checks = self.checks.as_mut().filter(|checks| checks.asking.is_some() && checks.number == number)?;
        checks.asking = None;
        let check = Arc::clone(&checks.check);
        let before = self.state.health.take().unwrap_or_else(|| Arc::new(Health::starting(None)));
        let now = before.after(found, &check, self.state.started);
        let (was, is) = (before.status, now.status);
        self.state.health = Some(Arc::new(now));
        self.wait_for_next();
        self.publish();
        if was != is {
            self.core.announce(&self.definition, format!("health_status: {}", is.word()), &[]);
        }
        if was == is || is != Status::Unhealthy { None } else { self.on_unhealthy(check.on_failure) }
    }

    fn on_unhealthy(&mut self, wanted: OnFailure) -> Option<Input> {
        match wanted {
            OnFailure::None => None,
            // Nobody ended it: the restart policy goes on.
            OnFailure::Kill => {
                self.sent = Some(Sent { signal: Signal::KILL.number(), why: UNHEALTHY.into() });
                if let Err(error) = self.signal(Signal::KILL, true) {
                    tracing::error!(container = %self.definition.name, %error, "unhealthy, and could not be killed");
                }
                None
            }
            OnFailure::Restart => Some(Input::Restart),
            OnFailure::Stop => Some(Input::Stop),
        }
    }
}

/// One check that is asking.
struct Probe {
    core: Arc<Core>,
    container: Arc<Container>,
    check: Arc<Check>,
}

impl Probe {
    async fn run(self, number: u64, given_up: oneshot::Receiver<()>) {
        let start = Timestamp::now();
        let asked = self.ask(given_up).await;
        let (exit_code, output) = match asked {
            Ok(None) => return,
            Ok(Some(answer)) => answer,
            Err(fault) => {
                tracing::debug!(container = %self.container.id, %fault, "health check could not be run");
                (-1, fault.to_string())
            }
        };
        let result = Found { start, end: Timestamp::now(), exit_code, output };
        // The container may be gone.
        let _ = self.container.tell(Message::Probed { number, result });
    }

    /// Exit code and output; `None` if it was given up.
    async fn ask(&self, given_up: oneshot::Receiver<()>) -> Result<Option<(i64, String)>, Fault> {
        let config = wire::ExecConfig {
            cmd: self.check.argv.clone(),
            attach_stdout: true,
            attach_stderr: true,
            ..wire::ExecConfig::default()
        };
        let id = exec::create(&self.core, self.container.id.as_str(), config)?.id;
        let exec = self.core.execs.get(&id)?;
        let answer = self.converse(&exec, given_up).await;
        self.core.execs.forget(&exec.id);
        answer
    }

    async fn converse(
        &self,
        exec: &Arc<Exec>,
        given_up: oneshot::Receiver<()>,
    ) -> Result<Option<(i64, String)>, Fault> {
        let started = exec::start(&self.core, exec.id.as_str(), wire::ExecStartConfig::default()).await?;
        let ExecStarted::Attached(attached) = started else { return Ok(None) };
        let mut said = Said::default();
        let in_time = tokio::select! {
            () = said.listen(attached.output) => true,
            () = tokio::time::sleep(self.check.timeout) => false,
            _ = given_up => {
                exec_tree::kill(&self.core, &self.container, exec).await;
                return Ok(None);
            }
        };
        if !in_time {
            exec_tree::kill(&self.core, &self.container, exec).await;
            let exceeded = format!("Health check exceeded timeout ({})", GoDuration::from(self.check.timeout));
            let said = said.text();
            let output = if said.is_empty() { exceeded } else { format!("{exceeded}: {said}") };
            return Ok(Some((-1, output)));
        }
        exec.over().await;
        let code = (*exec.exit().borrow()).map_or(-1, i64::from);
        Ok(Some((code, said.text())))
    }
}

/// What a check has said: the beginning is kept.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    more: bool,
}

impl Said {
    /// Until the exec has ended.
    async fn listen(&mut self, mut output: Output) {
        while let Some(frame) = output.frames.next().await {
            let kept = frame.bytes.len().min(OUTPUT - self.bytes.len());
            self.bytes.extend_from_slice(&frame.bytes[..kept]);
            self.more |= kept < frame.bytes.len();
        }
    }

    fn text(&self) -> String {
        let dots = if self.more { "..." } else { "" };
        format!("{}{dots}", String::from_utf8_lossy(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::options::{Frame, StdStream};

    #[tokio::test]
    async fn the_beginning_of_the_output_is_kept() {
        for (pieces, expected) in [
            (vec!["a", "b\n"], "ab\n".to_owned()),
            (vec![&*"x".repeat(4096)], "x".repeat(4096)),
            (vec![&*"x".repeat(4090), "123456789"], format!("{}123456...", "x".repeat(4090))),
        ] {
            let frames =
                pieces.into_iter().map(|p| Frame { stream: StdStream::Stdout, bytes: Bytes::from(p.to_owned()) });
            let frames = futures_util::stream::iter(frames.collect::<Vec<_>>()).boxed();
            let mut said = Said::default();
            said.listen(Output { tty: false, frames }).await;
            assert_eq!(said.text(), expected);
        }
    }
}
