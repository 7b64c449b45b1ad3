//! [`Server`]: one container's name service, on a runtime.
//!
//! A question that the zone can answer is answered where it is read. Others are passed on as they came, each by a
//! task of its own, so that a slow resolver holds up nobody else. All bounds are per container, for a container
//! can ask as much as it likes.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::forward::{self, Upstream};
use super::message::{A, AAAA, ANY, Bad, Code, PTR, Query, Record, reverse};
use super::resolvers::Resolvers;
use super::socket::Sockets;
use super::zone::Zone;

/// How many questions of one container may wait for other resolvers, and how many connections it may have.
const WAITING: usize = 100;
const CONNECTIONS: usize = 64;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// The longest question that is read from a datagram.
const LONGEST: usize = 4096;

/// What one container sees.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The ids of its networks, the one that is asked first in front.
    pub networks: Vec<String>,
    /// Names of its own for other containers: in lower case, and whom they mean.
    pub links: Vec<(String, String)>,
    /// What nobody here is called may be asked elsewhere.
    pub outward: bool,
    /// Whom it asked for; they are asked from its own namespace. Otherwise the host's resolvers are.
    pub servers: Vec<IpAddr>,
    /// Its namespace; needed for `servers`.
    pub netns: Option<Arc<OwnedFd>>,
}

/// A running name service. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    zone: Arc<Zone>,
    resolvers: Arc<Resolvers>,
    scope: RwLock<Arc<Scope>>,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Server {
    /// Serves on these sockets.
    ///
    /// # Errors
    /// They cannot be waited for.
    pub fn start(
        runtime: &Handle,
        (zone, resolvers): (Arc<Zone>, Arc<Resolvers>),
        sockets: Sockets,
        scope: Scope,
    ) -> std::io::Result<Self> {
        let _entered = runtime.enter();
        let (udp, tcp) = (std::net::UdpSocket::from(sockets.udp), std::net::TcpListener::from(sockets.tcp));
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            zone,
            resolvers,
            scope: RwLock::new(Arc::new(scope)),
            udp: UdpSocket::from_std(udp)?,
            tcp: TcpListener::from_std(tcp)?,
        });
        let tasks = [runtime.spawn(datagrams(shared.clone())), runtime.spawn(connections(shared.clone()))];
        Ok(Self { shared, tasks })
    }

    /// The container has joined or left networks.
    pub fn set_scope(&self, scope: Scope) {
        *self.shared.scope.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(scope);
    }

    /// Duplicates of its sockets, for whoever keeps them while no engine runs.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn sockets(&self) -> std::io::Result<Sockets> {
        use std::os::fd::AsFd;
        let (udp, tcp) = (self.shared.udp.as_fd(), self.shared.tcp.as_fd());
        Ok(Sockets { udp: udp.try_clone_to_owned()?, tcp: tcp.try_clone_to_owned()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What becomes of a question.
enum Verdict {
    Silence,
    Answer(Vec<u8>),
    Ask(Upstream),
}

impl Shared {
    fn decide(&self, bytes: &[u8], limit: Option<usize>) -> Verdict {
        let query = match Query::parse(bytes) {
            Ok(query) => query,
            Err(Bad::Silence) => return Verdict::Silence,
            Err(Bad::Refusal(answer)) => return Verdict::Answer(answer),
        };
        let limit = limit.unwrap_or_else(|| query.limit());
        let scope = Arc::clone(&self.scope.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(mut records) = self.known(&scope, &query) {
            // Each is in front as often as the others.
            let shift = usize::from(bytes[1]) % records.len().max(1);
            records.rotate_left(shift);
            return Verdict::Answer(query.answer(Code::Fine, &records, limit));
        }
        let upstream = self.upstream(&scope);
        if upstream.servers.is_empty() {
            return Verdict::Answer(query.answer(Code::Failure, &[], limit));
        }
        Verdict::Ask(upstream)
    }

    /// What is known of the name on the container's own networks.
    fn known(&self, scope: &Scope, query: &Query<'_>) -> Option<Vec<Record>> {
        if !query.internet {
            return None;
        }
        if query.kind == PTR {
            let address = reverse(&query.name)?;
            return Some(vec![Record::Pointer(self.zone.name(&scope.networks, address)?)]);
        }
        let link = scope.links.iter().find(|(name, _)| *name == query.name);
        let name = link.map_or(query.name.as_str(), |(_, target)| target);
        let of = |v4| self.zone.addresses(&scope.networks, name, v4);
        let found = match query.kind {
            A => of(true)?,
            AAAA => of(false)?,
            ANY => [of(true)?, of(false)?].concat(),
            // A container has addresses and nothing else. Nobody else is to be asked for its name.
            _ => of(true).map(|_| Vec::new())?,
        };
        Some(found.into_iter().map(Record::Address).collect())
    }

    fn upstream(&self, scope: &Scope) -> Upstream {
        if !scope.outward {
            return Upstream::default();
        }
        if scope.servers.is_empty() {
            return Upstream { servers: self.resolvers.current(), netns: None };
        }
        let servers = scope.servers.iter().map(|address| SocketAddr::new(*address, 53)).collect();
        Upstream { servers, netns: scope.netns.clone() }
    }

    /// A question that others are asked; their answer, or that there is none.
    async fn forward(&self, bytes: &[u8], upstream: &Upstream, stream: bool) -> Option<Vec<u8>> {
        let query = Query::parse(bytes).ok()?;
        let answer = forward::ask(upstream, &query, bytes, stream).await;
        Some(answer.unwrap_or_else(|| query.answer(Code::Failure, &[], query.limit())))
    }
}

async fn datagrams(shared: Arc<Shared>) {
    let mut waiting = JoinSet::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let received = tokio::select! {
            received = shared.udp.recv_from(&mut buffer) => received,
            Some(_) = waiting.join_next() => continue,
        };
        let Ok((length, from)) = received else {
            // Of an answer that nobody took, or of no memory: the next may do better.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        match shared.decide(&buffer[..length], None) {
            Verdict::Silence => {}
            Verdict::Answer(answer) => drop(shared.udp.send_to(&answer, from).await),
            // One more than it may: it asks again, as after any loss.
            Verdict::Ask(_) if waiting.len() >= WAITING => {}
            Verdict::Ask(upstream) => {
                let (shared, bytes) = (shared.clone(), buffer[..length].to_vec());
                waiting.spawn(async move {
                    if let Some(answer) = shared.forward(&bytes, &upstream, false).await {
                        let _ = shared.udp.send_to(&answer, from).await;
                    }
                });
            }
        }
    }
}

async fn connections(shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = shared.tcp.accept() => match accepted {
                Ok((stream, _)) if open.len() < CONNECTIONS => {
                    let shared = shared.clone();
                    open.spawn(async move { drop(converse(&shared, stream).await) });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
}

/// One question after the other, until the client has no more.
async fn converse(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut bytes = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut bytes)).await??;
        let answer = match shared.decide(&bytes, Some(usize::from(u16::MAX))) {
            Verdict::Silence => return Ok(()),
            Verdict::Answer(answer) => answer,
            Verdict::Ask(upstream) => match shared.forward(&bytes, &upstream, true).await {
                Some(answer) => answer,
                None => return Ok(()),
            },
        };
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        let whole = [&length.to_be_bytes()[..], &answer].concat();
        timeout(IDLE, stream.write_all(&whole)).await??;
    }
}
