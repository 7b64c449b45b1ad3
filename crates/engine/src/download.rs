//! Archives on their way out: a thread that may block writes, the answer's stream reads.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hull_types::Fault;
use tokio::sync::mpsc;

/// What is written is passed on in pieces of this size.
const PIECE: usize = 1 << 18;

/// An archive as it is made. An error is the last item: what came before it is not whole.
pub type Download = BoxStream<'static, Result<Bytes, Fault>>;

/// Runs `work` on a thread of its own; it ends early when nobody reads any more.
pub(crate) fn download(work: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Fault> + Send + 'static) -> Download {
    let (pieces, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut to = Pieces { pieces, buffer: Vec::with_capacity(PIECE) };
        let result =
            work(&mut to).and_then(|()| to.pass().map_err(|error| Fault::internal("the client is gone").cause(error)));
        if let Err(fault) = result {
            // The answer has begun: to who reads it the archive just breaks off, and the reason is here. Who went knows why.
            if !to.pieces.is_closed() {
                tracing::warn!(%fault, "an archive was not finished");
            }
            let _ = to.pieces.blocking_send(Err(fault));
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

struct Pieces {
    pieces: mpsc::Sender<Result<Bytes, Fault>>,
    buffer: Vec<u8>,
}

impl Pieces {
    fn pass(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= PIECE {
            self.pass()?;
        }
        let take = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..take]);
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
