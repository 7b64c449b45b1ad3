//! `/containers`.

use futures_util::{StreamExt, stream};
use hull_engine::{
    AttachOptions, CommitRequest, Engine, ListOptions, LogOptions, Output, RemoveOptions, WaitCondition,
};
use hull_types::Fault;
use hull_wire::IdResponse;

use super::{Answer, Call, archive, json, json_line, missing, no_content, pruned, shape};
use crate::http::{Method, Reply, encode_lines};
use crate::query::{Query, object, wrong};

/// Answers what is below `/containers`.
pub(super) async fn route(engine: &Engine, path: &[&str], call: Call) -> Answer {
    use Method::{Delete, Get, Post};
    match (call.head.method, path) {
        (Get, ["json"]) => list(engine, &call),
        (Post, ["create"]) => create(engine, &call).await,
        (Post, ["prune"]) => {
            let (engine, filters) = (engine.clone(), call.target.query.filters()?);
            pruned::answer(&call, |told| async move { engine.container_prune(&filters, told).await }).await
        }
        (method, ["prune"]) => missing::refuse(method, &["containers", "prune"]),
        (_, [who, "archive"]) => archive::route(engine, object("container", who)?, call).await,
        (Get, [who, "attach", "ws"]) => attach_by_websocket(engine, object("container", who)?, &call).await,
        (Delete, [who]) => remove(engine, object("container", who)?, &call.target.query).await,
        (Get, [who, verb]) => read(engine, object("container", who)?, verb, &call).await,
        (Post, [who, verb]) => act(engine, object("container", who)?, verb, call).await,
        (method, rest) => missing::refuse(method, &[&["containers"], rest].concat()),
    }
}

async fn read(engine: &Engine, who: &str, verb: &str, call: &Call) -> Answer {
    let query = &call.target.query;
    match verb {
        "json" => json(200, &shape::container(call.target.version, &engine.inspect(who, query.flag("size"))?)?),
        "top" => json(200, &engine.top(who, query.get("ps_args").unwrap_or_default())?),
        "logs" => logs(engine, who, call).await,
        "stats" => stats(engine, who, call).await,
        "changes" => {
            // COMPAT(docker 28): none is no list.
            let changes = engine.changes(who)?;
            json(200, &(!changes.is_empty()).then_some(changes))
        }
        "export" => Ok(Reply::archive(engine.export(who)?)),
        other => missing::refuse(Method::Get, &["containers", who, other]),
    }
}

async fn act(engine: &Engine, who: &str, verb: &str, call: Call) -> Answer {
    let query = &call.target.query;
    match verb {
        "start" => start(engine, who, &call).await,
        "stop" => no_content(engine.stop(who, query.text("signal"), query.number("t")?).await?),
        "restart" => no_content(engine.restart(who, query.text("signal"), query.number("t")?).await?),
        "kill" => no_content(engine.kill(who, query.text("signal")).await?),
        "pause" => no_content(engine.pause(who).await?),
        "unpause" => no_content(engine.unpause(who).await?),
        "rename" => no_content(engine.rename(who, query.get("name").unwrap_or_default()).await?),
        "update" => update(engine, who, &call).await,
        "wait" => wait(engine, who, query).await,
        "resize" => {
            engine.resize(who, query.required("h")?, query.required("w")?).await?;
            Ok(Reply::empty(200))
        }
        "attach" => attach(engine, who, &call).await,
        "exec" => json(201, &engine.exec_create(who, call.json()?).await?),
        other => missing::refuse(Method::Post, &["containers", who, other]),
    }
}

/// `POST /commit`, which stands beside `/containers`.
pub(super) async fn commit(engine: &Engine, call: &Call) -> Answer {
    let query = &call.target.query;
    let text = |key: &str| query.text(key).unwrap_or_default();
    let container = text("container");
    let request = CommitRequest {
        container: object("container", &container)?.to_owned(),
        repo: text("repo"),
        tag: text("tag"),
        comment: text("comment"),
        author: text("author"),
        pause: query.flag_or("pause", true),
        changes: query.all("changes"),
        config: call.json_or_none()?,
    };
    json(201, &IdResponse { id: engine.commit(request).await? })
}

fn list(engine: &Engine, call: &Call) -> Answer {
    let query = &call.target.query;
    let limit = query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let options = ListOptions {
        all: query.flag("all"),
        limit,
        size: query.flag("size"),
        health: call.target.version >= (1, 52),
        filters: query.filters()?,
    };
    Ok(Reply::json(200, engine.list(&options)?))
}

async fn create(engine: &Engine, call: &Call) -> Answer {
    let query = &call.target.query;
    let mut request = call.json()?;
    let warnings = shape::create(call.target.version, &mut request);
    let mut created = engine.create(query.text("name"), query.text("platform"), request).await?;
    created.warnings.splice(0..0, warnings);
    json(201, &created)
}

async fn update(engine: &Engine, who: &str, call: &Call) -> Answer {
    let mut request = call.json()?;
    shape::update(call.target.version, &call.json()?, &mut request);
    json(200, &engine.update(who, request).await?)
}

async fn start(engine: &Engine, who: &str, call: &Call) -> Answer {
    // COMPAT(docker 28): `{}` and `null` are let through.
    if call.body.bytes().len() > 7 {
        return Err(Fault::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if call.target.query.text("checkpoint").is_some() {
        return Err(Fault::unsupported("hull cannot start a container from a checkpoint yet"));
    }
    no_content(engine.start(who).await?)
}

async fn remove(engine: &Engine, who: &str, query: &Query) -> Answer {
    let options = RemoveOptions { force: query.flag("force"), volumes: query.flag("v"), link: query.flag("link") };
    no_content(engine.remove(who, options).await?)
}

/// The head of the answer says that the wait is registered; the body comes with the exit.
async fn wait(engine: &Engine, who: &str, query: &Query) -> Answer {
    let condition = match query.get("condition").unwrap_or_default() {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(wrong("condition", other, "it must be not-running, next-exit or removed")),
    };
    let waiting = engine.wait(who, condition).await?;
    let pieces = stream::once(async move {
        let response = waiting.done().await.unwrap_or_else(|fault| hull_wire::ContainerWaitResponse {
            status_code: -1,
            error: Some(hull_wire::WaitError { message: fault.to_string() }),
        });
        json_line(&response)
    });
    Ok(Reply::Stream { content_type: "application/json", pieces: pieces.boxed(), patient: false })
}

async fn logs(engine: &Engine, who: &str, call: &Call) -> Answer {
    let query = &call.target.query;
    let tail = match query.get("tail") {
        None | Some("" | "all") => None,
        // COMPAT(docker 28): what is no number is all.
        Some(text) => text.parse::<i64>().ok().and_then(|lines| u64::try_from(lines).ok()),
    };
    let options = LogOptions {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        since: query.moment("since")?,
        until: query.moment("until")?,
        tail,
    };
    if !options.stdout && !options.stderr {
        return Err(Fault::invalid("Bad parameters: you must choose at least one stream"));
    }
    let Output { tty, frames } = engine.logs(who, options).await?;
    let pieces = frames.map(move |frame| if tty { frame.bytes } else { encode_lines(&frame) });
    Ok(Reply::Stream { content_type: call.output_type(tty), pieces: pieces.boxed(), patient: true })
}

async fn stats(engine: &Engine, who: &str, call: &Call) -> Answer {
    let (query, version) = (&call.target.query, call.target.version);
    let stream = query.flag_or("stream", true);
    let one_shot = query.flag("one-shot");
    if stream && one_shot {
        return Err(Fault::invalid("cannot have stream=true and one-shot=true"));
    }
    let samples = engine.stats(who, stream, one_shot).await?;
    Ok(Reply::Stream {
        content_type: "application/json",
        pieces: samples.map(move |sample| json_line(&shape::stats(version, sample))).boxed(),
        patient: false,
    })
}

/// `GET /containers/{id}/attach/ws`.
async fn attach_by_websocket(engine: &Engine, who: &str, call: &Call) -> Answer {
    let query = &call.target.query;
    if !call.head.upgrade.eq_ignore_ascii_case("websocket") || call.head.websocket_key.is_empty() {
        return Err(Fault::invalid("this endpoint speaks WebSocket: the request has no upgrade to it (version 13)"));
    }
    let attached = engine.attach(who, attach_options(query)).await?;
    // COMPAT(docker 28): text before API 1.28.
    Ok(Reply::WebSocket { binary: call.target.version >= (1, 28), attached })
}

fn attach_options(query: &Query) -> AttachOptions {
    AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
        detach_keys: query.text("detachKeys"),
    }
}

async fn attach(engine: &Engine, who: &str, call: &Call) -> Answer {
    let attached = engine.attach(who, attach_options(&call.target.query)).await?;
    Ok(Reply::Hijack { content_type: call.output_type(attached.tty), attached })
}
