//! [`Engine`]: the façade. One method per operation of the API; each is a line or two of delegation.

mod archive;
mod explain;
mod images;
mod networks;
mod settings;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use hull_logs::{LineOptions, Lines};
use hull_types::{Fault, Signal, Timestamp};
use hull_wire as wire;
use tokio::sync::oneshot;

use crate::config::EngineConfig;
use crate::container::{Container, Message};
use crate::core::Core;
use crate::download::Download;
use crate::error::Error;
use crate::files::CommitRequest;
use crate::janitor::Job;
use crate::options::{
    AttachOptions, Attached, ExecStarted, ListOptions, LogOptions, Output, RemoveOptions, Told, UsageKinds,
    WaitCondition,
};
use crate::wait::Waiting;
use crate::{admit, attach, create, exec, files, info, inspect, list, open, prune, resize, stats, top};

/// The engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

type Result<T> = std::result::Result<T, Fault>;

/// How long what was put off may take at the end; recovery finds the rest.
const CLOSE_TIME: Duration = Duration::from_secs(2);

impl Engine {
    /// Opens the state and recovers: when this returns, every container is as it was. Must run on a
    /// tokio runtime; one of several threads lets slow disks hold up nobody else.
    ///
    /// # Errors
    /// The state cannot be used, another engine has it, or the keeper does not answer.
    pub async fn open(config: EngineConfig) -> Result<Self> {
        Ok(Self { core: open::open(config).await? })
    }

    /// `POST /containers/create`.
    pub async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        request: wire::ContainerCreateRequest,
    ) -> Result<wire::ContainerCreateResponse> {
        create::create(&self.core, name, platform, request).await
    }

    /// `POST /containers/{id}/start`. [`hull_types::Kind::NotModified`] if it runs.
    pub async fn start(&self, who: &str) -> Result<()> {
        self.container(who)?.ask(|reply| Message::Start { reply }).await
    }

    /// `POST /containers/{id}/stop`; `timeout` in seconds, -1 waits for ever.
    pub async fn stop(&self, who: &str, signal: Option<String>, timeout: Option<i64>) -> Result<()> {
        let container = self.container(who)?;
        let (signal, timeout) =
            (parse_signal(signal).map_err(|fault| in_words("stop", who, fault))?, check_timeout(timeout)?);
        container.ask(|reply| Message::Stop { signal, timeout, with_engine: false, reply }).await
    }

    /// Stops every container, since the engine is to end: restart policies start theirs when the next one comes. Each has the time that
    /// it has to stop; those that take longer than `at_least` seconds, or than the slowest has and five more, are left. -1 waits for ever.
    pub async fn stop_containers(&self, at_least: i64) -> Result<()> {
        let all = self.core.registry.all();
        let live: Vec<_> = all.iter().filter(|container| container.view().state.phase.is_live()).collect();
        let own = live.iter().map(|container| container.view().definition.spec.stop.timeout);
        // COMPAT(docker 28): its ShutdownTimeout.
        let times: Vec<i64> =
            std::iter::once(at_least).chain(own.map(|own| if own < 0 { own } else { own + 5 })).collect();
        let stops = live.iter().map(|container| {
            container.ask(|reply| Message::Stop { signal: None, timeout: None, with_engine: true, reply })
        });
        let all = futures_util::future::join_all(stops);
        let stopped = match times.iter().min().zip(times.iter().max()) {
            Some((shortest, longest)) if *shortest >= 0 => {
                let limit = Duration::from_secs(u64::try_from(*longest).unwrap_or(0));
                let late = |_| Fault::new(hull_types::Kind::Unavailable, "some containers did not end in time");
                tokio::time::timeout(limit, all).await.map_err(late)?
            }
            _ => all.await,
        };
        // One that ended by itself meanwhile was not there to be stopped.
        let failed = |result: &Result<()>| result.as_ref().is_err_and(|f| f.kind != hull_types::Kind::NotModified);
        stopped.into_iter().find(failed).unwrap_or(Ok(()))
    }

    /// `POST /containers/{id}/restart`.
    pub async fn restart(&self, who: &str, signal: Option<String>, timeout: Option<i64>) -> Result<()> {
        let container = self.container(who)?;
        let (signal, timeout) =
            (parse_signal(signal).map_err(|fault| in_words("restart", who, fault))?, check_timeout(timeout)?);
        container.ask(|reply| Message::Restart { signal, timeout, reply }).await
    }

    /// `POST /containers/{id}/kill`; SIGKILL unless another is named. With SIGKILL this returns when
    /// the container has ended.
    pub async fn kill(&self, who: &str, signal: Option<String>) -> Result<()> {
        let said = |fault| in_words("kill", who, fault);
        let container = self.container(who).map_err(said)?;
        let signal = parse_signal(signal).map_err(said)?.unwrap_or(Signal::KILL);
        let ended = Waiting::new(&container, WaitCondition::NextExit);
        container.ask(|reply| Message::Kill { signal, reply }).await.map_err(said)?;
        if signal == Signal::KILL {
            // COMPAT(docker 28): bounded, as a process may hang in the kernel.
            let _ = tokio::time::timeout(Duration::from_secs(10), ended.done()).await;
        }
        Ok(())
    }

    /// `POST /containers/{id}/pause`.
    pub async fn pause(&self, who: &str) -> Result<()> {
        self.container(who)?.ask(|reply| Message::Pause { reply }).await
    }

    /// `POST /containers/{id}/unpause`.
    pub async fn unpause(&self, who: &str) -> Result<()> {
        self.container(who)?.ask(|reply| Message::Unpause { reply }).await
    }

    /// `POST /containers/{id}/rename`.
    pub async fn rename(&self, who: &str, new: &str) -> Result<()> {
        let container = self.container(who)?;
        if new.is_empty() || new == "/" {
            return Err(Fault::invalid("Neither old nor new names may be empty"));
        }
        let name = admit::name(new).map_err(|fault| {
            // COMPAT(docker 28): its sentence, with the slash that it adds.
            let said = fault.summary.replacen("name (", "name (/", 1);
            Fault { summary: format!("Error when allocating new name: {said}"), ..fault }
        })?;
        container.ask(|reply| Message::Rename { name, reply }).await
    }

    /// `DELETE /containers/{id}`.
    pub async fn remove(&self, who: &str, options: RemoveOptions) -> Result<()> {
        let container = self.container(who)?;
        if options.link {
            return Err(Fault::unsupported("container links are not supported"));
        }
        container.ask(|reply| Message::Remove { options, reply }).await
    }

    /// `POST /containers/{id}/update`.
    pub async fn update(
        &self,
        who: &str,
        request: wire::ContainerUpdateRequest,
    ) -> Result<wire::ContainerUpdateResponse> {
        let request = Box::new(request);
        let warnings = self.container(who)?.ask(|reply| Message::Update { request, reply }).await?;
        Ok(wire::ContainerUpdateResponse { warnings })
    }

    /// `POST /containers/{id}/wait`: registered when this returns.
    pub async fn wait(&self, who: &str, condition: WaitCondition) -> Result<Waiting> {
        Ok(Waiting::new(&self.container(who)?, condition))
    }

    /// `GET /containers/json`: the document.
    pub fn list(&self, options: &ListOptions) -> Result<Vec<u8>> {
        list::list(&self.core, options)
    }

    /// `GET /containers/{id}/json`.
    pub fn inspect(&self, who: &str, size: bool) -> Result<wire::ContainerInspectResponse> {
        inspect::inspect(&self.core, &*self.container(who)?, size)
    }

    /// `GET /containers/{id}/top`.
    pub fn top(&self, who: &str, ps_args: &str) -> Result<wire::ContainerTopResponse> {
        top::top(&self.core, &*self.container(who)?, ps_args)
    }

    /// `POST /containers/{id}/resize`.
    pub async fn resize(&self, who: &str, height: u16, width: u16) -> Result<()> {
        resize::container(&self.core, &*self.container(who)?, height, width)
    }

    /// `GET /containers/{id}/logs`.
    pub async fn logs(&self, who: &str, options: LogOptions) -> Result<Output> {
        let container = self.container(who)?;
        if !options.stdout && !options.stderr {
            return Err(Error::NoStream.into());
        }
        // ORDER: the reader is made before the look at the state, or it could miss the end of the run.
        let reader = container.spool.reader_at_start();
        let view = container.view();
        if !view.definition.spec.log.keeps() {
            return Err(Error::LogsNotKept.into());
        }
        let lines = Lines::new(
            reader,
            LineOptions {
                stdout: options.stdout,
                stderr: options.stderr,
                timestamps: options.timestamps,
                details: options.details.then(|| crate::logging::details(&view.definition)),
                since: options.since.filter(|t| !t.is_never()).map(Timestamp::nanos),
                until: options.until.filter(|t| !t.is_never() && t.nanos() != 0).map(Timestamp::nanos),
                tail: options.tail,
                follow: options.follow && container.live().is_some(),
            },
        );
        let frames = stream::unfold(lines, |mut lines| async move {
            let (stream, bytes) = lines.next().await?;
            Some((attach::frame(stream, bytes), lines))
        });
        Ok(Output { tty: view.definition.config.tty, frames: frames.boxed() })
    }

    /// `POST /containers/{id}/attach`.
    pub async fn attach(&self, who: &str, options: AttachOptions) -> Result<Attached> {
        attach::attach(&self.core, self.container(who)?, &options)
    }

    /// `GET /containers/{id}/stats`: one sample, or one each second until the client goes.
    pub async fn stats(
        &self,
        who: &str,
        stream: bool,
        one_shot: bool,
    ) -> Result<BoxStream<'static, wire::ContainerStats>> {
        stats::stats(&self.core, self.container(who)?, stream, one_shot).await
    }

    /// `GET /events`: what is remembered since `since`, then what comes, until `until`.
    pub fn events(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: wire::Filters,
    ) -> Result<BoxStream<'static, wire::EventMessage>> {
        self.core.events.listen(since, until, filters)
    }

    /// `POST /containers/{id}/exec`.
    pub async fn exec_create(&self, who: &str, request: wire::ExecConfig) -> Result<wire::IdResponse> {
        exec::create(&self.core, who, request)
    }

    /// `POST /exec/{id}/start`.
    pub async fn exec_start(&self, id: &str, request: wire::ExecStartConfig) -> Result<ExecStarted> {
        exec::start(&self.core, id, request).await
    }

    /// `POST /exec/{id}/resize`.
    pub async fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        self.core.execs.get(id)?.resize(height, width)
    }

    /// `GET /exec/{id}/json`.
    pub fn exec_inspect(&self, id: &str) -> Result<wire::ExecInspect> {
        Ok(self.core.execs.get(id)?.inspect())
    }

    /// `POST /containers/prune`.
    pub async fn container_prune(&self, filters: &wire::Filters, told: Told) -> Result<wire::ContainersPruneReport> {
        prune::containers(&self.core, filters, told).await
    }

    /// `GET /containers/{id}/changes`.
    pub fn changes(&self, who: &str) -> Result<Vec<wire::FilesystemChange>> {
        files::changes(&self.core, &*self.container(who)?)
    }

    /// `GET /containers/{id}/export`.
    pub fn export(&self, who: &str) -> Result<Download> {
        files::export(&self.core, &self.container(who)?)
    }

    /// `POST /commit`: the id of the new image.
    pub async fn commit(&self, request: CommitRequest) -> Result<String> {
        files::commit(&self.core, request).await
    }

    /// `GET /system/df`.
    pub fn disk_usage(&self, kinds: UsageKinds) -> Result<wire::DiskUsage> {
        prune::usage(&self.core, kinds)
    }

    /// `GET /info`.
    pub fn info(&self) -> Result<wire::SystemInfo> {
        Ok(info::info(&self.core))
    }

    /// `GET /version`.
    pub fn version(&self) -> wire::SystemVersion {
        info::version(&self.core)
    }

    /// Whether the engine answers.
    pub fn ping(&self) {}

    /// `hull engine stop`: asks the keeper to end with this engine. Containers go on.
    pub async fn shutdown(&self) -> Result<()> {
        Ok(self.core.keeper.shutdown()?)
    }

    /// The last call, when no request is answered any more: does what was put off and gives back what was kept
    /// ready. Containers go on.
    /// `followed`: the next engine comes at once, and takes the networks over as they are.
    pub async fn close(&self, followed: bool) {
        let (done, ended) = oneshot::channel();
        self.core.janitor.ask(Job::End { done });
        let _ = tokio::time::timeout(CLOSE_TIME, ended).await;
        if !followed {
            crate::core::blocking(|| {
                self.core.networks.close();
                crate::recover::note_end(&self.core);
            });
        }
    }

    fn container(&self, who: &str) -> Result<Arc<Container>> {
        Ok(self.core.resolve(who)?)
    }
}

/// COMPAT(docker 28): the sentence begins with what was attempted.
fn in_words(verb: &str, who: &str, fault: Fault) -> Fault {
    let summary = format!("cannot {verb} container: {who}: {}", fault.summary);
    Fault { summary, ..fault }
}

fn parse_signal(text: Option<String>) -> Result<Option<Signal>> {
    Ok(text.filter(|t| !t.is_empty()).map(|t| t.parse()).transpose()?)
}

fn check_timeout(timeout: Option<i64>) -> Result<Option<i64>> {
    match timeout {
        Some(seconds) if seconds < -1 => {
            Err(Fault::invalid(format!("the timeout {seconds} is negative")).hint("-1 waits for ever"))
        }
        other => Ok(other),
    }
}
