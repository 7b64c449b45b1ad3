//! `/networks`.

use hull_engine::Engine;

use super::{Answer, Call, json, missing, no_content, pruned, shape};
use crate::http::{Method, Reply};
use crate::query::object;

/// Answers what is below `/networks`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: Call) -> Answer {
    use Method::{Delete, Get, Post};
    let query = &call.target.query;
    match (call.head.method, path) {
        (Get, []) => json(200, &engine.network_list(&query.filters()?)?),
        (Post, ["create"]) => json(201, &engine.network_create(call.json()?).await?),
        (Post, ["prune"]) => {
            let (engine, filters) = (engine.clone(), query.filters()?);
            pruned::answer(&call, |told| async move { engine.network_prune(&filters, told).await }).await
        }
        (Post, [who, "connect"]) => done(engine.network_connect(object("network", who)?, &call.json()?).await?),
        (Post, [who, "disconnect"]) => done(engine.network_disconnect(object("network", who)?, &call.json()?).await?),
        (Get, [who]) => {
            json(200, &shape::network(call.target.version, engine.network_inspect(object("network", who)?)?))
        }
        (Delete, [who]) => no_content(engine.network_remove(object("network", who)?).await?),
        (method, rest) => missing::refuse(method, &[&["networks"], rest].concat()),
    }
}

/// COMPAT(docker 28): 200 with an empty body.
fn done((): ()) -> Answer {
    Ok(Reply::empty(200))
}
