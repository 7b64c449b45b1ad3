//! A connection that has become a process's standard streams.
//!
//! Output goes on after the client has ended its input; the end of the output ends the connection.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use hull_engine::{Input, Output};
use tokio::net::UnixStream;

use super::conn::{Conn, hung_up, read, write_all};
use super::reply::encode_frame;

const READ: usize = 32 * 1024;
/// How long a client may take to read a head.
const HEAD_READ: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(1);
/// How many pieces of output are joined in one write, if they are there.
const JOIN: usize = 32;

/// Moves bytes both ways until the output ends, the client detaches, or it is gone.
pub(crate) async fn pump(mut conn: Conn, output: Output, input: Option<Input>) {
    let early = std::mem::take(&mut conn.input);
    let ended = {
        let (stream, tty) = (&conn.stream, output.tty);
        tokio::select! {
            ended = write_output(stream, output, tty) => ended,
            () = read_input(stream, early, input) => false,
        }
    };
    if ended {
        tracing::trace!("output ended");
    }
    conn.close().await;
}

async fn write_output(stream: &UnixStream, output: Output, tty: bool) -> bool {
    let mut frames = output.frames.ready_chunks(JOIN);
    let mut bytes = BytesMut::new();
    while let Some(batch) = frames.next().await {
        for frame in &batch {
            encode_frame(frame, tty, &mut bytes);
        }
        if write_all(stream, &bytes).await.is_err() {
            return false;
        }
        bytes.clear();
    }
    true
}

/// Returns when the client has detached or is gone.
async fn read_input(stream: &UnixStream, early: BytesMut, mut input: Option<Input>) {
    let mut bytes = early;
    loop {
        if !bytes.is_empty() {
            let piece = bytes.split().freeze();
            let outcome = match input.as_mut() {
                Some(open) => open.write(piece).await,
                None => Ok(true),
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                // The process has closed its input; its output still matters.
                Err(_) => input = None,
            }
        }
        // A client that types nothing costs no buffer.
        bytes = BytesMut::new();
        if stream.readable().await.is_err() {
            return;
        }
        bytes.reserve(READ);
        match read(stream, &mut bytes).await {
            Ok(1..) => {}
            Ok(0) => break,
            Err(_) => return,
        }
    }
    drop(input);
    drop(bytes);
    hung_up(stream).await;
}

/// Waits until the client has read the head: docker-py reads what follows past the buffer in which it has read the
/// head, and would lose what came together with it. docker's own engine starts the process behind the head.
pub(super) async fn head_was_read(stream: &UnixStream) {
    let waiting = async {
        // A kernel that cannot tell is not waited for.
        while matches!(hull_sys::net::is_read_by_peer(stream), Ok(false)) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // It is its own loss then.
    let _ = tokio::time::timeout(HEAD_READ, waiting).await;
}
