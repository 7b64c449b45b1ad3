//! `/exec`.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hull_engine::{Attached, Engine, ExecStarted, Frame, Output};
use hull_types::{Fault, Kind};
use hull_wire::{ExecStartConfig, StdStream};

use super::{Answer, Call, json, missing};
use crate::http::{Method, Reply};
use crate::query::object;

/// Answers what is below `/exec`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: Call) -> Answer {
    match (call.head.method, path) {
        (Method::Get, [id, "json"]) => json(200, &engine.exec_inspect(object("exec", id)?)?),
        (Method::Post, [id, "start"]) => start(engine, object("exec", id)?, &call).await,
        (Method::Post, [id, "resize"]) => {
            let query = &call.target.query;
            engine.exec_resize(object("exec", id)?, query.required("h")?, query.required("w")?).await?;
            Ok(Reply::empty(200))
        }
        (method, rest) => missing::refuse(method, &[&["exec"], rest].concat()),
    }
}

async fn start(engine: &Engine, id: &str, call: &Call) -> Answer {
    // COMPAT(docker 28): no body means attached without a terminal.
    let config: ExecStartConfig = if call.body.bytes().is_empty() { Default::default() } else { call.json()? };
    let (detach, tty) = (config.detach, config.tty);
    match engine.exec_start(id, config).await {
        Ok(ExecStarted::Detached) => Ok(Reply::empty(200)),
        Ok(ExecStarted::Attached(attached)) => {
            Ok(Reply::Hijack { content_type: call.output_type(attached.tty), attached })
        }
        Err(fault) if !detach && is_of_the_process(&fault) && call.head.accept != "application/json" => {
            Ok(Reply::Hijack { content_type: call.output_type(tty), attached: told_as_output(&fault, tty) })
        }
        Err(fault) => Err(fault),
    }
}

/// Whether the process could not be started, rather than that there is nothing to start or not now.
fn is_of_the_process(fault: &Fault) -> bool {
    match fault.kind {
        Kind::NotExecutable | Kind::CommandNotFound | Kind::Invalid | Kind::Internal => true,
        Kind::NotFound
        | Kind::Conflict
        | Kind::NotModified
        | Kind::Forbidden
        | Kind::Unsupported
        | Kind::Unavailable => false,
    }
}

/// COMPAT(docker 28): a process that cannot be started is told as its output, on a hijacked connection; the exit
/// code is in the exec's inspection. Clients that accept JSON get the fault itself.
fn told_as_output(fault: &Fault, tty: bool) -> Attached {
    let bytes =
        Bytes::from(format!("OCI runtime exec failed: exec failed: unable to start container process: {fault}\r\n"));
    let frames = stream::iter([Frame { stream: StdStream::Stdout, bytes }]).boxed();
    Attached { tty, output: Output { tty, frames }, input: None }
}
