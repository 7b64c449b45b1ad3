//! The client against a server that answers with prepared bytes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use hull_client::{AttachOptions, Client, Error, LogOptions, WaitCondition};
use hull_types::Kind;
use hull_wire::StdStream;

/// One connection: each request's head is read and then answered with the next text. Gives the request lines.
fn serve(listener: UnixListener, connections: Vec<Vec<&'static [u8]>>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut lines = Vec::new();
        for answers in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for answer in answers {
                lines.push(read_request(&mut reader));
                (&stream).write_all(answer).unwrap();
            }
        }
        lines
    })
}

fn read_request(reader: &mut impl BufRead) -> String {
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    first.trim().to_owned()
}

fn start(connections: Vec<Vec<&'static [u8]>>) -> (tempfile::TempDir, Client, JoinHandle<Vec<String>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = serve(listener, connections);
    let client = Client::connect(&format!("unix://{}", path.display())).unwrap();
    (dir, client, server)
}

#[test]
fn one_connection_serves_many_requests() {
    let (_dir, client, server) = start(vec![vec![
        b"HTTP/1.1 201 Created\r\nContent-Length: 24\r\n\r\n{\"Id\":\"x\",\"Warnings\":[]}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"StatusCode\":3}\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 72\r\n\r\n{\"message\":\"no such container: y\",\"hint\":\"look with ps\",\"unknown\":[1,2]}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]]);
    assert_eq!(client.container_create(Some("a b"), None, &Default::default()).unwrap().id, "x");
    client.container_start("x").unwrap();
    assert_eq!(client.container_wait("x", WaitCondition::NextExit).unwrap().done().unwrap().status_code, 3);
    assert_eq!(client.container_start("x").unwrap_err().kind(), Kind::NotModified);
    let Err(Error::Refused(fault)) = client.container_inspect("y", false) else { panic!("refused") };
    assert_eq!((fault.kind, fault.hint.as_deref()), (Kind::NotFound, Some("look with ps")));
    client.container_kill("x", None).unwrap();
    let lines = server.join().unwrap();
    assert_eq!(lines[0], "POST /v1.51/containers/create?name=a%20b HTTP/1.1");
    assert_eq!(lines[2], "POST /v1.51/containers/x/wait?condition=next-exit HTTP/1.1");
}

#[test]
fn a_connection_that_the_engine_closed_is_replaced() {
    let (_dir, client, server) = start(vec![
        vec![b"HTTP/1.1 204 No Content\r\n\r\n"],
        vec![b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"],
        vec![b"HTTP/1.1 204 No Content\r\n\r\n"],
    ]);
    for _ in 0..3 {
        client.container_pause("x").unwrap();
        // The server closes right after its answer; nothing tells of it here.
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert_eq!(server.join().unwrap().len(), 3);
}

#[test]
fn a_cut_or_foreign_answer_is_an_error_and_not_a_result() {
    let rows: [&[u8]; 5] = [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ];
    for row in rows {
        let (_dir, client, _server) = start(vec![vec![row]]);
        let error = client.info().unwrap_err();
        assert!(matches!(error, Error::Lost { .. } | Error::Protocol { .. }), "{error}");
    }
}

#[test]
fn hijacked_connections_keep_what_came_early_and_logs_are_taken_apart() {
    let (_dir, client, _server) = start(vec![
        vec![b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x02hi"],
        vec![b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n\x02\0\0\0\0\0\0\x05o\r\n4\r\nops\n\r\n0\r\n\r\n"],
    ]);
    let hijacked =
        client.container_attach("x", &AttachOptions { stdout: true, stream: true, ..Default::default() }).unwrap();
    assert!(hijacked.multiplexed);
    let (mut output, _input) = hijacked.split().unwrap();
    assert_eq!(output.next_piece().unwrap(), Some((StdStream::Stdout, &b"hi"[..])));
    assert_eq!(output.next_piece().unwrap(), None);
    let mut logs = client.container_logs("x", &LogOptions { stderr: true, ..Default::default() }).unwrap();
    let mut text = Vec::new();
    while let Some((stream, piece)) = logs.next_piece().unwrap() {
        assert_eq!(stream, StdStream::Stderr);
        text.extend_from_slice(piece);
    }
    assert_eq!(text, b"oops\n");
}

#[test]
fn events_are_read_one_by_one_and_an_absent_engine_is_told_apart() {
    let (_dir, client, _server) = start(vec![vec![
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"Action\":\"start\"}\r\n\r\n14\r\n{\"Action\":\"die\"}\r\n{\"\r\n",
    ]]);
    let mut events = client.events(None, None, &hull_wire::Filters::new()).unwrap();
    assert_eq!(events.next().unwrap().unwrap().action, "start");
    assert_eq!(events.next().unwrap().unwrap().action, "die");
    assert!(events.next().unwrap().is_err());
    assert!(Client::connect("/nonexistent/socket").unwrap_err().is_absent());
}
