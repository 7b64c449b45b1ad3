//! The engine itself: ping, info, version, events.

use bytes::Bytes;
use futures_util::StreamExt;
use hull_engine::Engine;

use super::{Answer, Call, command, json, json_line, missing, shape, usage};
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
        (Method::Get, ["info"]) => json(200, &shape::info(call.target.version, engine.info()?)),
        (Method::Get, ["system", "df"]) => usage::usage(engine, call),
        (Method::Get, ["version"]) => json(200, &engine.version()),
        (Method::Get, ["events"]) => events(engine, call),
        (method, path) => missing::refuse(method, path),
    }
}

/// Media types of a stream of events, of which a client may ask for one. COMPAT(docker 28): else it is told JSON, which it is not.
const STREAMS: [&str; 3] = ["application/jsonl", "application/x-ndjson", SEQUENCE];
/// RFC 7464: each document behind a record separator.
const SEQUENCE: &str = "application/json-seq";

fn events(engine: &Engine, call: &Call) -> Answer {
    let (query, version) = (&call.target.query, call.target.version);
    let until = query.moment("until")?;
    // With an end and no beginning they are all that are remembered.
    let typed = || call.peer.filter(|_| call.head.command_line && until.is_none()).and_then(command::typed);
    let since = query.moment("since")?.or_else(typed);
    let events = engine.events(since, until, query.filters()?)?;
    let content_type = negotiated(&call.head.accept);
    let pieces = events.map(move |event| {
        let line = json_line(&shape::event(version, event));
        if content_type == SEQUENCE { [b"\x1e", line.as_ref()].concat().into() } else { line }
    });
    Ok(Reply::Stream { content_type, pieces: pieces.boxed(), patient: false })
}

/// The first of the known types that a client puts highest.
fn negotiated(accept: &str) -> &'static str {
    let mut best = ("application/json", 0.0);
    for offer in accept.split(',') {
        let mut parts = offer.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if let Some(known) = STREAMS.iter().find(|known| known.eq_ignore_ascii_case(name)).filter(|_| weight > best.1) {
            best = (known, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_choose_the_type_of_a_stream() {
        for (accept, chosen) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("application/jsonl", "application/jsonl"),
            ("text/html, application/json-seq", "application/json-seq"),
            ("application/x-ndjson;q=0.5, application/json-seq;q=0.9", "application/json-seq"),
            ("application/jsonl;q=0", "application/json"),
        ] {
            assert_eq!(negotiated(accept), chosen, "{accept}");
        }
    }
}
