//! Addresses of hosts: /etc/hosts, then the name servers of /etc/resolv.conf (hosts(5), resolv.conf(5)).
//!
//! A static binary cannot load the C library's modules for names, so what nsswitch.conf(5) adds is not asked.
//! Both files are read for every question, as they change while an engine lives. No server but those of the
//! file is asked.

mod conf;
mod message;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use self::conf::Conf;
use self::message::{Answer, Kind, Question};
use crate::{Error, Result};

const HOSTS: &str = "/etc/hosts";
const CONF: &str = "/etc/resolv.conf";
/// Larger than any datagram that a server may send to who did not ask for more.
const DATAGRAM: usize = 4096;

/// Finds addresses as the two files say.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    hosts: PathBuf,
    conf: PathBuf,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { hosts: HOSTS.into(), conf: CONF.into() }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.addresses(name.as_str()).await?.into_iter();
            Ok(Box::new(found.map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

impl Resolver {
    /// All addresses of a host, those of IPv4 first: who connects tries both kinds side by side.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>> {
        let hosts = tokio::fs::read_to_string(&self.hosts).await.unwrap_or_default();
        let found = conf::in_hosts(&hosts, name);
        if !found.is_empty() {
            return Ok(found);
        }
        if is_localhost(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let conf = Conf::parse(&tokio::fs::read_to_string(&self.conf).await.unwrap_or_default());
        let mut silent = false;
        for candidate in conf.candidates(name) {
            let (v4, v6) =
                tokio::join!(conf.ask(&candidate, Kind::A, DNS_PORT), conf.ask(&candidate, Kind::Aaaa, DNS_PORT));
            silent |= v4.is_none() && v6.is_none();
            let found: Vec<IpAddr> = [v4, v6].into_iter().flatten().flatten().collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let why = if silent { "no name server of /etc/resolv.conf answers" } else { "no such host" };
        Err(Error::Name { name: name.to_owned(), why })
    }
}

const DNS_PORT: u16 = 53;

/// RFC 6761: these names mean this machine, whatever a server says.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

impl Conf {
    /// What the first server that knows says; `None` if there is none.
    async fn ask(&self, name: &str, kind: Kind, port: u16) -> Option<Vec<IpAddr>> {
        for _ in 0..self.attempts {
            for server in &self.servers {
                let question = Question::new(name, kind)?;
                let mut server = *server;
                server.set_port(port);
                match question.put(server, self.patience).await {
                    Ok(Answer::Addresses(found)) => return Some(found),
                    Ok(Answer::Unknown | Answer::Truncated) => {}
                    Err(error) => tracing::debug!(%server, name, %error, "a name server does not answer"),
                }
            }
        }
        None
    }
}

impl Question {
    /// Asks one server: by datagram, and by stream where the answer does not fit.
    async fn put(&self, server: SocketAddr, patience: Duration) -> io::Result<Answer> {
        match timeout(patience, self.by_datagram(server)).await?? {
            Answer::Truncated => timeout(patience, self.by_stream(server)).await?,
            answer => Ok(answer),
        }
    }

    async fn by_datagram(&self, server: SocketAddr) -> io::Result<Answer> {
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.send(&self.bytes).await?;
        let mut buffer = [0; DATAGRAM];
        loop {
            // What answers another question is late or forged: wait for ours.
            let length = socket.recv(&mut buffer).await?;
            if let Some(answer) = self.answer(&buffer[..length]) {
                return Ok(answer);
            }
        }
    }

    async fn by_stream(&self, server: SocketAddr) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length[..], &self.bytes].concat()).await?;
        let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut buffer).await?;
        self.answer(&buffer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer"))
    }
}

#[cfg(test)]
mod tests;
