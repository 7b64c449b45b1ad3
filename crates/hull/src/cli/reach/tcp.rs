//! `tcp://address:port`: with TLS, in which both sides show certificates, or plainly, as docker's client does it.

use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{self, Poll};

use hull_api::{certificates, unusable};
use hull_client::Dial;
use hull_types::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Tls;

/// An address, and the certificates that belong to it.
#[derive(Debug)]
pub(super) struct Tcp {
    host: String,
    port: u16,
    tls: Option<Material>,
}

/// What a connection with TLS needs.
#[derive(Clone, Debug)]
struct Material(Arc<ClientConfig>);

impl Material {
    /// Reads the files.
    fn read(tls: &Tls) -> Result<Self, Fault> {
        if tls.blind {
            let fault = Fault::unsupported("hull does not speak to an engine that nobody vouches for");
            return Err(fault.hint("give its authority: --tlsverify --tlscacert=ca.pem, or ca= in the context"));
        }
        let mut roots = RootCertStore::empty();
        let Some(authority) = &tls.authority else {
            let fault = Fault::invalid("nobody vouches for the engine: there is no ca.pem");
            return Err(fault.hint("name one with --tlscacert, or its directory in DOCKER_CERT_PATH"));
        };
        for certificate in certificates(authority)? {
            roots.add(certificate).map_err(|error| unusable(authority, &error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::internal("TLS cannot be used").cause(error))?
            .with_root_certificates(roots);
        let config = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                let read = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
                let config = config.with_client_auth_cert(certificates(certificate)?, read);
                config.map_err(|error| unusable(certificate, &error))?
            }
            (None, None) => config.with_no_client_auth(),
            _ => return Err(Fault::invalid("a certificate and its key are given together, or neither")),
        };
        Ok(Self(Arc::new(config)))
    }
}

impl Tcp {
    pub(super) fn parse(address: &str, tls: &Tls) -> Result<Self, Fault> {
        let shown = || crate::cli::parse::shortened(address);
        let wrong = |why: &str| Fault::invalid(format!("cannot use host `tcp://{}`: {why}", shown()));
        let address = address.trim_end_matches('/');
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("its port is no number"))?)
            }
            _ => (address, if tls.on { 2376 } else { 2375 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(wrong("write tcp://address:port"));
        }
        let tls = tls.on.then(|| Material::read(tls)).transpose()?;
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl Dial for Tcp {
    fn dial(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let (tell, told) = mpsc::sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (host, port, tls) = (self.host.clone(), self.port, self.tls.clone());
        std::thread::spawn(move || runtime.block_on(carry((host, port), tls, theirs, tell)));
        told.recv().map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))??;
        Ok(ours)
    }
}

/// Connects, tells whether it could, and carries bytes until one side ends.
async fn carry(
    (host, port): (String, u16),
    tls: Option<Material>,
    near: UnixStream,
    tell: mpsc::SyncSender<io::Result<()>>,
) {
    let connecting = async {
        near.set_nonblocking(true)?;
        let near = tokio::net::UnixStream::from_std(near)?;
        let far = TcpStream::connect((host.as_str(), port)).await?;
        far.set_nodelay(true)?;
        let Some(Material(config)) = tls else { return Ok((near, Far::Plain(far))) };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let far = TlsConnector::from(config).connect(name, Open(far)).await?;
        Ok((near, Far::Tls(Box::new(far))))
    };
    match connecting.await {
        Ok((mut near, far)) => {
            let _ = tell.send(Ok(()));
            // How it ends is seen at the near end.
            let _ = match far {
                Far::Plain(mut far) => copy_bidirectional(&mut near, &mut far).await,
                Far::Tls(mut far) => copy_bidirectional(&mut near, far.as_mut()).await,
            };
        }
        Err(error) => {
            let _ = tell.send(Err(error));
        }
    }
}

enum Far {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<Open>>),
}

/// A connection whose end is said by TLS alone. As Go's, whose servers take the end of TCP's direction for a client that
/// is gone.
struct Open(TcpStream);

impl AsyncRead for Open {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Open {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut task::Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_tls_needs_its_files() {
        let plain = Tls::default();
        let read = |address: &str| Tcp::parse(address, &plain).map(|tcp| (tcp.host, tcp.port));
        assert_eq!(read("box:5").unwrap(), ("box".into(), 5));
        assert_eq!(read("box").unwrap(), ("box".into(), 2375));
        assert_eq!(read("[::1]:7/").unwrap(), ("::1".into(), 7));
        for bad in ["", ":5", "box:x", "a/b:1", "me@box:1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let on = Tls { on: true, ..Tls::default() };
        assert!(Tcp::parse("box", &on).unwrap_err().summary.contains("no ca.pem"));
        let blind = Tls { blind: true, ..on };
        assert!(Tcp::parse("box", &blind).unwrap_err().summary.contains("nobody vouches"));
    }
}
