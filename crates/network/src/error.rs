//! What can go wrong with networks.

use hull_types::{Fault, Kind};

/// A failed operation on networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel gave no new namespace.
    #[error("cannot make a network namespace")]
    NewNamespace {
        /// The cause.
        source: hull_sys::Error,
    },
    /// `--add-host` without a name and an address.
    #[error("bad format for add-host: \"{0}\"")]
    ExtraHost(String),
    /// `--add-host` with something else than an address.
    #[error("invalid IP address in add-host: \"{0}\"")]
    ExtraHostAddress(String),
    /// `--add-host name:host-gateway` where no bridge has an address.
    #[error("unable to derive the IP value for host-gateway")]
    HostGateway,
    /// `--dns` with something else than an address.
    #[error("IP address is not correctly formatted: {0}")]
    DnsServer(String),
    /// `--dns-search` with something else than a domain.
    #[error("{0} is not a valid domain")]
    DnsSearch(String),
    /// `--dns-option` that would break the line.
    #[error("invalid DNS option \"{0}\"")]
    DnsOption(String),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NewNamespace { source } => source.kind(),
            Self::HostGateway => Kind::Unsupported,
            Self::ExtraHost(_)
            | Self::ExtraHostAddress(_)
            | Self::DnsServer(_)
            | Self::DnsSearch(_)
            | Self::DnsOption(_) => Kind::Invalid,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Fault::new(error.kind(), error.to_string());
        match error {
            Error::NewNamespace { source } => fault.cause(source),
            Error::HostGateway => fault.hint("give the address itself: there is no bridge network"),
            _ => fault,
        }
    }
}
