//! Waiting for descriptors on the runtime.

use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::Error;

/// Watches a descriptor that nobody else on this runtime watches under the same number.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Error> {
    #[expect(
        deprecated,
        reason = "the replacement is unsafe for types that lend changing descriptors; OwnedFd does not"
    )]
    let watched = AsyncFd::with_interest(fd, interest);
    watched.map_err(|source| Error::File { attempt: "wait for", path: "a descriptor".into(), source })
}
