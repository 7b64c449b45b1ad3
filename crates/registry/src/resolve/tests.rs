//! Servers of our own on loopback addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;

/// A reply to the question in `asked`: one address, or a code.
fn reply(asked: &[u8], address: Option<[u8; 4]>, flags: u16) -> Vec<u8> {
    let mut bytes = asked.to_vec();
    bytes[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
    let is_v4 = bytes[bytes.len() - 3] == 1;
    if let Some(address) = address.filter(|_| is_v4) {
        bytes[7] = 1;
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        bytes.extend(address);
    }
    bytes
}

fn conf(servers: &[&str]) -> Conf {
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    Conf { patience: Duration::from_millis(500), ..Conf::parse(&text) }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_refuses_and_forged_answers_are_passed_over() {
    let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = UdpSocket::bind(("127.0.0.2", port)).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let servers = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = first.recv_from(&mut buffer).await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
        first.send_to(&reply(&buffer[..length], None, 2), from).await.unwrap();
        let (length, from) = second.recv_from(&mut buffer).await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
        let good = reply(&buffer[..length], Some([10, 0, 0, 9]), 0);
        let mut forged = reply(&buffer[..length], Some([6, 6, 6, 6]), 0);
        forged[0] ^= 0xff;
        for message in [&forged[..], b"", b"x", &good] {
            second.send_to(message, from).await.unwrap();
        }
    });
    // Generous: only the order is looked at.
    let conf = Conf { patience: Duration::from_secs(30), ..conf(&["127.0.0.1", "127.0.0.2"]) };
    assert_eq!(conf.ask("r.example", Kind::A, port).await, Some(vec![[10, 0, 0, 9].into()]));
    servers.await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_by_stream() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = datagrams.local_addr().unwrap().port();
    let streams = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = datagrams.recv_from(&mut buffer).await.unwrap();
        datagrams.send_to(&reply(&buffer[..length], None, 0x0200), from).await.unwrap();
        let (mut stream, _) = streams.accept().await.unwrap();
        let mut asked = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut asked).await.unwrap();
        let answer = reply(&asked, Some([10, 0, 0, 7]), 0);
        stream.write_u16(answer.len() as u16).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    });
    let conf = Conf { patience: Duration::from_secs(30), ..conf(&["127.0.0.1"]) };
    assert_eq!(conf.ask("r.example", Kind::A, port).await, Some(vec![[10, 0, 0, 7].into()]));
    server.await.unwrap();
}

#[tokio::test]
async fn a_silent_server_costs_its_patience_and_no_other_is_made_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let conf = Conf { patience: Duration::from_millis(50), ..conf(&["127.0.0.1"]) };
    assert_eq!(conf.ask("r.example", Kind::A, port).await, None);
    assert_eq!(conf.ask("not..a name", Kind::A, port).await, None);
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_localhost_is_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (hosts, conf) = (dir.path().join("hosts"), dir.path().join("none"));
    std::fs::write(&hosts, "10.1.1.1 r.example\n").unwrap();
    let resolver = Resolver { hosts, conf };
    assert_eq!(resolver.addresses("R.example").await.unwrap(), [IpAddr::from([10, 1, 1, 1])]);
    for name in ["localhost", "x.LocalHost."] {
        assert!(resolver.addresses(name).await.unwrap().iter().all(IpAddr::is_loopback), "{name}");
    }
}
