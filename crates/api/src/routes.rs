//! Which request is which call: one match over method and path.

mod access;
mod archive;
mod command;
mod confined;
mod containers;
mod exec;
mod images;
mod label;
mod missing;
mod networks;
mod own;
mod platform;
mod pruned;
mod registry;
mod shape;
mod swarm;
mod system;
mod usage;
mod volumes;

use bytes::Bytes;
use hull_engine::Engine;
use hull_types::{Fault, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use access::Access;
use label::Label;

use crate::http::{Body, Head, HeadError, MULTIPLEXED, Method, RAW, Reply, Request, Service};
use crate::query::Target;
use crate::status;

/// A handler's answer.
type Answer = Result<Reply, Fault>;

/// The Engine API over an engine.
#[derive(Clone)]
pub(crate) struct Api {
    engine: Engine,
    common: &'static str,
    access: Access,
    /// Only what bears it is there.
    label: Option<Label>,
}

/// A decoded request, as handlers get it.
pub(crate) struct Call {
    pub target: Target,
    pub head: Head,
    pub body: Body,
    pub peer: Option<i32>,
}

impl Api {
    /// The routes of this engine, as far as this access goes.
    pub fn new(engine: Engine, access: Access, label: Option<String>) -> Self {
        let (major, minor) = hull_wire::API_VERSION;
        let common = format!(
            "Api-Version: {major}.{minor}\r\nDocker-Experimental: {}\r\nOstype: linux\r\nServer: Hull/{} (linux)\r\n",
            engine.settings().experimental,
            env!("CARGO_PKG_VERSION")
        );
        // One string for the life of the process: every answer bears it.
        Self { engine, common: common.leak(), access, label: label.map(Label::new) }
    }

    async fn answer(&self, request: Request) -> Answer {
        let Request { head, body, peer } = request;
        let mut call = Call { target: Target::parse(&head.target)?, head, body, peer };
        let mut segments = std::mem::take(&mut call.target.segments);
        self.access.check(call.head.method, &segments.iter().map(String::as_str).collect::<Vec<_>>())?;
        if let Some(label) = &self.label {
            label.narrow(&self.engine, &mut call, &mut segments)?;
        }
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["containers", rest @ ..] => containers::route(&self.engine, rest, call).await,
            ["exec", rest @ ..] => exec::route(&self.engine, rest, call).await,
            ["networks", rest @ ..] => networks::route(&self.engine, rest, call).await,
            ["hull", rest @ ..] => own::route(&self.engine, rest, &call).await,
            ["volumes", rest @ ..] => volumes::route(&self.engine, rest, &call).await,
            path @ ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", ..] => swarm::swarm(path, &call),
            ["plugins", rest @ ..] => swarm::plugins(rest, &call),
            ["build", "prune"] if call.head.method == Method::Post => swarm::build_prune(&call).await,
            ["images", rest @ ..] => images::route(&self.engine, rest, call).await,
            ["commit"] if call.head.method == Method::Post => containers::commit(&self.engine, &call).await,
            ["auth"] if call.head.method == Method::Post => registry::login(&self.engine, &call).await,
            ["distribution", name @ .., "json"] if call.head.method == Method::Get => {
                registry::distribution(&self.engine, &name.join("/"), &call).await
            }
            path => system::route(&self.engine, path, &call),
        }
    }
}

impl Service for Api {
    fn takes_upload(&self, head: &Head) -> bool {
        let path = head.target.split('?').next().unwrap_or_default();
        match head.method {
            Method::Post => path.ends_with("/images/load") || path.ends_with("/images/create"),
            Method::Put => path.ends_with("/archive"),
            _ => false,
        }
    }

    fn common_headers(&self) -> &str {
        self.common
    }

    async fn call(&self, request: Request) -> Reply {
        let (method, target) = (request.head.method, request.head.target.clone());
        let reply = self.answer(request).await.unwrap_or_else(|fault| {
            tracing::debug!(method = method.as_str(), target, kind = ?fault.kind, %fault, "refused");
            status::reply(&fault)
        });
        if method == Method::Head { without_stream(reply) } else { reply }
    }

    fn refuse(&self, error: &HeadError) -> Reply {
        let kind = match error {
            HeadError::Panicked => Kind::Internal,
            HeadError::Crowded | HeadError::OutOfFiles => Kind::Unavailable,
            HeadError::Syntax(_)
            | HeadError::TooLarge
            | HeadError::Ambiguous(_)
            | HeadError::Host
            | HeadError::Target
            | HeadError::Body(_)
            | HeadError::BrokenBody => Kind::Invalid,
        };
        status::reply(&Fault::new(kind, error.to_string()))
    }
}

/// HEAD asks for headers only.
fn without_stream(reply: Reply) -> Reply {
    match reply {
        Reply::Stream { .. } | Reply::Archive { .. } | Reply::Hijack { .. } | Reply::WebSocket { .. } => {
            Reply::empty(200)
        }
        whole @ Reply::Whole { .. } => whole,
    }
}

impl Call {
    /// The body as a document.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let bytes = self.body.bytes();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Fault::invalid("the request has no body, but this endpoint needs a JSON document"));
        }
        let media = self.head.content_type.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(Fault::invalid(format!(
                "unsupported Content-Type header ({}): must be 'application/json'",
                media.chars().take(64).flat_map(char::escape_debug).collect::<String>()
            )));
        }
        Ok(hull_wire::decode(bytes)?)
    }

    /// The body as a document; `None` if there is none, or `null`.
    pub fn json_or_none<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        match self.body.bytes().trim_ascii() {
            b"" | b"null" => Ok(None),
            _ => self.json().map(Some),
        }
    }

    /// The media type of output, by docker's rule.
    pub fn output_type(&self, tty: bool) -> &'static str {
        if !tty && self.target.version >= (1, 42) { MULTIPLEXED } else { RAW }
    }
}

/// A document as an answer.
fn json(status: u16, document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        // COMPAT(docker 28): a document ends in a line end.
        Ok(mut body) => {
            body.push(b'\n');
            Ok(Reply::json(status, body))
        }
        Err(error) => Err(Fault::internal("cannot encode the answer").cause(error)),
    }
}

/// One line of a stream of documents; one that cannot be encoded is left out.
fn json_line(document: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(document).unwrap_or_default();
    line.extend_from_slice(b"\r\n");
    line.into()
}

/// The answer of an operation that returns nothing.
fn no_content((): ()) -> Answer {
    Ok(Reply::empty(204))
}
