//! `/hull`: what docker has nothing like.

use hull_engine::Engine;

use super::{Answer, Call, json, missing, no_content};
use crate::http::Method;
use crate::query::object;

/// Answers what is below `/hull`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: &Call) -> Answer {
    match (call.head.method, path) {
        (Method::Get, ["trace", who]) => {
            let port = call.target.query.text("port").unwrap_or_default();
            json(200, &engine.network_trace(object("container", who)?, &port)?)
        }
        (Method::Get, ["containers", who, "explain"]) => {
            let syscalls = call.target.query.text("syscalls").unwrap_or_default();
            let names: Vec<String> = syscalls.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            json(200, &engine.explain(object("container", who)?, &names)?)
        }
        (Method::Get, ["containers", who, "start"]) => json(200, &engine.start_story(object("container", who)?)?),
        (Method::Get, ["containers", who, "by-hand"]) => json(200, &engine.by_hand(object("container", who)?)?),
        (Method::Get, ["containers", who, "postmortem"]) => json(200, &engine.postmortem(object("container", who)?)?),
        (Method::Post, ["containers", "stop"]) => no_content(engine.stop_containers(-1).await?),
        (method, rest) => missing::refuse(method, &[&["hull"], rest].concat()),
    }
}
