//! WebSocket (RFC 6455) as `GET /containers/{id}/attach/ws` needs it: each message of the client is input, each piece of
//! output is a binary message, without docker's frame headers.
//!
//! One task writes, so that an answer to a ping never falls into the middle of output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use hull_engine::{Attached, Input, Output};
use sha1::{Digest, Sha1};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::conn::{Conn, hung_up, read, write_all};

/// What RFC 6455 appends to the client's key.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Messages larger than this end the connection.
const MOST: u64 = 1 << 20;
const READ: usize = 32 * 1024;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why the connection is closed.
const NORMAL: u16 = 1000;
const PROTOCOL: u16 = 1002;
const TOO_LARGE: u16 = 1009;

/// `Sec-WebSocket-Accept` for a client's key.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::digest([key.as_bytes(), MAGIC.as_bytes()].concat()))
}

/// The head of the answer.
pub(crate) fn head(key: &str, common: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\n{common}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    )
}

/// One frame of a client.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    opcode: u8,
    payload: Bytes,
}

/// Takes the next frame off the front; `None` until it is whole, the close code if it cannot be.
fn next(input: &mut BytesMut) -> Result<Option<Frame>, u16> {
    let Some([first, second]) = input.get(..2).map(|two| [two[0], two[1]]) else { return Ok(None) };
    let (opcode, masked) = (first & 0x0f, second & 0x80 != 0);
    let control = opcode >= CLOSE;
    // Nothing was agreed on that gives the reserved bits a meaning, and clients mask.
    if first & 0x70 != 0 || !masked || !matches!(opcode, 0..=BINARY | CLOSE..=PONG) {
        return Err(PROTOCOL);
    }
    let (length, behind) = match second & 0x7f {
        126 => match input.get(2..4) {
            Some(bytes) => (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if control && (length > 125 || first & 0x80 == 0) {
        return Err(PROTOCOL);
    }
    if length > MOST {
        return Err(TOO_LARGE);
    }
    let length = usize::try_from(length).map_err(|_| TOO_LARGE)?;
    if input.len() < behind + 4 + length {
        return Ok(None);
    }
    input.advance(behind);
    let mask = input.split_to(4);
    let mut payload = input.split_to(length);
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Some(Frame { opcode, payload: payload.freeze() }))
}

/// Appends a whole message of the server.
fn put(opcode: u8, payload: &[u8], out: &mut BytesMut) {
    out.put_u8(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.put_u8(short as u8),
        middle @ 126..0x1_0000 => {
            out.put_u8(126);
            out.put_u16(middle as u16);
        }
        long => {
            out.put_u8(127);
            out.put_u64(long as u64);
        }
    }
    out.put_slice(payload);
}

/// Moves messages both ways until the output ends, or the client closes, detaches or is gone.
pub(crate) async fn pump(mut conn: Conn, attached: Attached, binary: bool) {
    let early = std::mem::take(&mut conn.input);
    let (control, asked) = mpsc::channel(4);
    {
        let stream = &conn.stream;
        let writing = write(stream, attached.output, asked, if binary { BINARY } else { TEXT });
        let reading = async {
            let code = listen(stream, early, attached.input, &control).await;
            let Some(code) = code else { return };
            let _ = control.send((CLOSE, Bytes::copy_from_slice(&code.to_be_bytes()))).await;
            // The writer ends behind it.
            std::future::pending().await
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
    }
    conn.close().await;
}

async fn write(stream: &UnixStream, mut output: Output, mut asked: mpsc::Receiver<(u8, Bytes)>, opcode: u8) {
    let mut out = BytesMut::new();
    loop {
        let last = tokio::select! {
            frame = output.frames.next() => match frame {
                Some(frame) => {
                    put(opcode, &frame.bytes, &mut out);
                    false
                }
                None => {
                    put(CLOSE, &NORMAL.to_be_bytes(), &mut out);
                    true
                }
            },
            Some((opcode, payload)) = asked.recv() => {
                put(opcode, &payload, &mut out);
                opcode == CLOSE
            }
        };
        if write_all(stream, &out).await.is_err() || last {
            return;
        }
        out.clear();
    }
}

/// The code to close with, or none if nobody is there.
async fn listen(
    stream: &UnixStream,
    mut bytes: BytesMut,
    mut input: Option<Input>,
    control: &mpsc::Sender<(u8, Bytes)>,
) -> Option<u16> {
    loop {
        match next(&mut bytes) {
            Err(code) => return Some(code),
            Ok(Some(Frame { opcode: CLOSE, .. })) => return Some(NORMAL),
            Ok(Some(Frame { opcode: PING, payload })) => control.send((PONG, payload)).await.ok()?,
            Ok(Some(Frame { opcode: PONG, .. })) => {}
            Ok(Some(Frame { payload, .. })) => {
                let outcome = match input.as_mut() {
                    Some(open) => open.write(payload).await,
                    None => Ok(true),
                };
                match outcome {
                    Ok(true) => {}
                    Ok(false) => return Some(NORMAL),
                    // The process has closed its input; its output still matters.
                    Err(_) => input = None,
                }
            }
            Ok(None) => {
                bytes.reserve(READ);
                match read(stream, &mut bytes).await {
                    Ok(1..) => {}
                    Ok(0) => {
                        drop(input);
                        hung_up(stream).await;
                        return None;
                    }
                    Err(_) => return None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(first: u8, payload: &[u8]) -> BytesMut {
        let mut plain = BytesMut::new();
        put(0, payload, &mut plain);
        let mask = [1, 2, 3, 4];
        let head = plain.len() - payload.len();
        let mut out = BytesMut::from(&plain[..head]);
        (out[0], out[1]) = (first, out[1] | 0x80);
        out.put_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    #[test]
    fn the_key_is_answered_as_the_rfc_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_come_whole_or_not_at_all() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let whole = framed(0x82, &payload);
            for cut in [0, 1, 5, whole.len() - 1] {
                assert_eq!(next(&mut BytesMut::from(&whole[..cut])), Ok(None), "{length} {cut}");
            }
            let mut input = whole.clone();
            input.put_slice(b"next");
            assert_eq!(next(&mut input), Ok(Some(Frame { opcode: BINARY, payload: payload.into() })));
            assert_eq!(&input[..], b"next");
        }
        let mut bare = BytesMut::new();
        put(BINARY, b"hi", &mut bare);
        for (bad, code) in [
            (bare, PROTOCOL),
            (framed(0xc2, b"x"), PROTOCOL),
            (framed(0x83, b"x"), PROTOCOL),
            (framed(0x09, b"x"), PROTOCOL),
            (framed(0x89, &[0; 126]), PROTOCOL),
            (framed(0x82, &vec![0; (1 << 20) + 1]), TOO_LARGE),
            (BytesMut::from(&b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..]), TOO_LARGE),
        ] {
            assert_eq!(next(&mut bad.clone()), Err(code));
        }
    }

    proptest! {
        /// Nothing that a client sends panics or is read past its end.
        #[test]
        fn anything_is_a_frame_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut input = BytesMut::from(&bytes[..]);
            if let Ok(Some(frame)) = next(&mut input) {
                prop_assert!(frame.payload.len() + input.len() + 6 <= bytes.len());
            } else {
                prop_assert_eq!(&input[..], &bytes[..]);
            }
        }
    }
}
