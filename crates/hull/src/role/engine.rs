//! `hull engine run`: started by the keeper with its link and the listening socket.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hull_engine::{Engine, EngineConfig, Settings};
use hull_launch::keeper::{KEEPER_FD, LISTEN_FD};
use hull_sys::{fds, signals};
use hull_types::Fault;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use super::Places;
use super::daemon::{self, Endpoints};
use super::sockets::{self, Bound};
use crate::cli::VERSION;
use crate::cli::failure::report;

/// The role's exit code.
pub(crate) fn engine(args: &[OsString]) -> u8 {
    match serve(args) {
        Ok(()) => 0,
        Err(fault) => {
            report(&fault);
            1
        }
    }
}

fn serve(args: &[OsString]) -> Result<(), Fault> {
    let places = Places::parse(args)?;
    let wanted = daemon::read(true);
    let level = wanted.as_ref().ok().and_then(|wanted| Some(wanted.as_ref()?.level.clone()));
    let log = log(level);
    let inherited = |name: &str| {
        let found = fds::adopt_from_env(name).map_err(|e| Fault::internal(format!("{name} is unusable")).cause(e))?;
        found.ok_or_else(|| {
            Fault::invalid(format!("{name} is not set")).hint("the keeper starts the engine: use `hull engine start`")
        })
    };
    let listener = inherited(LISTEN_FD)?;
    let (settings, endpoints) = match wanted {
        Ok(Some(wanted)) => (Ok(wanted.settings), Some(wanted.endpoints)),
        Ok(None) => (Ok(Settings::default()), None),
        Err(fault) => (Err(fault), None),
    };
    let socket = PathBuf::from(places.host.trim_start_matches("unix://"));
    let config = EngineConfig {
        settings,
        root: places.root,
        run: places.run,
        host: places.host,
        pools: std::env::var_os("HULL_POOLS").is_none_or(|value| value != "off"),
        keeper: inherited(KEEPER_FD)?,
        keeper_pid: rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
        listener: listener.try_clone().ok(),
        version: VERSION.to_owned(),
        commit: option_env!("HULL_COMMIT").unwrap_or_default().to_owned(),
        built: option_env!("HULL_BUILT").unwrap_or_default().to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name("hull-engine")
        .enable_all()
        .build()
        .map_err(|e| Fault::internal("cannot start the engine's threads").cause(e))?;
    let served = runtime.block_on(async {
        // ORDER: blocked by the keeper until it has a handler, SIGHUP ends nothing. One of before is followed after recovery.
        let hup = signal(SignalKind::hangup());
        signals::unblock(&[SignalKind::hangup().as_raw_value()]);
        let engine = Engine::open(config).await?;
        let _sockets = further(&engine);
        over_tcp(endpoints.unwrap_or_default(), &socket);
        tokio::spawn(reload_when_told(engine.clone(), log, hup));
        let followed = AtomicBool::new(false);
        let asked = async { followed.store(asked_to_end().await == Asked::Again, Ordering::Relaxed) };
        hull_api::serve(engine.clone(), UnixListener::from(listener), asked).await?;
        let followed = followed.into_inner();
        if let Some(seconds) = engine.settings().stop_containers.filter(|_| !followed)
            && let Err(fault) = engine.stop_containers(seconds).await
        {
            report(&fault);
        }
        engine.close(followed).await;
        if !followed {
            daemon::tidy();
        }
        Ok(())
    });
    // crash-only: what still runs need not be waited for
    runtime.shutdown_background();
    served
}

/// Listens on the further sockets. One that cannot be is told in the log: the engine goes on without it.
fn further(engine: &Engine) -> Vec<Bound> {
    let specs = std::env::var(sockets::VARIABLE).unwrap_or_default();
    let asked = sockets::parse(&specs).unwrap_or_else(|fault| {
        report(&fault);
        Vec::new()
    });
    let mut bound = Vec::new();
    for socket in asked {
        let served = socket.listen(super::group()).and_then(|(listener, name)| {
            bound.push(name);
            Ok(hull_api::serve_beside(engine.clone(), listener, socket.access(), socket.label())?)
        });
        if let Err(fault) = served {
            report(&fault);
        }
    }
    bound
}

/// Listens on TCP, with mutual TLS. What cannot be is told in the log: the engine goes on without it.
fn over_tcp(endpoints: Endpoints, socket: &Path) {
    let Some((addresses, identity)) = endpoints.tcp else { return };
    for address in addresses {
        let served =
            daemon::listen(address).and_then(|listener| hull_api::serve_tls(listener, &identity, socket.to_owned()));
        if let Err(fault) = served {
            report(&fault);
        }
    }
}

/// SIGHUP: flags and file are read again. What cannot be leaves all as it is.
async fn reload_when_told(engine: Engine, log: Level, hup: std::io::Result<Signal>) {
    let Ok(mut hup) = hup else { return };
    while hup.recv().await.is_some() {
        match tokio::task::block_in_place(|| daemon::read(false)) {
            Ok(wanted) => {
                let (settings, level) = wanted.map_or_else(Default::default, |wanted| (wanted.settings, wanted.level));
                set(&log, &level);
                engine.reload(settings);
                tracing::info!("the configuration was read again");
            }
            Err(fault) => tracing::error!(%fault, "the configuration stays as it was"),
        }
    }
}

/// Two to four: the engine waits far more than it computes, and each thread costs memory.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 4)
}

/// The log's level, which may change.
type Level = reload::Handle<LevelFilter, Registry>;

/// At this level, or at that of `HULL_LOG`.
fn log(level: Option<String>) -> Level {
    let (filter, handle) = reload::Layer::new(filter(&level.unwrap_or_default()));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    handle
}

fn set(log: &Level, level: &str) {
    // Gone only with the log itself.
    let _ = log.modify(|now| *now = filter(level));
}

fn filter(level: &str) -> LevelFilter {
    let variable = std::env::var("HULL_LOG").unwrap_or_default();
    // `info` is what is meant where nothing is said.
    match if level.is_empty() || level == "info" { &variable } else { level } {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

/// What an engine is asked for by a signal.
#[derive(PartialEq, Eq)]
enum Asked {
    /// SIGTERM or SIGINT.
    End,
    /// SIGUSR2: the keeper starts the next one at once.
    Again,
}

async fn asked_to_end() -> Asked {
    let (Ok(mut term), Ok(mut int), Ok(mut again)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::user_defined2()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => Asked::End,
        _ = int.recv() => Asked::End,
        _ = again.recv() => Asked::Again,
    }
}
