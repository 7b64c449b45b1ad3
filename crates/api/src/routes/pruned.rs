//! What prunes answer: one report, or from API 1.56 on with `stream` a line for each object as it goes, and the report.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hull_engine::Told;
use hull_types::Fault;
use serde::Serialize;
use serde_json::{Value, json as object};
use tokio::sync::mpsc;

use super::shape::encoded;
use super::{Answer, Call, json, json_line};
use crate::http::Reply;

/// What comes of a prune.
enum News {
    Gone(Value),
    Done(Result<Value, Fault>),
}

/// The answer that was asked for.
pub(super) async fn answer<R, F>(call: &Call, prune: impl FnOnce(Told) -> F) -> Answer
where
    R: Serialize,
    F: Future<Output = Result<R, Fault>> + Send + 'static,
{
    if call.target.version < (1, 56) || !call.target.query.flag("stream") {
        return json(200, &prune(Arc::new(|_, _| {})).await?);
    }
    let pieces = streamed(prune).await?.boxed();
    Ok(Reply::Stream { content_type: "application/jsonl", pieces, patient: false })
}

/// Lines as they come; what keeps it from beginning is the answer. It goes on when nobody reads any more.
async fn streamed<R, F>(prune: impl FnOnce(Told) -> F) -> Result<BoxStream<'static, Bytes>, Fault>
where
    R: Serialize,
    F: Future<Output = Result<R, Fault>> + Send + 'static,
{
    let (news, mut inbox) = mpsc::unbounded_channel();
    let teller = news.clone();
    let work = prune(Arc::new(move |id: &str, status| {
        let _ = teller.send(News::Gone(object!({"id": id, "status": status})));
    }));
    tokio::spawn(async move {
        let done = work.await.and_then(|report| encoded(&report));
        let _ = news.send(News::Done(done));
    });
    let first = match inbox.recv().await {
        Some(News::Done(Err(fault))) => return Err(fault),
        first => first,
    };
    let rest = stream::unfold(inbox, |mut inbox| async move { Some((inbox.recv().await?, inbox)) });
    Ok(stream::iter(first).chain(rest).map(|news| line(&news)).boxed())
}

fn line(news: &News) -> Bytes {
    match news {
        News::Gone(line) => json_line(line),
        News::Done(Ok(report)) => json_line(&object!({"aux": report})),
        News::Done(Err(fault)) => {
            let message = fault.to_string();
            json_line(&object!({"error": message, "errorDetail": {"message": message}}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(all: Vec<Bytes>) -> Vec<Value> {
        all.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_goes_is_told_while_the_rest_is_still_there() {
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let mut pieces = streamed(|told| async move {
            told("a", "deleted");
            wait.await.unwrap();
            told("x:1", "untagged");
            Ok(object!({"SpaceReclaimed": 5}))
        })
        .await
        .unwrap();
        let first = pieces.next().await.unwrap();
        go.send(()).unwrap();
        let mut all = vec![first];
        all.extend(pieces.collect::<Vec<_>>().await);
        assert_eq!(
            lines(all),
            [
                object!({"id": "a", "status": "deleted"}),
                object!({"id": "x:1", "status": "untagged"}),
                object!({"aux": {"SpaceReclaimed": 5}}),
            ]
        );
    }

    #[tokio::test]
    async fn what_keeps_it_from_beginning_is_the_answer_and_what_breaks_it_off_a_line() {
        let never = |_: Told| async { Err::<Value, _>(Fault::invalid("no such filter")) };
        assert!(streamed(never).await.is_err());
        let broken = |told: Told| async move {
            told("a", "deleted");
            Err::<Value, _>(Fault::invalid("the disk is full"))
        };
        let all = lines(streamed(broken).await.unwrap().collect().await);
        assert_eq!(all[1]["errorDetail"]["message"], "the disk is full");
    }
}
