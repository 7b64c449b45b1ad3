//! TLS of one registry: authorities and our own certificate, in docker's layout.
//!
//! `<dir>/<host[:port]>/*.crt` are authorities besides the host's; `NAME.cert` with `NAME.key` prove us to the
//! registry. Who is believed stands in [`crate::verify`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::verify::{Anyone, Vouched};
use crate::{Error, Result};

/// What the directories hold for one registry.
#[derive(Default)]
struct Found {
    authorities: Vec<CertificateDer<'static>>,
    own: Option<(PathBuf, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// TLS for `authority`; whoever answers is believed if the registry is `insecure`.
pub(crate) fn tls(dirs: &[PathBuf], authority: &str, insecure: bool) -> Result<ClientConfig> {
    let found = find(dirs, authority)?;
    let provider = Arc::new(ring::default_provider());
    let unusable_tls = |error: rustls::Error| Error::Connect { registry: authority.to_owned(), why: error.to_string() };
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable_tls)?.dangerous();
    let builder = match insecure {
        true => builder.with_custom_certificate_verifier(Arc::new(Anyone::new(provider))),
        false => builder.with_custom_certificate_verifier(Arc::new(Vouched::new(provider, found.authorities))),
    };
    match found.own {
        Some((path, chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&path, &error.to_string()))
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

fn find(dirs: &[PathBuf], authority: &str) -> Result<Found> {
    let mut found = Found::default();
    // A name that is no host leads to no directory.
    if authority.contains('/') || authority.starts_with('.') {
        return Ok(found);
    }
    for path in dirs.iter().flat_map(|dir| files(&dir.join(authority))) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(certificates(&path)?),
            Some("cert") => {
                let key = path.with_extension("key");
                let own = PrivateKeyDer::from_pem_slice(&read(&key)?);
                let own = own.map_err(|error| unusable(&key, &error.to_string()))?;
                found.own = Some((path.clone(), certificates(&path)?, own));
            }
            Some("key") if !path.with_extension("cert").exists() => {
                return Err(unusable(&path, "it has no certificate beside it"));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unusable(path, &error.to_string()))?;
    if found.is_empty() {
        return Err(unusable(path, "it has no certificate in PEM form"));
    }
    Ok(found)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::Config { path: path.display().to_string(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("r:1");
        fs::create_dir(&here).unwrap();
        for (file, text) in
            [("ca.crt", "hello"), ("own.key", "hello"), ("own.cert", "-----BEGIN CERTIFICATE-----\n"), ("x.key", "")]
        {
            fs::write(here.join(file), text).unwrap();
            let error = tls(&[dir.path().to_owned()], "r:1", false).expect_err(file).to_string();
            assert!(error.contains("/r:1/"), "{file}: {error}");
            fs::remove_file(here.join(file)).unwrap();
        }
        for authority in ["r:1", "../r:1", ".", "other", "a/b"] {
            assert!(tls(&[dir.path().to_owned()], authority, authority == "other").is_ok(), "{authority}");
        }
    }
}
