//! Asking other resolvers: each question from a port of its own and under a number of its own, so that an answer
//! cannot be guessed; the next server where one is silent or does not know.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use super::message::Query;

/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whom a container's questions go to, and from where.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstream {
    pub servers: Vec<SocketAddr>,
    /// The network namespace that they are asked from; the host's otherwise.
    pub netns: Option<Arc<OwnedFd>>,
}

/// The first answer that knows; `None` if none does, whatever their reasons.
///
/// COMPAT(docker 28): a refusal is a failure for whom asks, as it is with docker.
pub(super) async fn ask(upstream: &Upstream, query: &Query<'_>, bytes: &[u8], stream: bool) -> Option<Vec<u8>> {
    for server in &upstream.servers {
        let answer = async {
            if stream {
                by_stream(*server, upstream, query, bytes).await
            } else {
                by_datagram(*server, upstream, query, bytes).await
            }
        };
        match timeout(PATIENCE, answer).await {
            // No error, or no such name: that is known.
            Ok(Ok(answer)) if matches!(answer[3] & 0x0f, 0 | 3) => return Some(answer),
            Ok(Ok(_)) => tracing::debug!(%server, "resolver does not know"),
            Ok(Err(error)) => tracing::debug!(%server, %error, "resolver not asked"),
            Err(_) => tracing::debug!(%server, "resolver is silent"),
        }
    }
    None
}

async fn by_datagram(server: SocketAddr, upstream: &Upstream, query: &Query<'_>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = std::net::UdpSocket::from(socket(server, upstream, SocketType::DGRAM).await?);
    let socket = UdpSocket::from_std(socket)?;
    socket.connect(server).await?;
    let number = random()?;
    socket.send(&[&number[..], &bytes[2..]].concat()).await?;
    let mut answer = vec![0; query.limit()];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answer[..2] == number && query.is_answered_by(&answer[..length]) {
            answer.truncate(length);
            answer[..2].copy_from_slice(&bytes[..2]);
            return Ok(answer);
        }
    }
}

async fn by_stream(server: SocketAddr, upstream: &Upstream, query: &Query<'_>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = std::net::TcpStream::from(socket(server, upstream, SocketType::STREAM).await?);
    let mut stream = TcpSocket::from_std_stream(socket).connect(server).await?;
    let number = random()?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &number, &bytes[2..]].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if answer.len() < 2 || answer[..2] != number || !query.is_answered_by(&answer) {
        return Err(io::Error::other("the answer is to another question"));
    }
    answer[..2].copy_from_slice(&bytes[..2]);
    Ok(answer)
}

/// A socket that does not block, in the namespace that the question goes out from.
async fn socket(server: SocketAddr, upstream: &Upstream, kind: SocketType) -> io::Result<OwnedFd> {
    let (family, any): (_, IpAddr) = if server.is_ipv4() {
        (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into())
    } else {
        (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into())
    };
    let make = move || -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        if kind == SocketType::DGRAM {
            rustix::net::bind(&socket, &SocketAddr::new(any, 0))?;
        }
        Ok(socket)
    };
    let Some(netns) = upstream.netns.clone() else { return make() };
    let made = tokio::task::spawn_blocking(move || crate::netns::within(netns.as_fd(), || Ok(make())));
    made.await.map_err(io::Error::other)?.map_err(io::Error::other)?
}

fn random() -> io::Result<[u8; 2]> {
    let mut number = [0; 2];
    rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty())?;
    Ok(number)
}
