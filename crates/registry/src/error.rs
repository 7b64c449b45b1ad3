//! What can go wrong between hull and a registry.

use hull_types::{Digest, Fault, Kind};

/// Why a registry could not be used, or what it refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration file cannot be used.
    #[error("cannot use `{path}`: {why}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry cannot be reached.
    #[error("cannot reach the registry `{registry}`: {why}")]
    Connect {
        /// Host and port.
        registry: String,
        /// The chain of causes.
        why: String,
    },
    /// A host has no address.
    #[error("cannot find the address of `{name}`: {why}")]
    Name {
        /// The host.
        name: String,
        /// Whether it does not exist or nobody can be asked.
        why: &'static str,
    },
    /// The registry went silent, or the connection broke in the middle.
    #[error("the registry `{registry}` broke off while it sent {what}: {why}")]
    Broken {
        /// Host and port.
        registry: String,
        /// What was being transferred.
        what: String,
        /// How it broke.
        why: String,
    },
    /// There is no such thing.
    #[error("{what} not found: {why}")]
    NotFound {
        /// docker's words: `manifest for busybox:9`.
        what: String,
        /// What the registry says.
        why: String,
    },
    /// The registry wants other or any credentials.
    #[error("access denied for {what}: {why}")]
    Denied {
        /// The repository.
        what: String,
        /// What the registry says.
        why: String,
    },
    /// The credentials are wrong.
    #[error("login to `{registry}` failed: {why}")]
    Login {
        /// Host and port.
        registry: String,
        /// What the registry says.
        why: String,
    },
    /// Too many requests.
    #[error("toomanyrequests: the registry `{registry}` limits how much may be pulled: {why}")]
    RateLimit {
        /// Host and port.
        registry: String,
        /// What the registry says.
        why: String,
        /// Seconds after which it may be tried again, if the registry says so.
        after: Option<u64>,
    },
    /// Another status.
    #[error("the registry `{registry}` answered {status} to {what}: {why}")]
    Status {
        /// Host and port.
        registry: String,
        /// The request.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says.
        why: String,
    },
    /// A redirect or an address for credentials that is not followed.
    #[error("the registry `{registry}` sends us to `{to}`: {why}")]
    Elsewhere {
        /// Host and port.
        registry: String,
        /// The address.
        to: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A document or an answer that cannot be used.
    #[error("{what} of the registry `{registry}` is malformed: {why}")]
    Malformed {
        /// Host and port.
        registry: String,
        /// Which.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Ranges are promised and not kept.
    #[error("the registry `{registry}` answers a range of {digest} with other bytes: {why}")]
    Range {
        /// Host and port.
        registry: String,
        /// The blob.
        digest: Digest,
        /// What was answered.
        why: String,
    },
    /// Bytes are not what their name says.
    #[error("{what} has digest {found}, not {expected}")]
    Mismatch {
        /// Which bytes.
        what: &'static str,
        /// What was promised.
        expected: Box<Digest>,
        /// What came.
        found: Box<Digest>,
    },
    /// No variant of the image fits.
    #[error("no matching manifest for {wanted} in the manifest list entries: it has {found}")]
    Platform {
        /// What is needed.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The registry has no search.
    #[error("the registry `{0}` has no search")]
    NoSearch(String),
    /// Where the bytes go, something failed.
    #[error("cannot keep or read what is transferred: {0}")]
    Sink(String),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config { .. } | Self::Elsewhere { .. } | Self::Malformed { .. } => Kind::Invalid,
            Self::Mismatch { .. } | Self::Range { .. } => Kind::Invalid,
            Self::Connect { .. } | Self::Name { .. } | Self::Broken { .. } | Self::RateLimit { .. } => {
                Kind::Unavailable
            }
            Self::NotFound { .. } | Self::Platform { .. } => Kind::NotFound,
            Self::Denied { .. } | Self::Login { .. } => Kind::Forbidden,
            Self::Status { status, .. } if *status >= 500 => Kind::Unavailable,
            Self::Status { .. } => Kind::Invalid,
            Self::NoSearch(_) => Kind::Unsupported,
            Self::Sink(_) => Kind::Internal,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            Self::RateLimit { after, .. } => after.is_some_and(|seconds| seconds <= 10),
            _ => false,
        }
    }

    pub(crate) fn malformed(registry: &str, what: impl Into<String>, why: impl ToString) -> Self {
        let why = why.to_string().chars().take(200).collect();
        Self::Malformed { registry: registry.to_owned(), what: what.into(), why }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::RateLimit { after: Some(seconds), .. } => {
                let again = format!("try again in {}, or log in: known users may pull more", words(*seconds));
                return Self::new(error.kind(), error.to_string()).hint(again);
            }
            Error::Connect { .. } => {
                Some("check the name and the network; a registry without TLS must be named as insecure")
            }
            Error::Denied { .. } => Some("the repository may not exist, or `hull login` is needed"),
            Error::RateLimit { after: None, .. } => {
                Some("log in with `hull login` (known users may pull more), or use a mirror")
            }
            Error::Elsewhere { .. } => Some("credentials and downloads stay with the registry that was named"),
            Error::Platform { .. } => Some("`hull manifest inspect` lists the platforms; --platform chooses one"),
            Error::NoSearch(_) => Some("name the image in full, or ask the registry's own web page"),
            _ => None,
        };
        let fault = Self::new(error.kind(), error.to_string());
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

/// A time to wait, rounded up.
fn words(seconds: u64) -> String {
    let count = |number: u64, what: &str| if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") };
    match seconds {
        0..120 => count(seconds.max(1), "second"),
        120..7200 => count(seconds.div_ceil(60), "minute"),
        _ => count(seconds.div_ceil(3600), "hour"),
    }
}

/// A transport error with its causes, which `reqwest` hides behind the first of them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.chars().filter(|c| !c.is_control()).take(400).collect()
}
