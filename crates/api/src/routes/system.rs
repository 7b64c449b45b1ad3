//! The engine itself: ping, info, version, events.

use bytes::Bytes;
use futures_util::StreamExt;
use hull_engine::Engine;

use super::{Answer, Call, json, json_line, missing};
use crate::http::{Method, Reply};

/// What clients read from a ping besides the common headers: no BuildKit, no swarm.
const PING: &str = "Builder-Version: 1\r\nSwarm: inactive\r\nCache-Control: no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\n";

/// Answers what is directly below the root.
pub(super) fn route(engine: &Engine, path: &[&str], call: &Call) -> Answer {
    match (call.head.method, path) {
        (Method::Get | Method::Head, ["_ping"]) => {
            engine.ping();
            Ok(Reply::Whole {
                status: 200,
                content_type: "text/plain; charset=utf-8",
                headers: PING.into(),
                body: Bytes::from_static(b"OK"),
            })
        }
        (Method::Get, ["info"]) => json(200, &engine.info()?),
        (Method::Get, ["system", "df"]) => json(200, &engine.disk_usage()?),
        (Method::Get, ["version"]) => json(200, &engine.version()),
        (Method::Get, ["events"]) => events(engine, call),
        (method, path) => missing::refuse(method, path),
    }
}

fn events(engine: &Engine, call: &Call) -> Answer {
    let query = &call.target.query;
    let events = engine.events(query.moment("since")?, query.moment("until")?, query.filters()?)?;
    Ok(Reply::Stream {
        content_type: "application/json",
        pieces: events.map(|event| json_line(&event)).boxed(),
        patient: false,
    })
}
