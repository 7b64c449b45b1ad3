//! One blob on its way down: a stream that ends exactly where it should, or an error.

use hull_types::Digest;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};

use crate::request::{Request, transport};
use crate::{Error, Repository, Result};

/// A part of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub from: u64,
    /// Not included.
    pub to: u64,
    /// The whole blob.
    pub size: u64,
}

/// The bytes of a blob as they come.
pub(crate) struct Stream {
    response: Response,
    registry: String,
    what: String,
    left: u64,
    /// Where the stream begins: 0 if the registry gives no ranges.
    pub from: u64,
}

impl Repository {
    /// Opens a part of a blob. A registry that knows no ranges gives all of it: see [`Stream::from`].
    pub(crate) async fn part(&self, digest: &Digest, part: Part) -> Result<Stream> {
        let whole = part.from == 0 && part.to == part.size;
        let url = self.url(&format!("blobs/{digest}")).await?;
        // The caller tries again, from where it stands.
        let mut request = Request { attempts: 1, ..Request::new(Method::GET, url, format!("blob {digest}")) };
        if !whole {
            request = request.header(RANGE, format!("bytes={}-{}", part.from, part.to - 1));
        }
        let response = self.send(&request).await?;
        let lie = |why: String| Error::Range { registry: self.authority().to_owned(), digest: *digest, why };
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let (from, left) = match (whole, partial) {
            (_, false) => (0, part.size),
            (true, true) => return Err(lie("nobody asked for a range".to_owned())),
            (false, true) => {
                let said = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
                if said != format!("bytes {}-{}/{}", part.from, part.to - 1, part.size) {
                    return Err(lie(format!("`{}`", said.chars().take(80).collect::<String>())));
                }
                (part.from, part.to - part.from)
            }
        };
        match response.content_length() {
            Some(length) if length != left => Err(Error::malformed(
                self.authority(),
                format!("blob {digest}"),
                format!("it has {length} bytes, not {left}"),
            )),
            _ => Ok(Stream {
                response,
                registry: self.authority().to_owned(),
                what: format!("blob {digest}"),
                left,
                from,
            }),
        }
    }
}

impl Stream {
    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next piece; `None` after the last byte that was promised.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let piece = self.response.chunk().await;
        match piece.map_err(|error| transport(&self.registry, &self.what, &error))? {
            Some(piece) if piece.len() as u64 > self.left => {
                Err(Error::malformed(&self.registry, &self.what, "it has more bytes than were promised"))
            }
            Some(piece) => {
                self.left -= piece.len() as u64;
                Ok(Some(piece))
            }
            None if self.left > 0 => Err(Error::Broken {
                registry: self.registry.clone(),
                what: self.what.clone(),
                why: format!("{} bytes are missing", self.left),
            }),
            None => Ok(None),
        }
    }
}
