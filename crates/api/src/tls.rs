//! The Engine API over TCP, with mutual TLS only: each connection is a connection to the engine's own socket behind a
//! handshake in which both sides show certificates of the same authority.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hull_types::{Fault, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a client that writes nothing more is asked whether it still reads.
const GONE_CHECK: Duration = Duration::from_millis(500);
/// Connections at once.
const MOST: usize = 4096;

/// Files in PEM: who one is, and who vouches for the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificates of the authority.
    pub authority: PathBuf,
    /// The certificate that is shown.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Identity {
    /// Whether an engine can listen with it.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn check(&self) -> Result<(), Fault> {
        self.server().map(drop)
    }

    fn server(&self) -> Result<Arc<ServerConfig>, Fault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority)? {
            roots.add(certificate).map_err(|error| unusable(&self.authority, &error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| unusable(&self.authority, &error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unusable(&self.key, &error))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::internal("TLS cannot be used").cause(error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|error| unusable(&self.certificate, &error))?;
        Ok(Arc::new(config))
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// The file cannot be read, or has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(unusable(path, &"it has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// That a file is of no use for TLS, and why.
pub fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::new(Kind::Invalid, format!("{} cannot be used for TLS", path.display())).cause(why)
}

/// Passes what comes over TLS on to the engine's socket, as long as the runtime lives.
///
/// # Errors
/// The identity or the listener cannot be used.
pub fn serve_tls(listener: TcpListener, identity: &Identity, socket: PathBuf) -> Result<(), Fault> {
    let acceptor = TlsAcceptor::from(identity.server()?);
    let unusable = |error| Fault::from(crate::Error::Listen(error));
    listener.set_nonblocking(true).map_err(unusable)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
    let slots = Arc::new(Semaphore::new(MOST));
    tokio::spawn(async move {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (acceptor, socket) = (acceptor.clone(), socket.clone());
                    tokio::spawn(async move {
                        if let Err(error) = relay(stream, acceptor, &socket).await {
                            tracing::debug!(%peer, %error, "a connection over TLS ended");
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(GONE_CHECK).await;
                }
            }
        }
    });
    Ok(())
}

/// Both ways, until the engine ends it or the client is gone.
async fn relay(stream: TcpStream, acceptor: TlsAcceptor, socket: &Path) -> std::io::Result<()> {
    let stream = stream.into_std()?;
    let watched = stream.try_clone()?;
    let stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let tls = accepted.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let (mut from_client, mut to_client) = tokio::io::split(tls);
    let (mut from_engine, mut to_engine) = UnixStream::connect(socket).await?.into_split();
    let up = async {
        copy(&mut from_client, &mut to_engine).await?;
        to_engine.shutdown().await?;
        // It writes no more, and may still read: until its connection ends.
        while !has_ended(&watched) {
            tokio::time::sleep(GONE_CHECK).await;
        }
        Ok(())
    };
    let down = async {
        copy(&mut from_engine, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

fn has_ended(stream: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let polled = poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_err() || fds[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}
