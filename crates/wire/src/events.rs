//! What happened: `GET /events`.

use std::collections::BTreeMap;

use crate::macros::wire;

wire! {
    /// One event. `status`, `id` and `from` repeat the others for old clients.
    struct EventMessage {
        #[serde(rename = "status")] omit status: String,
        #[serde(rename = "id")] omit id: String,
        #[serde(rename = "from")] omit from: String,
        #[serde(rename = "Type")] kind: String,
        action: String,
        actor: Actor,
        #[serde(rename = "scope")] omit scope: String,
        #[serde(rename = "time")] omit time: i64,
        #[serde(rename = "timeNano")] omit time_nano: i64,
    }

    /// The object that it happened to.
    struct Actor {
        #[serde(rename = "ID")] id: String,
        attributes: BTreeMap<String, String>,
    }
}
