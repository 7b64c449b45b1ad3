//! docker's progress messages of pull and push.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hull_types::{ByteSize, Fault};
use hull_wire::{JsonError, JsonMessage, Progress};
use tokio::sync::mpsc;

/// How often the progress of one thing is told.
const EVERY: Duration = Duration::from_millis(100);
const BAR: usize = 50;

/// A line without an id.
pub(super) fn status(text: impl Into<String>) -> JsonMessage {
    JsonMessage { status: text.into(), ..Default::default() }
}

/// The state of one layer.
pub(super) fn layer(id: &str, text: impl Into<String>) -> JsonMessage {
    JsonMessage { id: id.to_owned(), progress_detail: Some(Progress::default()), ..status(text) }
}

/// The state of one layer with how far it is.
pub(super) fn progress(id: &str, text: &str, current: u64, total: u64) -> JsonMessage {
    let detail = Progress { current: number(current), total: number(total) };
    JsonMessage { progress: bar(current, total), progress_detail: Some(detail), ..layer(id, text) }
}

/// What ends a stream badly. The code is the class of refusal, as its HTTP status.
pub(super) fn failure(fault: &Fault) -> JsonMessage {
    let message = match &fault.hint {
        Some(hint) => format!("{fault} ({hint})"),
        None => fault.to_string(),
    };
    let code = match fault.kind {
        hull_types::Kind::NotFound => 404,
        hull_types::Kind::Conflict => 409,
        hull_types::Kind::Forbidden => 403,
        hull_types::Kind::Unsupported => 501,
        hull_types::Kind::Internal => 500,
        hull_types::Kind::Unavailable => 503,
        _ => 400,
    };
    JsonMessage { error: message.clone(), error_detail: Some(JsonError { code, message }), ..Default::default() }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `[====>      ]  1.2MB/3.4MB`, as docker draws it.
fn bar(current: u64, total: u64) -> String {
    let size = |count: u64| ByteSize(number(count)).human();
    if total == 0 {
        return size(current);
    }
    let share = u128::from(current.min(total)) * BAR as u128 / u128::from(total);
    let full = usize::try_from(share).unwrap_or(BAR);
    let head = if full < BAR { ">" } else { "" };
    let blank = " ".repeat(BAR - full - head.len());
    format!("[{}{head}{blank}]  {}/{}", "=".repeat(full), size(current), size(total))
}

/// Lets one message of a kind through now and then.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    pub fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// Where messages go.
pub(super) type Messages = mpsc::Sender<JsonMessage>;

/// A stream of messages, and where they come from.
pub(super) fn channel() -> (Messages, futures_util::stream::BoxStream<'static, JsonMessage>) {
    use futures_util::StreamExt as _;
    let (sender, receiver) = mpsc::channel(64);
    let stream = futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<JsonMessage>| async move {
        Some((receiver.recv().await?, receiver))
    });
    (sender, stream.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_one_width() {
        for (current, total) in [(0, 10), (5, 10), (10, 10), (20, 10), (u64::MAX, u64::MAX)] {
            let text = bar(current, total);
            assert_eq!(text.find(']'), Some(BAR + 1), "{text}");
        }
        assert_eq!(bar(5, 0), "5B");
    }

    #[test]
    fn a_layers_state_has_an_empty_detail_as_dockers_has() {
        let text = serde_json::to_string(&layer("abc", "Pull complete")).unwrap();
        assert_eq!(text, r#"{"status":"Pull complete","id":"abc","progressDetail":{}}"#);
    }
}
