//! `hull engine run`: started by the keeper with its link and the listening socket.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use hull_engine::{Engine, EngineConfig};
use hull_launch::keeper::{KEEPER_FD, LISTEN_FD};
use hull_sys::fds;
use hull_types::Fault;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::Places;
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
    log();
    let inherited = |name: &str| {
        let found = fds::adopt_from_env(name).map_err(|e| Fault::internal(format!("{name} is unusable")).cause(e))?;
        found.ok_or_else(|| {
            Fault::invalid(format!("{name} is not set")).hint("the keeper starts the engine: use `hull engine start`")
        })
    };
    let listener = inherited(LISTEN_FD)?;
    let config = EngineConfig {
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
        let engine = Engine::open(config).await?;
        let _sockets = further(&engine);
        let followed = AtomicBool::new(false);
        let asked = async { followed.store(asked_to_end().await == Asked::Again, Ordering::Relaxed) };
        hull_api::serve(engine.clone(), UnixListener::from(listener), asked).await?;
        engine.close(followed.into_inner()).await;
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
            Ok(hull_api::serve_beside(engine.clone(), listener, socket.access())?)
        });
        if let Err(fault) = served {
            report(&fault);
        }
    }
    bound
}

/// Two to four: the engine waits far more than it computes, and each thread costs memory.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 4)
}

fn log() {
    let level = match std::env::var("HULL_LOG").as_deref() {
        Ok("trace") => LevelFilter::TRACE,
        Ok("debug") => LevelFilter::DEBUG,
        Ok("warn") => LevelFilter::WARN,
        Ok("error") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}

/// What an engine is asked for by a signal.
#[derive(PartialEq, Eq)]
enum Asked {
    /// SIGTERM or SIGINT.
    End,
    /// SIGHUP: the keeper starts the next one at once.
    Again,
}

async fn asked_to_end() -> Asked {
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => Asked::End,
        _ = int.recv() => Asked::End,
        _ = hup.recv() => Asked::Again,
    }
}
