//! `/hull`: what docker has nothing like.

use hull_engine::Engine;

use super::{Answer, Call, json, missing};
use crate::http::Method;
use crate::query::object;

/// Answers what is below `/hull`.
pub(super) fn route(engine: &Engine, path: &[&str], call: &Call) -> Answer {
    match (call.head.method, path) {
        (Method::Get, ["trace", who]) => {
            let port = call.target.query.text("port").unwrap_or_default();
            json(200, &engine.network_trace(object("container", who)?, &port)?)
        }
        (method, rest) => missing::refuse(method, &[&["hull"], rest].concat()),
    }
}
