//! Attached clients: output from the spool, input to the pipe or terminal, detach keys.
//!
//! Any number of clients attach to one container; each has its own place in the output.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use hull_logs::{Chunk, Reader};
use hull_types::Fault;
use tokio::sync::watch;

use crate::container::Container;
use crate::container::step::{Phase, Refusal};
use crate::core::Core;
use crate::detach::Keys;
use crate::input::{Input, To};
use crate::options::{AttachOptions, Attached, Frame, Output, StdStream};

/// Attaches a client.
pub(crate) fn attach(core: &Arc<Core>, container: Arc<Container>, options: &AttachOptions) -> Result<Attached, Fault> {
    let view = container.view();
    match view.state.phase {
        Phase::Paused => {
            return Err(Fault::conflict(format!(
                "Container {} is paused, unpause the container before attach",
                container.id
            )));
        }
        Phase::Backoff => return Err(view.refuse(Refusal::Restarting).into()),
        Phase::Removing | Phase::Gone => return Err(view.refuse(Refusal::RemovalInProgress).into()),
        _ => {}
    }
    let config = &view.definition.config;
    let keys = Keys::parse(options.detach_keys.as_deref())?;
    let reader = if options.logs { container.spool.reader_at_start() } else { container.spool.reader_at_end() };
    let (detach, detached) = watch::channel(false);
    let output = Output {
        tty: config.tty,
        frames: if options.stream {
            follow(reader, options.stdout, options.stderr, detached, Arc::clone(&container)).boxed()
        } else {
            stream::iter(backlog(reader)).filter_map(wanted(options.stdout, options.stderr)).boxed()
        },
    };
    let input = (options.stdin && options.stream && config.open_stdin).then(|| {
        let closes = config.stdin_once && !config.tty;
        let to = To::container(Arc::clone(core), Arc::clone(&container), closes);
        Input::new(to, config.tty.then_some(keys), detach)
    });
    core.announce(&view.definition, "attach", &[]);
    Ok(Attached { tty: config.tty, output, input })
}

/// What is there, without waiting.
fn backlog(mut reader: Reader) -> impl Iterator<Item = Chunk> {
    reader.stop_here();
    std::iter::from_fn(move || reader.next_now())
}

fn follow(
    reader: Reader,
    stdout: bool,
    stderr: bool,
    detached: watch::Receiver<bool>,
    container: Arc<Container>,
) -> impl stream::Stream<Item = Frame> {
    stream::unfold((reader, detached, container), |(mut reader, mut detached, container)| async move {
        let chunk = tokio::select! {
            chunk = reader.next() => chunk,
            () = gone(&mut detached) => None,
        }?;
        Some((chunk, (reader, detached, container)))
    })
    .filter_map(wanted(stdout, stderr))
}

/// Until the client detaches. Its input may end long before its output does.
pub(crate) async fn gone(detached: &mut watch::Receiver<bool>) {
    if detached.wait_for(|d| *d).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(crate) fn frame(stream: hull_logs::Stream, bytes: Vec<u8>) -> Frame {
    let stream = match stream {
        hull_logs::Stream::Stdout => StdStream::Stdout,
        hull_logs::Stream::Stderr => StdStream::Stderr,
    };
    Frame { stream, bytes: bytes.into() }
}

fn wanted(stdout: bool, stderr: bool) -> impl FnMut(Chunk) -> std::future::Ready<Option<Frame>> {
    move |chunk| {
        let wants = match chunk.stream {
            hull_logs::Stream::Stdout => stdout,
            hull_logs::Stream::Stderr => stderr,
        };
        std::future::ready(wants.then(|| frame(chunk.stream, chunk.bytes)))
    }
}
