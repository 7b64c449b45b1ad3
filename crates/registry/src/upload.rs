//! Blobs on their way up: what is there is skipped or taken over, the rest is sent in one piece, or in chunks
//! where the registry asks for them.

use futures_util::stream::BoxStream;
use hull_types::{Digest, ImageRef};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};

use crate::place::{forbidden, same_origin};
use crate::request::Request;
use crate::{Error, Repository, Result, Wanted};

/// The least chunk that a registry may ask for, and what is sent where it asks for none.
const CHUNK: u64 = 8 << 20;
const MIN_CHUNK: &str = "oci-chunk-min-length";

/// What is being uploaded: any part of it, as often as asked.
pub trait Source: Send + Sync {
    /// The bytes from `from` to `to` (not included) as they are read.
    fn read(&self, from: u64, to: u64) -> BoxStream<'static, std::io::Result<bytes::Bytes>>;
}

/// How a blob came to be in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Exists,
    /// It was taken over from another repository of the registry.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

impl Repository {
    /// Whether the repository has a blob of this size.
    ///
    /// # Errors
    /// What a connection may meet.
    pub async fn has(&self, blob: Wanted) -> Result<bool> {
        let url = self.url(&format!("blobs/{}", blob.digest)).await?;
        let request = Request::new(Method::HEAD, url, format!("blob {}", blob.digest));
        match self.send(&request).await {
            Ok(response) => {
                let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
                // hyper takes the length of a HEAD for the body's.
                let size: Option<u64> = header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
                Ok(size.is_none_or(|size| size == blob.size))
            }
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob into the repository, unless it is there; from `mounts` without sending a byte where the
    /// registry can.
    ///
    /// # Errors
    /// What a connection may meet.
    pub async fn upload(&self, blob: Wanted, mounts: &[ImageRef], source: &dyn Source) -> Result<Uploaded> {
        if self.has(blob).await? {
            return Ok(Uploaded::Exists);
        }
        let mut session = None;
        for from in mounts.iter().take(3) {
            match self.begin(blob.digest, Some(from)).await? {
                Begun::Mounted => return Ok(Uploaded::Mounted),
                Begun::Session(begun) => session = Some(begun),
            }
        }
        let session = match session {
            Some(session) => session,
            None => match self.begin(blob.digest, None).await? {
                Begun::Session(session) => session,
                Begun::Mounted => return Ok(Uploaded::Mounted),
            },
        };
        let in_one_piece = session.chunk.is_none();
        let sent = match session.chunk {
            None => self.send_whole(&session.location, blob, source).await,
            Some(chunk) => self.send_chunks(session, chunk, blob, source).await,
        };
        match sent {
            // The registry, or what stands before it, takes no body so large.
            Err(Error::Status { status: 413, .. }) if in_one_piece && blob.size > CHUNK => {
                let Begun::Session(session) = self.begin(blob.digest, None).await? else {
                    return Ok(Uploaded::Mounted);
                };
                self.send_chunks(session, CHUNK, blob, source).await?;
            }
            sent => sent?,
        }
        Ok(Uploaded::Sent)
    }

    async fn begin(&self, digest: Digest, mount: Option<&ImageRef>) -> Result<Begun> {
        let mut url = self.url("blobs/uploads/").await?;
        if let Some(from) = mount {
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from.path());
        }
        let empty = || Body::from("");
        let mut request = Request::new(Method::POST, url.clone(), format!("the upload of blob {digest}"));
        request.body = Some((0, &empty));
        let response = self.send(&request).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        let least = response.headers().get(MIN_CHUNK).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let chunk = least.map(|least| least.clamp(CHUNK, 512 << 20));
        Ok(Begun::Session(Session { location: self.location(&url, &response)?, chunk }))
    }

    /// Where an upload goes on.
    fn location(&self, at: &Url, response: &Response) -> Result<Url> {
        let text = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        let url = text.and_then(|text| at.join(text).ok());
        let mut url = url.ok_or_else(|| Error::malformed(self.authority(), "an upload", "it has no usable address"))?;
        // Behind a proxy that ends TLS, registries take themselves for plain ones.
        if url.scheme() == "http" && at.scheme() == "https" && url.host_str() == at.host_str() {
            let port = at.port();
            let _ = url.set_scheme("https").and_then(|()| url.set_port(port));
        }
        if !same_origin(at, &url)
            && let Some(why) = forbidden(&self.client.inner.config, at, &url)
        {
            return Err(self.elsewhere(&url, why));
        }
        Ok(url)
    }

    async fn send_whole(&self, location: &Url, blob: Wanted, source: &dyn Source) -> Result<()> {
        let body = || Body::wrap_stream(source.read(0, blob.size));
        let mut request = Request::new(Method::PUT, finished(location, blob.digest), what(blob));
        request = request.header(CONTENT_TYPE, "application/octet-stream");
        request.body = Some((blob.size, &body));
        // An upload session that broke cannot be continued: the next attempt would meet its remains.
        request.attempts = 1;
        self.send(&request).await.map(drop)
    }

    async fn send_chunks(&self, session: Session, chunk: u64, blob: Wanted, source: &dyn Source) -> Result<()> {
        let mut location = session.location;
        let mut from = 0;
        while from < blob.size {
            let to = blob.size.min(from + chunk);
            let body = || Body::wrap_stream(source.read(from, to));
            let mut request = Request::new(Method::PATCH, location.clone(), what(blob));
            request = request.header(CONTENT_TYPE, "application/octet-stream");
            request = request.header(CONTENT_RANGE, format!("{from}-{}", to - 1));
            request.body = Some((to - from, &body));
            request.attempts = 1;
            let response = self.send(&request).await?;
            location = self.location(&location, &response)?;
            from = to;
        }
        let empty = || Body::from("");
        let mut request = Request::new(Method::PUT, finished(&location, blob.digest), what(blob));
        request.body = Some((0, &empty));
        self.send(&request).await.map(drop)
    }
}

enum Begun {
    Mounted,
    Session(Session),
}

struct Session {
    location: Url,
    chunk: Option<u64>,
}

fn what(blob: Wanted) -> String {
    format!("the upload of blob {}", blob.digest)
}

fn finished(location: &Url, digest: Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}
