//! What prunes answer: one report, or from API 1.56 on with `stream` a line for each object that went, and the report.

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json as object};

use super::shape::encoded;
use super::{Answer, Call, json, json_line};
use crate::http::Reply;

/// The answer that was asked for.
pub(super) fn answer(call: &Call, report: &impl Serialize) -> Answer {
    if call.target.version < (1, 56) || !call.target.query.flag("stream") {
        return json(200, report);
    }
    let report = encoded(report)?;
    let mut lines: Vec<Value> = gone(&report).map(|(id, status)| object!({"id": id, "status": status})).collect();
    lines.push(object!({"aux": report}));
    let pieces = stream::iter(lines).map(|line| json_line(&line)).boxed();
    Ok(Reply::Stream { content_type: "application/jsonl", pieces, patient: false })
}

/// Ids with what happened to them, from any of the lists that a report has.
fn gone(report: &Value) -> impl Iterator<Item = (&str, &'static str)> {
    let lists = report.as_object().into_iter().flat_map(|fields| fields.values());
    lists.filter_map(Value::as_array).flatten().filter_map(|item| match item {
        Value::String(id) => Some((id.as_str(), "deleted")),
        item => match (item["Untagged"].as_str(), item["Deleted"].as_str()) {
            (Some(name), _) => Some((name, "untagged")),
            (None, Some(id)) => Some((id, "deleted")),
            (None, None) => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_found_in_every_report() {
        let report = object!({"ContainersDeleted": ["a", "b"], "SpaceReclaimed": 5});
        assert_eq!(gone(&report).collect::<Vec<_>>(), [("a", "deleted"), ("b", "deleted")]);
        let report = object!({"ImagesDeleted": [{"Untagged": "x:1"}, {"Deleted": "sha256:1"}], "SpaceReclaimed": 5});
        assert_eq!(gone(&report).collect::<Vec<_>>(), [("x:1", "untagged"), ("sha256:1", "deleted")]);
        assert_eq!(gone(&object!({"NetworksDeleted": null})).count(), 0);
    }
}
