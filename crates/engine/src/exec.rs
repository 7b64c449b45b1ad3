//! Further processes in running containers.
//!
//! ```text
//! created ──start──▶ running ──Exited──▶ over
//!            └─ a failed launch ─────────▲
//! ```
//! Their output is not kept: it goes to the one client that started them, with back-pressure. An exec
//! is remembered in memory only; of one that an earlier engine started, the exit record is all there is.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hull_launch::keeper::ExitRecord;
use hull_launch::spec::ExecSpec;
use hull_types::{ContainerId, Fault, Kind};
use hull_wire as wire;
use rustix::fs::OFlags;
use tokio::sync::watch;

use crate::admit;
use crate::container::step::{Phase, Refusal};
use crate::container::{Container, launch, run};
use crate::core::{Core, blocking, running};
use crate::detach::Keys;
use crate::error::Error;
use crate::exec_output::{ExecOutput, Sources};
use crate::input::{Input, To};
use crate::keeper::LaunchError;
use crate::networks::links;
use crate::options::{Attached, ExecStarted, Output};
use crate::prepare::{self, ExecInput, Io};

/// How long the result of an exec can be asked for.
const REMEMBERED: Duration = Duration::from_secs(300);

/// One exec.
pub(crate) struct Exec {
    pub id: ContainerId,
    pub container: ContainerId,
    pub config: wire::ExecConfig,
    spec: ExecSpec,
    state: Mutex<State>,
    exit: watch::Sender<Option<i32>>,
}

struct State {
    stage: Stage,
    pid: i32,
    pidfd: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    master: Option<OwnedFd>,
    ended: Option<Instant>,
    size: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Created,
    Running,
    Over,
}

/// Every exec that is remembered.
#[derive(Default)]
pub(crate) struct Execs {
    by_id: Mutex<HashMap<ContainerId, Arc<Exec>>>,
}

impl Execs {
    pub fn get(&self, id: &str) -> Result<Arc<Exec>, Error> {
        let missing = || Error::NoSuchExec(id.chars().take(80).flat_map(char::escape_debug).collect());
        let id = id.parse().map_err(|_| missing())?;
        self.lock().get(&id).cloned().ok_or_else(missing)
    }

    /// The ids of a container's execs that have not ended.
    pub fn of(&self, container: &ContainerId) -> Vec<String> {
        let lock = self.lock();
        let own = lock.values().filter(|e| e.container == *container && e.lock().stage != Stage::Over);
        own.map(|e| e.id.to_string()).collect()
    }

    pub fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    pub fn forget_container(&self, container: &ContainerId) {
        self.lock().retain(|_, exec| exec.container != *container);
    }

    fn insert(&self, exec: Arc<Exec>) {
        let mut lock = self.lock();
        lock.retain(|_, exec| exec.lock().ended.is_none_or(|at| at.elapsed() < REMEMBERED));
        lock.insert(exec.id, exec);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Arc<Exec>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /containers/{id}/exec`.
pub(crate) fn create(core: &Arc<Core>, who: &str, config: wire::ExecConfig) -> Result<wire::IdResponse, Fault> {
    let container = core.resolve(who)?;
    ready(&container)?;
    Keys::parse(Some(&config.detach_keys))?;
    let view = container.view();
    // One that was linked to and has ended since is no reason to refuse.
    let linked = links::apply(core, &view.definition).unwrap_or_default();
    let own = linked.as_ref().unwrap_or(&view.definition.spec);
    let spec = admit::exec(&core.admission(), own, &config)?;
    // COMPAT(docker 28): a user who is not there is refused here, not at the start.
    if !config.user.is_empty() {
        let root = prepare::root_of(running(&container)?.pid)?;
        blocking(|| prepare::resolve_user(root.as_fd(), &spec.process))?;
    }
    let id = ContainerId::new_random();
    let command = told(&config.cmd);
    let [rows, columns] = config.console_size.unwrap_or_default();
    let exec = Exec {
        id,
        container: container.id,
        config,
        spec,
        state: Mutex::new(State {
            stage: Stage::Created,
            pid: 0,
            pidfd: None,
            stdin: None,
            master: None,
            ended: None,
            size: (u16::try_from(rows).unwrap_or(0), u16::try_from(columns).unwrap_or(0)),
        }),
        exit: watch::Sender::new(None),
    };
    core.execs.insert(Arc::new(exec));
    core.announce(&view.definition, format!("exec_create: {command}"), &[("execID", id.to_string())]);
    Ok(wire::IdResponse { id: id.to_string() })
}

/// COMPAT(docker 28): a blank after the first word, also when it is the last.
fn told(command: &[String]) -> String {
    let (first, rest) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    format!("{first} {}", rest.join(" "))
}

/// Whether something can be executed in it.
fn ready(container: &Container) -> Result<(), Fault> {
    let view = container.view();
    match view.state.phase {
        Phase::Paused => {
            let name = &view.definition.name;
            Err(Fault::conflict(format!("Container {name} is paused, unpause the container before exec")))
        }
        Phase::Backoff => Err(view.refuse(Refusal::Restarting).into()),
        _ => running(container).map(|_| ()).map_err(Fault::from),
    }
}

/// `POST /exec/{id}/start`.
pub(crate) async fn start(core: &Arc<Core>, id: &str, request: wire::ExecStartConfig) -> Result<ExecStarted, Fault> {
    let exec = core.execs.get(id)?;
    let container = core.registry.get(&exec.container).ok_or_else(|| Error::NoSuchExec(id.to_owned()))?;
    ready(&container)?;
    exec.claim(&request)?;
    let attached = launch_exec(core, &container, &exec, request.detach).await;
    let view = container.view();
    match &attached {
        Ok(_) => {
            let command = told(&exec.config.cmd);
            core.announce(&view.definition, format!("exec_start: {command}"), &[("execID", exec.id.to_string())]);
        }
        Err(fault) => exec.failed(fault.kind),
    }
    Ok(match attached? {
        None => ExecStarted::Detached,
        Some(attached) => ExecStarted::Attached(attached),
    })
}

async fn launch_exec(
    core: &Arc<Core>,
    container: &Arc<Container>,
    exec: &Arc<Exec>,
    detach: bool,
) -> Result<Option<Attached>, Fault> {
    let live = running(container)?;
    let config = &exec.config;
    let (io, stdin, pipes) = exec_io(config, detach, exec.lock().size)?;
    let view = container.view();
    let mut prepared = blocking(|| {
        prepare::exec(
            &core.parts,
            ExecInput {
                key: exec.id.as_str(),
                container: &container.id,
                spec: &view.definition.spec,
                exec: &exec.spec,
                pid: live.pid,
                pidfd: live.pidfd.try_clone().map_err(|source| Error::File {
                    attempt: "duplicate the descriptor",
                    path: "pidfd".into(),
                    source,
                })?,
                io,
            },
        )
    })?;
    let fds = std::mem::take(&mut prepared.fds);
    let launched = core.keeper.launch(prepared.plan, &fds, Vec::new()).await;
    drop(fds);
    let launched = launched.map_err(|(error, plan)| match error {
        LaunchError::Step(failure, _) => launch::explain(&plan, &failure),
        LaunchError::Keeper(error) => error.into(),
    })?;
    let output = match (&launched.master, pipes) {
        (Some(master), _) => Some(Sources::Terminal(duplicate(master)?)),
        (None, Some((stdout, stderr))) => Some(Sources::Pipes { stdout, stderr }),
        (None, None) => None,
    };
    if launched.master.is_some() {
        // An exec's terminal ends with its client's engine: the keeper need not hold it.
        core.keeper.drop_held(exec.id.as_str(), None);
    }
    exec.began(launched.pid, launched.pidfd, stdin, launched.master);
    if detach {
        if let Some(Sources::Terminal(master)) = output {
            tokio::spawn(crate::exec_output::discard(master, Arc::clone(exec)));
        }
        return Ok(None);
    }
    let keys = Keys::parse(Some(&config.detach_keys))?;
    let (detach, detached) = watch::channel(false);
    let frames = match output {
        Some(sources) => ExecOutput::new(sources, Arc::clone(exec), detached)?.stream().boxed(),
        None => futures_util::stream::empty().boxed(),
    };
    let input = config.attach_stdin.then(|| Input::new(To::Exec(Arc::clone(exec)), config.tty.then_some(keys), detach));
    Ok(Some(Attached { tty: config.tty, output: Output { tty: config.tty, frames }, input }))
}

type ExecIo = (Io, Option<OwnedFd>, Option<(OwnedFd, OwnedFd)>);

/// The child's streams, the write end of its stdin, the read ends of its output.
fn exec_io(config: &wire::ExecConfig, detach: bool, (rows, columns): (u16, u16)) -> Result<ExecIo, Error> {
    if config.tty {
        return Ok((Io::Terminal { rows, columns }, None, None));
    }
    let (stdin, ours) = run::stdin(config.attach_stdin && !detach)?;
    if detach {
        let (stdout, stderr) = (run::null(OFlags::WRONLY)?, run::null(OFlags::WRONLY)?);
        return Ok((Io::Streams { stdin, stdout, stderr }, None, None));
    }
    let (read_out, stdout) = run::pipe()?;
    let (read_err, stderr) = run::pipe()?;
    Ok((Io::Streams { stdin, stdout, stderr }, ours, Some((read_out, read_err))))
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Error> {
    fd.try_clone().map_err(|source| Error::File {
        attempt: "duplicate the descriptor",
        path: "terminal".into(),
        source,
    })
}

/// The keeper reports the end of an exec.
pub(crate) fn on_exit(core: &Core, exec: &Exec, record: &ExitRecord) {
    let code = hull_sys::process::exit_code(record.status);
    exec.end(code);
    core.janitor.ask(crate::janitor::Job::File(core.exit_record(&record.key)));
    if let Some(container) = core.registry.get(&exec.container) {
        let more = [("execID", exec.id.to_string()), ("exitCode", code.to_string())];
        core.announce(&container.view().definition, "exec_die", &more);
    }
}

impl Exec {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It starts once.
    fn claim(&self, request: &wire::ExecStartConfig) -> Result<(), Error> {
        let mut state = self.lock();
        match state.stage {
            Stage::Running => return Err(Error::ExecStarted(self.id.to_string())),
            Stage::Over => return Err(Error::ExecOver(self.id.to_string())),
            Stage::Created => state.stage = Stage::Running,
        }
        if let Some([rows, columns]) = request.console_size {
            state.size = (u16::try_from(rows).unwrap_or(0), u16::try_from(columns).unwrap_or(0));
        }
        Ok(())
    }

    fn began(&self, pid: i32, pidfd: OwnedFd, stdin: Option<OwnedFd>, master: Option<OwnedFd>) {
        let mut state = self.lock();
        if state.stage == Stage::Over {
            return; // Its end was reported before its beginning was noted.
        }
        state.pid = pid;
        state.pidfd = Some(pidfd);
        state.stdin = stdin;
        state.master = master;
    }

    fn failed(&self, kind: Kind) {
        self.end(match kind {
            Kind::CommandNotFound => 127,
            Kind::NotExecutable => 126,
            _ => 128,
        });
    }

    fn end(&self, code: i32) {
        let mut state = self.lock();
        state.stage = Stage::Over;
        state.ended = Some(Instant::now());
        (state.pidfd, state.stdin, state.master) = (None, None, None);
        state.pid = 0;
        drop(state);
        self.exit.send_replace(Some(code));
    }

    /// Wakes with the exit code.
    pub fn exit(&self) -> watch::Receiver<Option<i32>> {
        self.exit.subscribe()
    }

    /// Its first process on the host; 0 if there is none.
    pub fn pid(&self) -> i32 {
        self.lock().pid
    }

    pub async fn over(&self) {
        let _ = self.exit.subscribe().wait_for(Option::is_some).await;
    }

    /// A descriptor of its own for input.
    pub fn input(&self) -> Option<OwnedFd> {
        let state = self.lock();
        state.stdin.as_ref().or(state.master.as_ref())?.try_clone().ok()
    }

    pub fn close_input(&self) {
        self.lock().stdin = None;
    }

    pub fn resize(&self, height: u16, width: u16) -> Result<(), Fault> {
        let mut state = self.lock();
        state.size = (height, width);
        match (&state.master, state.stage) {
            (Some(master), _) => crate::resize::apply(master, height, width),
            (None, Stage::Created) => Ok(()),
            // COMPAT(docker 28): nothing happens where there is no terminal.
            (None, Stage::Running) => Ok(()),
            (None, Stage::Over) => Err(Error::ExecNotRunning(self.id.to_string()).into()),
        }
    }

    pub fn inspect(&self) -> wire::ExecInspect {
        let state = self.lock();
        let config = &self.config;
        let mut words = config.cmd.iter().cloned();
        wire::ExecInspect {
            id: self.id.to_string(),
            running: state.stage == Stage::Running,
            exit_code: (*self.exit.borrow()).map(i64::from),
            process_config: wire::ExecProcessConfig {
                tty: config.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: Some(config.privileged),
                user: config.user.clone(),
            },
            open_stdin: config.attach_stdin,
            open_stderr: config.attach_stderr,
            open_stdout: config.attach_stdout,
            can_remove: false,
            container_id: self.container.to_string(),
            detach_keys: config.detach_keys.clone(),
            pid: state.pid.into(),
        }
    }
}
