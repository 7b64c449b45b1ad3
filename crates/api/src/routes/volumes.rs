//! `/volumes`.

use hull_engine::Engine;
use hull_types::{Fault, Kind};

use super::{Answer, Call, json, missing, no_content, pruned};
use crate::http::Method;

/// From this version on `prune` takes anonymous volumes only, unless it is told otherwise.
const PRUNE_ANONYMOUS: (u16, u16) = (1, 42);

/// Answers what is below `/volumes`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: &Call) -> Answer {
    use Method::{Delete, Get, Post, Put};
    let query = &call.target.query;
    match (call.head.method, path) {
        (Get, []) => json(200, &engine.volume_list(&query.filters()?)?),
        (Post, ["create"]) => json(201, &engine.volume_create(&call.json()?)?),
        (Post, ["prune"]) => {
            let all = call.target.version < PRUNE_ANONYMOUS;
            let (engine, filters) = (engine.clone(), query.filters()?);
            pruned::answer(call, |told| async move { engine.volume_prune(&filters, all, told) }).await
        }
        (Get, [name]) => json(200, &engine.volume_inspect(name)?),
        (Delete, [name]) => no_content(engine.volume_remove(name, query.flag("force"))?),
        (Put, [_]) => {
            let why = "volume update only valid for cluster volumes, but swarm is unavailable";
            Err(Fault::new(Kind::Unavailable, why))
        }
        (method, rest) => missing::refuse(method, &[&["volumes"], rest].concat()),
    }
}
