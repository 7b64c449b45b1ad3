//! What speaks to registries: pull, push, `/auth`, `/distribution`, `/images/search`.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use hull_engine::{Engine, PullOptions, PushOptions};
use hull_types::{Fault, ImageRef};
use hull_wire::JsonMessage;

use super::{Answer, Call, json};
use crate::http::Reply;

/// `POST /images/create?fromImage=…&tag=…`: `tag` may be a digest; without one all tags are meant.
pub(super) fn pull(engine: &Engine, image: &str, call: &Call) -> Result<BoxStream<'static, JsonMessage>, Fault> {
    let query = &call.target.query;
    let tag = query.text("tag").unwrap_or_default();
    let text = match (tag.is_empty(), tag.contains(':')) {
        (true, _) => image.to_owned(),
        (false, true) => format!("{image}@{tag}"),
        (false, false) => format!("{image}:{tag}"),
    };
    let reference: ImageRef = text.parse()?;
    let platform = query.text("platform").filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?;
    engine.image_pull(PullOptions { reference, platform, auth: call.head.registry_auth.clone() })
}

/// `POST /images/{name}/push?tag=…`: without a tag, all tags.
pub(super) fn push(engine: &Engine, name: &str, call: &Call) -> Result<BoxStream<'static, JsonMessage>, Fault> {
    let query = &call.target.query;
    if query.text("platform").is_some_and(|text| !text.is_empty()) {
        return Err(Fault::unsupported("hull keeps one platform of an image: there is none to choose for a push"));
    }
    let mut reference: ImageRef = name.parse()?;
    if let Some(tag) = query.text("tag").filter(|tag| !tag.is_empty()) {
        reference = reference.with_tag(&tag)?;
    }
    engine.image_push(PushOptions { reference, auth: call.head.registry_auth.clone() })
}

/// `POST /auth`.
pub(super) async fn login(engine: &Engine, call: &Call) -> Answer {
    json(200, &engine.login(call.body.bytes()).await?)
}

/// `GET /images/search`.
pub(super) async fn search(engine: &Engine, call: &Call) -> Answer {
    let query = &call.target.query;
    query.filters()?.check(&["is-automated", "is-official", "stars"])?;
    let term = query.text("term").unwrap_or_default();
    let found =
        engine.image_search(&term, query.number("limit")?.filter(|limit| *limit > 0), &call.head.registry_auth).await?;
    let filters = query.filters()?;
    let wants = |key: &str, is: bool| filters.get(key).iter().all(|text| matches!(text.as_str(), "true" | "1") == is);
    let stars: i64 = filters.get("stars").first().and_then(|text| text.parse().ok()).unwrap_or(0);
    let fits = |item: &&hull_wire::SearchResult| {
        wants("is-official", item.is_official) && wants("is-automated", false) && item.star_count >= stars
    };
    json(200, &found.iter().filter(fits).collect::<Vec<_>>())
}

/// `GET /distribution/{name}/json`; with `document=1` the manifest or index itself, which docker's clients fetch
/// on their own.
pub(super) async fn distribution(engine: &Engine, name: &str, call: &Call) -> Answer {
    let reference = name.parse::<ImageRef>()?.with_default_tag();
    let auth = &call.head.registry_auth;
    if call.target.query.flag("document") {
        let body = Bytes::from(engine.manifest(&reference, auth).await?);
        return Ok(Reply::Whole { status: 200, content_type: "application/json", headers: "".into(), body });
    }
    json(200, &engine.distribution(&reference, auth).await?)
}
