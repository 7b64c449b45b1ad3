//! What `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` say inside a container.
//!
//! Pure: the host's files come in as text, the container's go out. Names are checked when they are
//! parsed, so none can break out of its line.

mod hosts;
mod resolv;

pub use hosts::{ExtraHost, hosts};
pub use resolv::{Dns, SYSTEMD_RESOLV_CONF, resolv_conf, wants_systemd_resolv_conf};

/// How a container's network relates to the host's, as far as names are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A namespace of its own.
    Own,
    /// A namespace of its own with the name service of its networks in it.
    Named,
    /// The host's namespace: the host's files hold as they are.
    Host,
}

/// `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}
