//! Certificates of one registry: authorities and our own, in docker's layout.
//!
//! `<dir>/<host[:port]>/*.crt` are authorities; `NAME.cert` with `NAME.key` prove us to the registry.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::{Error, Result};

/// Adds what the directories hold for `authority`.
pub(crate) fn apply(mut builder: ClientBuilder, dirs: &[PathBuf], authority: &str) -> Result<ClientBuilder> {
    // A name that is no host leads to no directory.
    if authority.contains('/') || authority.starts_with('.') {
        return Ok(builder);
    }
    let mut authorities = Vec::new();
    let mut own = None;
    for path in dirs.iter().flat_map(|dir| files(&dir.join(authority))) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let found = Certificate::from_pem_bundle(&read(&path)?);
                authorities.extend(found.map_err(|error| unusable(&path, &crate::error::chain(&error)))?);
            }
            Some("cert") => {
                let key = path.with_extension("key");
                let pem = [read(&path)?, b"\n".to_vec(), read(&key)?].concat();
                own = Some(Identity::from_pem(&pem).map_err(|error| unusable(&path, &crate::error::chain(&error)))?);
            }
            Some("key") if !path.with_extension("cert").exists() => {
                return Err(unusable(&path, "it has no certificate beside it"));
            }
            _ => {}
        }
    }
    if !authorities.is_empty() {
        builder = builder.tls_certs_merge(authorities);
    }
    Ok(match own {
        Some(identity) => builder.identity(identity),
        None => builder,
    })
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
