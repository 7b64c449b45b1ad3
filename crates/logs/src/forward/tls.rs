//! A syslog server behind TLS: who vouches for it, and who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where it is, and files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Host and port.
    pub address: String,
    /// Certificates of the authority that vouches for the server; if there is none, whoever answers is believed.
    pub authority: Option<PathBuf>,
    /// Our certificate and its key, for a server that asks for one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// A file that is of no use for TLS, or a host that no certificate can name.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be used for TLS: {why}")]
pub struct Unusable {
    what: String,
    why: String,
}

impl Tls {
    /// Whether its files can be used.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), Unusable> {
        self.name()?;
        self.config().map(drop)
    }

    pub(super) async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let (config, name) = (self.config().map_err(io::Error::other)?, self.name().map_err(io::Error::other)?);
        let stream = TcpStream::connect(&self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn name(&self) -> Result<ServerName<'static>, Unusable> {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(bare).map_err(|error| Unusable { what: self.address.clone(), why: error.to_string() })
    }

    fn config(&self) -> Result<ClientConfig, Unusable> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Unusable { what: self.address.clone(), why: error.to_string() })?;
        let builder = match &self.authority {
            Some(authority) => builder.with_root_certificates(roots(authority)?),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        match &self.own {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => {
                let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
                let own = builder.with_client_auth_cert(certificates(certificate)?, secret);
                own.map_err(|error| unusable(certificate, &error))
            }
        }
    }
}

fn roots(authority: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(|error| unusable(authority, &error))?;
    }
    Ok(roots)
}

/// Believes every certificate, if the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(unusable(path, &"it has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Unusable {
    Unusable { what: path.display().to_string(), why: why.to_string() }
}
