//! `/containers/{id}/archive`: files out of and into a container.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hull_types::Kind;
use hull_wire::PathStat;

use crate::Client;
use crate::conn::Head;
use crate::error::Error;
use crate::request::Request;

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// What is at a path of a container; `None` if nothing is, or there is no such container.
    pub fn archive_stat(&self, container: &str, path: &str) -> Result<Option<PathStat>, Error> {
        match self.call(archive("HEAD", container, path)) {
            Ok(answer) => stat(&answer.head, answer.request()).map(Some),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is at a path of a container, and an archive of it.
    pub fn archive_read(&self, container: &str, path: &str) -> Result<(PathStat, impl Read + '_), Error> {
        let answer = self.call(archive("GET", container, path))?;
        Ok((stat(&answer.head, answer.request())?, answer.body))
    }

    /// Unpacks an archive in a directory of a container. `own`: everything gets the container's user.
    pub fn archive_write(&self, container: &str, path: &str, own: bool, from: &mut dyn Read) -> Result<(), Error> {
        let request = archive("PUT", container, path).flag("noOverwriteDirNonDir", true).flag("copyUIDGID", own);
        self.upload(request, from)?.done()
    }
}

fn archive(method: &'static str, container: &str, path: &str) -> Request {
    Request::new(method, &["containers", container, "archive"]).query("path", path)
}

fn stat(head: &Head, request: &str) -> Result<PathStat, Error> {
    let bytes = STANDARD.decode(&head.path_stat).unwrap_or_default();
    let wrong = |why: String| Error::Protocol { request: request.to_owned(), why };
    hull_wire::decode(&bytes).map_err(|error| wrong(format!("X-Docker-Container-Path-Stat: {error}")))
}
