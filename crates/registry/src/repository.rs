//! [`Repository`]: one repository at one place, with what proves us to it.

use std::sync::Mutex;

use hull_types::{Digest, ImageRef};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Body, Method, Url};
use tokio::sync::OnceCell;

use crate::manifest::{Document, MAX_DOCUMENT, media};
use crate::place::Place;
use crate::request::{Request, bounded, transport};
use crate::{Client, Credentials, Error, Result};

/// A repository at a registry or at a mirror of it.
pub struct Repository {
    pub(crate) client: Client,
    pub(crate) place: Place,
    /// Name in the registry: `library/busybox`.
    pub(crate) path: String,
    /// As users write it, for messages.
    familiar: String,
    pub(crate) credentials: Credentials,
    pub(crate) scope: Option<String>,
    base: OnceCell<Url>,
    pub(crate) authorization: Mutex<Option<String>>,
}

const DIGEST_HEADER: &str = "docker-content-digest";

impl Repository {
    pub(crate) fn new(client: Client, place: Place, name: &ImageRef, credentials: Credentials, push: bool) -> Self {
        let path = format!("{}{}", place.prefix, name.path());
        let scope = Some(format!("repository:{path}:{}", if push { "pull,push" } else { "pull" }));
        let familiar = name.familiar_name();
        Self { scope, path, familiar, ..Self::bare(client, place, credentials) }
    }

    /// A registry without a repository, for login.
    pub(crate) fn bare(client: Client, place: Place, credentials: Credentials) -> Self {
        let (path, familiar) = (String::new(), place.authority.clone());
        let (base, authorization) = (OnceCell::new(), Mutex::new(None));
        Self { client, place, path, familiar, credentials, scope: None, base, authorization }
    }

    /// `host[:port]` of the place.
    pub fn authority(&self) -> &str {
        &self.place.authority
    }

    /// Whether this is a mirror.
    pub fn is_mirror(&self) -> bool {
        self.place.mirrored.is_some()
    }

    /// Asks for the right to read `other`, too: layers are to be taken over from there.
    #[must_use]
    pub fn also_reading(mut self, other: &ImageRef) -> Self {
        if let Some(scope) = &mut self.scope {
            scope.push_str(&format!(" repository:{}:pull", other.path()));
        }
        self
    }

    /// Scheme, host and port. Without TLS only where the configuration allows it and TLS is not spoken.
    pub(crate) async fn base(&self) -> Result<&Url> {
        self.base.get_or_try_init(|| self.find_base()).await
    }

    async fn find_base(&self) -> Result<Url> {
        let url = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/", self.place.authority))
                .map_err(|error| Error::malformed(&self.place.authority, "the address", error))
        };
        if let Some(scheme) = self.place.scheme {
            return url(scheme);
        }
        let secure = url("https")?;
        if !self.client.inner.config.is_insecure(&self.place.authority) {
            return Ok(secure);
        }
        let http = self.client.inner.http(&self.place.authority)?;
        match http.get(join(&secure, "v2/")?).send().await {
            Ok(_) => Ok(secure),
            Err(error) if error.is_timeout() => Err(transport(self.authority(), "its first answer", &error)),
            Err(_) => url("http"),
        }
    }

    pub(crate) async fn url(&self, rest: &str) -> Result<Url> {
        let mut url = join(self.base().await?, &format!("v2/{}/{rest}", self.path))?;
        if let Some(mirrored) = self.place.mirrored.as_deref().filter(|mirrored| *mirrored != "docker.io") {
            url.query_pairs_mut().append_pair("ns", mirrored);
        }
        Ok(url)
    }

    /// The manifest or index of a tag or digest, verified, at most 4 MiB.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mismatch`] and what a connection may meet.
    pub async fn manifest(&self, reference: &str) -> Result<Document> {
        let what = match reference.contains(':') {
            true => format!("manifest for {}@{reference}", self.familiar),
            false => format!("manifest for {}:{reference}", self.familiar),
        };
        let url = self.url(&format!("manifests/{reference}")).await?;
        let request = Request::new(Method::GET, url, what).header(ACCEPT, media::ACCEPTED.join(", "));
        let response = self.send(&request).await?;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = header(CONTENT_TYPE.as_str()).to_owned();
        let promised: Option<Digest> = header(DIGEST_HEADER).parse().ok();
        let bytes = bounded(response, MAX_DOCUMENT, self.authority(), "the manifest").await?;
        let digest = Digest::of(&bytes);
        for expected in [reference.parse::<Digest>().ok(), promised].into_iter().flatten() {
            if expected != digest {
                return Err(Error::Mismatch { what: "the manifest", expected: expected.into(), found: digest.into() });
            }
        }
        Ok(Document { bytes, digest, media_type })
    }

    /// A whole small blob, such as a configuration, verified.
    ///
    /// # Errors
    /// As [`Repository::manifest`]; more than 4 MiB are refused.
    pub async fn small_blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let url = self.url(&format!("blobs/{digest}")).await?;
        let response = self.send(&Request::new(Method::GET, url, format!("blob {digest}"))).await?;
        let limit = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_DOCUMENT);
        let bytes = bounded(response, limit, self.authority(), "the image's configuration").await?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => {
                let expected = (*digest).into();
                Err(Error::Mismatch { what: "the image's configuration", expected, found: found.into() })
            }
        }
    }

    /// Puts a manifest; the registry's digest of it must be ours.
    ///
    /// # Errors
    /// [`Error::Mismatch`] and what a connection may meet.
    pub async fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let url = self.url(&format!("manifests/{reference}")).await?;
        let body = || Body::from(bytes.to_vec());
        let mut request = Request::new(Method::PUT, url, format!("the manifest of {}:{reference}", self.familiar));
        request = request.header(CONTENT_TYPE, media_type);
        request.body = Some((bytes.len() as u64, &body));
        let response = self.send(&request).await?;
        let digest = Digest::of(bytes);
        let found = response.headers().get(DIGEST_HEADER).and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        match found {
            Some(found) if found != digest => {
                Err(Error::Mismatch { what: "the pushed manifest", expected: digest.into(), found: found.into() })
            }
            _ => Ok(digest),
        }
    }
}

fn join(base: &Url, path: &str) -> Result<Url> {
    base.join(path).map_err(|error| Error::malformed(base.as_str(), "the address", error))
}
