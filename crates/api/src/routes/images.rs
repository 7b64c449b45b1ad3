//! `/images`. A name may hold slashes, so that the verb is the last segment.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use hull_engine::{Engine, ImportOptions};
use hull_types::{Fault, Kind};
use hull_wire::JsonMessage;

use super::{Answer, Call, json, json_line, missing, platform, pruned, registry, shape};
use crate::http::{Method, Reply};
use crate::query::Query;

/// Answers what is below `/images`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: Call) -> Answer {
    use Method::{Delete, Get, Post};
    let query = &call.target.query;
    match (call.head.method, path) {
        (Get, ["json"]) => {
            let filters = query.filters()?;
            json(200, &engine.image_list(&filters, query.flag("all"))?)
        }
        (Post, ["load"]) => {
            platform::loads(query)?;
            progress(engine.image_load(call.body.into_reader())).await
        }
        (Post, ["create"]) => create(engine, call).await,
        (Get, ["search"]) => registry::search(engine, &call).await,
        (Get, ["get"]) => save(engine, &query.all("names"), query).await,
        (Post, ["prune"]) => {
            let (engine, filters) = (engine.clone(), query.filters()?);
            pruned::answer(&call, |told| async move { engine.image_prune(&filters, told).await }).await
        }
        (Post, ["check"]) => json(200, &engine.image_check(query.flag("repair")).await?),
        (method, ["get" | "prune" | "check"]) => missing::refuse(method, &["images", path[0]]),
        (Get, [name @ .., "get"]) => save(engine, &[image(name)?], query).await,
        (Get, [name @ .., "json"]) => inspect(engine, &image(name)?, &call),
        (Get, [name @ .., "history"]) => {
            let name = image(name)?;
            engine.image_platforms(&name, platform::one(query)?.as_slice())?;
            json(200, &engine.image_history(&name)?)
        }
        (Post, [name @ .., "tag"]) => {
            let (repo, tag) = (query.get("repo").unwrap_or_default(), query.get("tag").unwrap_or_default());
            engine.image_tag(&image(name)?, repo, tag).await?;
            Ok(Reply::empty(201))
        }
        (Post, [name @ .., "push"]) => progress(registry::push(engine, &image(name)?, &call)?).await,
        (method, [.., verb @ ("get" | "attestations")]) => missing::refuse(method, &["images", "", verb]),
        (Delete, name) => {
            platform::removes(query)?;
            json(200, &engine.image_remove(&image(name)?, query.flag("force"), query.flag("noprune")).await?)
        }
        (method, rest) => missing::refuse(method, &[&["images"], rest].concat()),
    }
}

async fn save(engine: &Engine, names: &[String], query: &Query) -> Answer {
    let wanted = platform::all(query)?;
    for name in names {
        engine.image_platforms(name, &wanted)?;
    }
    Ok(Reply::archive(engine.image_save(names).await?))
}

fn inspect(engine: &Engine, name: &str, call: &Call) -> Answer {
    let query = &call.target.query;
    if call.target.version >= (1, 49) {
        let wanted = platform::one(query)?;
        if wanted.is_some() && query.flag("manifests") {
            return Err(Fault::invalid("conflicting options: manifests and platform options cannot both be set"));
        }
        engine.image_platforms(name, wanted.as_slice())?;
    }
    json(200, &shape::image(call.target.version, &engine.image_inspect(name)?)?)
}

fn image(segments: &[&str]) -> Result<String, Fault> {
    let name = segments.join("/");
    if name.is_empty() { Err(Fault::invalid("the image's name is missing")) } else { Ok(name) }
}

/// Pull and import share a path.
async fn create(engine: &Engine, call: Call) -> Answer {
    let query = &call.target.query;
    if let Some(image) = query.text("fromImage") {
        return progress(registry::pull(engine, &image, &call)?).await;
    }
    match query.text("fromSrc").as_deref() {
        Some("-") => {}
        Some(_) => {
            return Err(Fault::unsupported("hull does not import from an address yet")
                .hint("download it, then `hull import FILE`"));
        }
        None => return Err(Fault::invalid("one of the parameters `fromSrc` and `fromImage` is needed")),
    }
    let options = import_options(query);
    progress(engine.image_import(options, call.body.into_reader())).await
}

fn import_options(query: &Query) -> ImportOptions {
    let (repo, tag) = (query.text("repo").unwrap_or_default(), query.text("tag").unwrap_or_default());
    let reference = match (repo.is_empty(), tag.is_empty()) {
        (true, _) | (_, true) => repo,
        (false, false) => format!("{repo}:{tag}"),
    };
    ImportOptions {
        reference,
        changes: query.all("changes"),
        message: query.text("message").unwrap_or_default(),
        source: "-".to_owned(),
        platform: query.text("platform").unwrap_or_default(),
    }
}

/// A stream of progress. What fails before the first message is an ordinary refusal.
async fn progress(mut messages: BoxStream<'static, JsonMessage>) -> Answer {
    let first = messages.next().await;
    if let Some(refused) = first.as_ref().filter(|message| !message.error.is_empty()) {
        return Err(refusal(refused));
    }
    let pieces = stream::iter(first).chain(messages).map(|message| json_line(&message));
    Ok(Reply::Stream { content_type: "application/json", pieces: pieces.boxed(), patient: true })
}

fn refusal(message: &JsonMessage) -> Fault {
    let code = message.error_detail.as_ref().map_or(0, |detail| detail.code);
    let kind = match code {
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        500 => Kind::Internal,
        403 => Kind::Forbidden,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        _ => Kind::Invalid,
    };
    Fault::new(kind, message.error.clone())
}
