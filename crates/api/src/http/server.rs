//! Accepting, and the life of a connection.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use hull_engine::Download;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::body::{Body, Decoder, Piece, Upload};
use super::conn::{Conn, DOCUMENT, Pace, Stop, UPLOAD, gone, next_piece, write_all};
use super::head::{Head, HeadError};
use super::reply::{self, Reply, TAR};
use super::{Request, Service, hijack, websocket};

/// Connections beyond this, or beyond half of the descriptors that the process may have, are turned away.
const MAX_CONNECTIONS: u64 = 16_384;
/// Documents larger than this are refused.
const MAX_DOCUMENT: usize = 8 << 20;
/// How much of an unread body is taken after an early answer, so that the client gets to read it.
const MAX_DRAIN: u64 = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How many pieces of a stream are joined in one write, if they are there.
const JOIN: usize = 32;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// How long a client may leave an impatient stream unread.
const STALL: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `shutdown` is ready.
pub async fn serve(listener: UnixListener, service: impl Service, shutdown: impl Future) {
    // ORDER: a task of its own, not a part of this one, which the runtime's main thread polls: a worker that
    // sees a connection then accepts it itself, and no other thread has to wake for it.
    let mut accepting = tokio::spawn(accept(listener, service));
    tokio::select! {
        _ = &mut accepting => {}
        _ = shutdown => accepting.abort(),
    }
}

async fn accept(listener: UnixListener, service: impl Service) {
    let slots = Arc::new(Semaphore::new(max_connections()));
    let mut reserve = None;
    loop {
        reserve = reserve.or_else(|| std::fs::File::open("/dev/null").ok());
        match listener.accept().await {
            Ok((stream, _)) => welcome(stream, &service, &slots),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // A client that holds other connections would wait for this one for ever: it is told, with the
                // descriptor that was kept for it.
                if reserve.take().is_some()
                    && let Some(Ok((stream, _))) = listener.accept().now_or_never()
                {
                    turn_away(&stream, &service);
                    continue;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers without waiting for a request, and without a task.
fn turn_away(stream: &UnixStream, service: &impl Service) {
    let reply = service.refuse(&HeadError::OutOfFiles);
    let _ = stream.try_write(&reply::whole(&reply, None, service.common_headers(), false));
    // Unread bytes would turn the answer into a reset.
    let mut sink = [0; 4096];
    while matches!(stream.try_read(&mut sink), Ok(1..)) {}
}

fn max_connections() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = descriptors.map_or(MAX_CONNECTIONS, |limit| (limit / 2).clamp(16, MAX_CONNECTIONS));
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Gives the connection a task of its own, or turns it away.
fn welcome(stream: UnixStream, service: &impl Service, slots: &Arc<Semaphore>) {
    let service = service.clone();
    match Arc::clone(slots).try_acquire_owned() {
        Ok(slot) => tokio::spawn(async move {
            converse(stream, service).await;
            drop(slot);
        }),
        Err(_) => tokio::spawn(async move {
            refuse(Conn::new(stream), &service, &HeadError::Crowded).await;
        }),
    };
}

/// Answers the requests of one connection, one after another.
async fn converse(stream: UnixStream, service: impl Service) {
    let mut conn = Conn::new(stream);
    loop {
        let head = match conn.next_head().await {
            Ok(head) => head,
            Err(Stop::Closed) => return,
            Err(Stop::Refused(error)) => return Box::pin(refuse(conn, &service, &error)).await,
        };
        if head.expects_continue && conn.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return;
        }
        if service.takes_upload(&head) {
            return Box::pin(upload(conn, &service, &head)).await;
        }
        // Boxed, so that an idle connection has no room for the largest handler.
        let reply = match Box::pin(document(&mut conn, &service, &head)).await {
            Ok(reply) => reply,
            Err(error) => return Box::pin(refuse(conn, &service, &error)).await,
        };
        match Box::pin(deliver(conn, &service, &head, reply)).await {
            Some(rest) => conn = rest,
            None => return,
        }
    }
}

async fn refuse(conn: Conn, service: &impl Service, error: &HeadError) {
    let reply = service.refuse(error);
    let bytes = reply::whole(&reply, None, service.common_headers(), false);
    if timeout(DRAIN_TIME, conn.send(&bytes)).await.is_ok() {
        conn.close().await;
    }
}

/// Reads the whole body, then calls.
async fn document(conn: &mut Conn, service: &impl Service, head: &Head) -> Result<Reply, HeadError> {
    let mut decoder = Decoder::new(head.framing);
    let mut whole = BytesMut::new();
    while let Some(piece) = next_piece(&conn.stream, &mut conn.input, &mut decoder, DOCUMENT).await? {
        if whole.len() + piece.len() > MAX_DOCUMENT {
            return Err(HeadError::Body(MAX_DOCUMENT));
        }
        whole.put(piece);
    }
    call(service, Request { head: head.clone(), body: Body::Whole(whole.freeze()), peer: conn.peer }).await
}

async fn call(service: &impl Service, request: Request) -> Result<Reply, HeadError> {
    AssertUnwindSafe(service.call(request)).catch_unwind().await.map_err(|_| HeadError::Panicked)
}

/// Calls at once and answers while the body still arrives; then the connection ends.
async fn upload(mut conn: Conn, service: &impl Service, head: &Head) {
    let mut decoder = Decoder::new(head.framing);
    let (sender, body) = Upload::channel();
    {
        let request = Request { head: head.clone(), body: Body::Upload(body), peer: conn.peer };
        let answering = async {
            let reply = call(service, request).await.unwrap_or_else(|error| service.refuse(&error));
            deliver_last(&conn.stream, service, head, reply).await;
        };
        let feeding = feed(&conn.stream, &mut conn.input, &mut decoder, sender);
        tokio::pin!(answering, feeding);
        // The answer ends early when the handler refuses; else it ends behind the body, whose feeding ends first.
        tokio::select! {
            () = &mut answering => {}
            () = &mut feeding => answering.await,
        }
    }
    drain(&mut conn, &mut decoder).await;
    conn.close().await;
}

/// Passes the body on; without an `End` the reader sees that it was cut short.
async fn feed(stream: &UnixStream, input: &mut BytesMut, decoder: &mut Decoder, sender: mpsc::Sender<Piece>) {
    while let Ok(next) = next_piece(stream, input, decoder, UPLOAD).await {
        let (piece, last) = match next {
            Some(data) => (Piece::Data(data), false),
            None => (Piece::End, true),
        };
        // An error means that the handler has read enough.
        if sender.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// Writes the answer. Gives the connection back if another request may follow.
async fn deliver(mut conn: Conn, service: &impl Service, head: &Head, reply: Reply) -> Option<Conn> {
    let common = service.common_headers();
    let keep = match reply {
        Reply::Whole { .. } => {
            let (first, rest) = reply::pieces(&reply, head, common, head.keep_alive);
            conn.send(&first).await.ok()?;
            conn.send(&rest).await.ok()?;
            head.keep_alive
        }
        Reply::Stream { content_type, pieces, patient } => {
            let keep = head.keep_alive && head.http_11;
            conn.send(reply::stream_head(content_type, head, common, keep).as_bytes()).await.ok()?;
            stream(&mut conn, pieces, Writing { chunked: head.http_11, patient }).await?;
            keep
        }
        Reply::Archive { headers, pieces } => {
            let keep = head.keep_alive && head.http_11;
            let common = format!("{common}{headers}");
            conn.send(reply::stream_head(TAR, head, &common, keep).as_bytes()).await.ok()?;
            archive(&mut conn, pieces, head.http_11).await?;
            keep
        }
        Reply::Hijack { content_type, attached } => {
            conn.send(reply::hijack_head(content_type, head, common).as_bytes()).await.ok()?;
            if !head.command_line {
                hijack::head_was_read(&conn.stream).await;
            }
            hijack::pump(conn, attached.output, attached.input).await;
            return None;
        }
        Reply::WebSocket { binary, attached } => {
            conn.send(websocket::head(&head.websocket_key, common).as_bytes()).await.ok()?;
            websocket::pump(conn, attached, binary).await;
            return None;
        }
    };
    if keep {
        return Some(conn);
    }
    conn.close().await;
    None
}

/// Writes the last answer of a connection.
async fn deliver_last(stream: &UnixStream, service: &impl Service, head: &Head, reply: Reply) {
    let common = service.common_headers();
    match reply {
        Reply::Stream { content_type, pieces, patient } => {
            let text = reply::stream_head(content_type, head, common, false);
            if write_all(stream, text.as_bytes()).await.is_ok() {
                let _ = write_pieces(stream, pieces, Writing { chunked: head.http_11, patient }).await;
            }
        }
        other => {
            let _ = write_all(stream, &reply::whole(&other, Some(head), common, false)).await;
        }
    }
}

/// Takes the rest of a body that nobody reads.
async fn drain(conn: &mut Conn, decoder: &mut Decoder) {
    let taking = async {
        let mut taken = 0;
        while taken < MAX_DRAIN {
            match next_piece(&conn.stream, &mut conn.input, decoder, Pace { pause: DRAIN_TIME, ..DOCUMENT }).await {
                Ok(Some(piece)) => taken += piece.len() as u64,
                _ => return,
            }
        }
    };
    let _ = timeout(DRAIN_TIME, taking).await;
}

/// How a stream is written.
#[derive(Clone, Copy)]
struct Writing {
    chunked: bool,
    patient: bool,
}

/// Writes pieces as they come; `None` if the client is gone first.
async fn stream(conn: &mut Conn, pieces: BoxStream<'static, Bytes>, writing: Writing) -> Option<()> {
    let Conn { stream, input, .. } = conn;
    tokio::select! {
        biased;
        written = write_pieces(stream, pieces, writing) => written.ok(),
        () = gone(stream, input) => None,
    }
}

/// Writes an archive; `None` if it broke off or the client is gone.
async fn archive(conn: &mut Conn, mut pieces: Download, chunked: bool) -> Option<()> {
    let Conn { stream, input, .. } = conn;
    let writing = async {
        let mut out = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            out.clear();
            put_batch(vec![piece.ok()?], chunked, &mut out);
            write_all(stream, &out).await.ok()?;
        }
        if chunked { write_all(stream, LAST_CHUNK).await.ok() } else { Some(()) }
    };
    tokio::select! {
        biased;
        written = writing => written,
        () = gone(stream, input) => None,
    }
}

async fn write_pieces(stream: &UnixStream, pieces: BoxStream<'static, Bytes>, writing: Writing) -> io::Result<()> {
    let mut batches = pieces.ready_chunks(JOIN);
    let mut out = BytesMut::new();
    while let Some(batch) = batches.next().await {
        out.clear();
        put_batch(batch, writing.chunked, &mut out);
        // An end that is already known goes with the last piece.
        let ended = match batches.next().now_or_never() {
            None => false,
            Some(None) => true,
            Some(Some(batch)) => {
                put_batch(batch, writing.chunked, &mut out);
                false
            }
        };
        if ended && writing.chunked {
            out.put_slice(LAST_CHUNK);
        }
        write_in_time(stream, &out, writing.patient).await?;
        if ended {
            return Ok(());
        }
    }
    if writing.chunked { write_in_time(stream, LAST_CHUNK, writing.patient).await } else { Ok(()) }
}

fn put_batch(batch: Vec<Bytes>, chunked: bool, out: &mut BytesMut) {
    let length: usize = batch.iter().map(Bytes::len).sum();
    if length == 0 {
        return;
    }
    if chunked {
        out.put_slice(format!("{length:x}\r\n").as_bytes());
    }
    batch.into_iter().for_each(|piece| out.put(piece));
    if chunked {
        out.put_slice(b"\r\n");
    }
}

async fn write_in_time(stream: &UnixStream, bytes: &[u8], patient: bool) -> io::Result<()> {
    if patient {
        return write_all(stream, bytes).await;
    }
    timeout(STALL, write_all(stream, bytes)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests;
