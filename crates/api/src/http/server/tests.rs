//! The server against raw bytes: what hostile and ordinary clients send, and what they read.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hull_engine::{Attached, Frame, Output};

use super::*;
use crate::http::{Method, RAW};

static DROPPED: AtomicBool = AtomicBool::new(false);

/// Tells that its stream was dropped.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Echo;

impl Service for Echo {
    fn takes_upload(&self, head: &Head) -> bool {
        head.target.starts_with("/upload")
    }

    fn common_headers(&self) -> &str {
        "X-Common: 1\r\n"
    }

    async fn call(&self, request: Request) -> Reply {
        match request.head.target.as_str() {
            "/panic" => panic!("on purpose"),
            "/empty" => Reply::empty(204),
            "/stream" => Reply::Stream { content_type: "text/plain", pieces: pieces(&["a", "", "bc"]), patient: true },
            "/endless" => {
                let guard = Guard;
                let pieces = stream::once(async { Bytes::from_static(b"first") }).chain(stream::pending());
                let pieces = pieces.inspect(move |_| {
                    let _ = &guard;
                });
                Reply::Stream { content_type: "text/plain", pieces: pieces.boxed(), patient: true }
            }
            "/hijack" => Reply::Hijack { content_type: RAW, attached: attached() },
            "/upload" => {
                let mut reader = request.body.into_reader();
                let length = tokio::task::spawn_blocking(move || io::copy(&mut reader, &mut io::sink())).await;
                Reply::json(200, format!("{:?}", length.unwrap().map_err(|e| e.kind())))
            }
            "/upload-refused" => Reply::json(400, "no"),
            _ => Reply::json(200, request.body.bytes().to_vec()),
        }
    }

    fn refuse(&self, error: &HeadError) -> Reply {
        Reply::json(if *error == HeadError::Panicked { 500 } else { 400 }, error.to_string())
    }
}

fn pieces(texts: &[&'static str]) -> BoxStream<'static, Bytes> {
    stream::iter(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>()).boxed()
}

fn attached() -> Attached {
    let frames = stream::iter([("out", hull_wire::StdStream::Stdout), ("err", hull_wire::StdStream::Stderr)]);
    let frames = frames.then(|(text, stream)| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Frame { stream, bytes: Bytes::from_static(text.as_bytes()) }
    });
    Attached { tty: false, output: Output { tty: false, frames: frames.boxed() }, input: None }
}

/// A connection to a fresh server.
fn connect() -> UnixStream {
    let (client, server) = UnixStream::pair().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            server.set_nonblocking(true).unwrap();
            converse(tokio::net::UnixStream::from_std(server).unwrap(), Echo).await;
        });
    });
    client
}

/// Sends and reads until the server closes.
fn talk(text: impl AsRef<[u8]>) -> String {
    let mut client = connect();
    let _ = client.write_all(text.as_ref());
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let answer = talk(
        "POST /a HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nhi\
         POST /b HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyou\r\n0\r\n\r\n\
         GET /empty HTTP/1.1\r\nHost: d\r\n\r\n\
         HEAD /c HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\nx\
         GET /last HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n\
         GET /never HTTP/1.1\r\nHost: d\r\n\r\n",
    );
    let heads: Vec<&str> = answer.lines().filter(|line| line.contains("HTTP/1.1 ")).collect();
    assert_eq!(heads.len(), 5, "{answer}");
    assert!(answer.contains("\r\n\r\nhiHTTP/1.1 200 OK") && answer.contains("\r\n\r\nyouHTTP/1.1 204 No Content"));
    assert!(answer.contains("X-Common: 1") && answer.ends_with("Connection: close\r\n\r\n"));
}

#[test]
fn two_lengths_malformed_heads_and_a_mebibyte_of_headers_are_400_and_the_end() {
    let headers = format!(
        "GET / HTTP/1.1\r\nHost: d\r\n{}\r\n",
        "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(20_000)
    );
    let smuggled = "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: d\r\n\r\n";
    for bad in [smuggled, &headers, "nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let answer = talk(bad);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(!answer.contains("HTTP/1.1 2"), "{answer}");
        assert_eq!(answer.matches("Connection: close").count(), 1, "{answer}");
    }
}

#[test]
fn a_body_that_stops_or_never_ends_is_refused() {
    let short = talk("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc");
    assert!(short.starts_with("HTTP/1.1 400 "), "{short}");
    let huge =
        talk("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999\r\n\r\n".to_owned() + &"a".repeat(9 << 20));
    assert!(huge.starts_with("HTTP/1.1 400 "), "{huge}");
    assert!(
        talk("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").starts_with("HTTP/1.1 400 ")
    );
}

#[test]
fn a_handler_that_panics_is_500() {
    assert!(talk("GET /panic HTTP/1.1\r\nHost: d\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

#[test]
fn streams_are_chunked_for_http_11_and_plain_for_10() {
    let new = talk("GET /stream HTTP/1.1\r\nHost: d\r\n\r\nGET /empty HTTP/1.1\r\nHost: d\r\n\r\n");
    let (head, body) = new.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked"));
    assert!(body.starts_with("3\r\nabc\r\n0\r\n\r\nHTTP/1.1 204"), "{body}");
    let old = talk("GET /stream HTTP/1.0\r\n\r\n");
    assert!(old.ends_with("Connection: close\r\n\r\nabc"), "{old}");
}

#[test]
fn a_stream_ends_when_its_client_is_gone() {
    let mut client = connect();
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    let mut seen = [0; 512];
    assert!(client.read(&mut seen).unwrap() > 0);
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !DROPPED.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the stream was not dropped");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hijacked_connection_is_101_with_and_200_without_an_upgrade_and_survives_a_half_close() {
    let frames = "\u{1}\0\0\0\0\0\0\u{3}out\u{2}\0\0\0\0\0\0\u{3}err";
    let upgraded = talk(
        "POST /hijack HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nstdin",
    );
    assert!(upgraded.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{upgraded}");
    assert!(upgraded.contains("Upgrade: tcp\r\n") && upgraded.ends_with(frames), "{upgraded:?}");
    let plain = talk("GET /empty HTTP/1.1\r\nHost: d\r\n\r\nPOST /hijack HTTP/1.1\r\nHost: d\r\n\r\n");
    assert!(plain.contains("HTTP/1.1 200 OK\r\n") && plain.ends_with(frames), "{plain:?}");
}

#[test]
fn uploads_are_read_while_they_arrive_and_a_refusal_comes_early() {
    let chunks: String = (0..1000).map(|_| format!("400\r\n{}\r\n", "x".repeat(1024))).collect();
    let whole =
        talk(format!("POST /upload HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"));
    assert!(whole.ends_with("Ok(1024000)"), "{whole}");
    let cut = talk(format!("POST /upload HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert!(cut.ends_with("Err(UnexpectedEof)"), "{cut}");
    let refused = talk(format!("POST /upload-refused HTTP/1.1\r\nHost: d\r\nContent-Length: 9999999\r\n\r\n{chunks}"));
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.ends_with("no"), "{refused}");
}

#[test]
fn an_idle_connection_is_small() {
    let (_client, server) = UnixStream::pair().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    server.set_nonblocking(true).unwrap();
    let size = size_of_val(&converse(tokio::net::UnixStream::from_std(server).unwrap(), Echo));
    assert!(size <= 2048, "{size} bytes");
}

#[test]
fn expectations_are_met_and_methods_are_told_apart() {
    let answer = talk("POST / HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{answer}");
    assert_eq!([Method::Get, Method::Other].map(Method::as_str), ["GET", "?"]);
}
