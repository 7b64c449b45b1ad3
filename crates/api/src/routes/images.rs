//! `/images`. A name may hold slashes, so that the verb is the last segment.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use hull_engine::{Engine, ImportOptions};
use hull_types::{Fault, Kind};
use hull_wire::JsonMessage;

use super::{Answer, Call, json, json_line, missing, registry};
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
        (Post, ["load"]) => progress(engine.image_load(call.body.into_reader())).await,
        (Post, ["create"]) => create(engine, call).await,
        (Get, ["search"]) => registry::search(engine, &call).await,
        (Get, ["get"]) => Ok(Reply::archive(engine.image_save(&query.all("names")).await?)),
        (Post, ["prune"]) => json(200, &engine.image_prune(&query.filters()?).await?),
        (Post, ["check"]) => json(200, &engine.image_check(query.flag("repair")).await?),
        (method, ["get" | "prune" | "check"]) => missing::refuse(method, &["images", path[0]]),
        (Get, [name @ .., "get"]) => Ok(Reply::archive(engine.image_save(&[image(name)?]).await?)),
        (Get, [name @ .., "json"]) => json(200, &engine.image_inspect(&image(name)?)?),
        (Get, [name @ .., "history"]) => json(200, &engine.image_history(&image(name)?)?),
        (Post, [name @ .., "tag"]) => {
            let (repo, tag) = (query.get("repo").unwrap_or_default(), query.get("tag").unwrap_or_default());
            engine.image_tag(&image(name)?, repo, tag).await?;
            Ok(Reply::empty(201))
        }
        (Post, [name @ .., "push"]) => progress(registry::push(engine, &image(name)?, &call)?).await,
        (method, [.., verb @ ("get" | "attestations")]) => missing::refuse(method, &["images", "", verb]),
        (Delete, name) => {
            json(200, &engine.image_remove(&image(name)?, query.flag("force"), query.flag("noprune")).await?)
        }
        (method, rest) => missing::refuse(method, &[&["images"], rest].concat()),
    }
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
