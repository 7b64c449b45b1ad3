//! A connection to a log service: made when there is something to say, made anew when it breaks.
//!
//! ```text
//! closed ──message──▶ open ──error, or none taken in time──▶ closed, silent for a while: messages are dropped
//! ```

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::Server;

/// A message that is not taken within this time is given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// After a failure the service is left alone for this long.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) struct Sender {
    server: Server,
    connection: Option<Connection>,
    silent_until: Option<Instant>,
    lost: u64,
}

enum Connection {
    Datagrams(UnixDatagram),
    Local(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Sender {
    pub fn new(server: Server) -> Self {
        Self { server, connection: None, silent_until: None, lost: 0 }
    }

    /// Sends one message, or loses it.
    pub async fn send(&mut self, message: &[u8]) {
        if self.silent_until.is_some_and(|until| Instant::now() < until) {
            self.lost += 1;
            return;
        }
        // COMPAT(docker 28): a broken connection is made anew once for a message.
        let mut result = self.attempt(message).await;
        if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::TimedOut) {
            result = self.attempt(message).await;
        }
        match result {
            Ok(()) if self.silent_until.take().is_some() => {
                tracing::warn!(server = ?self.server, lost = self.lost, "the log service takes lines again");
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.silent_until.is_none() {
                    tracing::warn!(server = ?self.server, %error, "the log service takes no lines: they are in the log only");
                }
                self.lost += 1;
                self.silent_until = Some(Instant::now() + SILENCE);
            }
        }
    }

    async fn attempt(&mut self, message: &[u8]) -> io::Result<()> {
        let server = &self.server;
        let slot = &mut self.connection;
        let sending = async move {
            if slot.is_none() {
                *slot = Some(connect(server).await?);
            }
            match slot {
                Some(connection) => connection.send(message).await,
                None => Ok(()),
            }
        };
        let sent = timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if sent.is_err() {
            // What a stream has taken of the message cannot be taken back.
            self.connection = None;
        }
        sent
    }
}

async fn connect(server: &Server) -> io::Result<Connection> {
    Ok(match server {
        Server::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            match socket.connect(path) {
                Ok(()) => Connection::Datagrams(socket),
                // EPROTOTYPE: a stream.
                Err(error) if error.raw_os_error() == Some(91) => Connection::Local(UnixStream::connect(path).await?),
                Err(error) => return Err(error),
            }
        }
        Server::Udp(address) => {
            let address = tokio::net::lookup_host(address).await?.next().ok_or(io::ErrorKind::NotFound)?;
            let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own).await?;
            socket.connect(address).await?;
            Connection::Udp(socket)
        }
        Server::Tcp(address) => Connection::Tcp(TcpStream::connect(address).await?),
        Server::Tls(tls) => Connection::Tls(Box::new(tls.connect().await?)),
    })
}

impl Connection {
    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Local(stream) => stream.write_all(message).await,
            Self::Tcp(stream) => stream.write_all(message).await,
            Self::Tls(stream) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }
}
