//! Whom we believe to be a registry: [`Vouched`] for the host's authorities and the registry's own,
//! [`Anyone`] where the configuration says that it is insecure.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Believes a certificate that an authority vouches for, or that is itself one of the registry's `.crt` files.
#[derive(Debug)]
pub(crate) struct Vouched {
    provider: Arc<CryptoProvider>,
    /// None if there is no authority at all: a host without certificates that speaks to plain registries only.
    chains: Option<Arc<WebPkiServerVerifier>>,
    known: Vec<CertificateDer<'static>>,
}

impl Vouched {
    pub fn new(provider: Arc<CryptoProvider>, known: Vec<CertificateDer<'static>>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(known.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        Self { provider, chains, known }
    }
}

impl ServerCertVerifier for Vouched {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chains = self.chains.as_ref().ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        match chains.verify_server_cert(shown, between, name, stapled, now) {
            // COMPAT(docker 28): a certificate that is its own authority is shown by the registry itself. Its
            // time was found good before this error, its name is looked at here.
            Err(error) if is_authority(&error) && self.known.iter().any(|known| known == shown) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused for being that of an authority.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Believes whoever answers.
#[derive(Debug)]
pub(crate) struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl Anyone {
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// A certificate that is its own authority, for `registry.test` and the next thirty days.
    fn own_authority() -> CertificateDer<'static> {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
            .args(["-subj", "/CN=registry", "-addext", "subjectAltName=DNS:registry.test"])
            .args(["-keyout", "/dev/null", "-outform", "DER"])
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout.into()
    }

    #[test]
    fn a_known_authority_as_the_registrys_own_is_believed_in_its_time_and_under_its_name_only() {
        let (known, stranger) = (own_authority(), own_authority());
        let verifier = Vouched::new(Arc::new(rustls::crypto::ring::default_provider()), vec![known.clone()]);
        let verify = |shown: &CertificateDer<'_>, name: &str, days: u64| {
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            let now = Duration::from_secs(UnixTime::now().as_secs() + days * 86_400);
            verifier.verify_server_cert(shown, &[], &name, &[], UnixTime::since_unix_epoch(now)).map(drop)
        };
        assert_eq!(verify(&known, "registry.test", 1), Ok(()));
        let refused = |answer: Result<(), Error>| match answer {
            Err(Error::InvalidCertificate(error)) => error,
            other => panic!("{other:?}"),
        };
        let late = refused(verify(&known, "registry.test", 31));
        assert!(matches!(late, CertificateError::Expired | CertificateError::ExpiredContext { .. }), "{late:?}");
        let elsewhere = refused(verify(&known, "other.test", 1));
        assert!(
            matches!(elsewhere, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
            "{elsewhere:?}"
        );
        refused(verify(&stranger, "registry.test", 1));
    }
}
