//! Swarm, plugins and the builder's cache: the answers of an engine that is in no swarm and has no plugins.
//!
//! COMPAT(docker 28): its words and statuses.

use hull_types::{Fault, Kind};
use serde_json::{Value, json};

use super::{Answer, Call, json as document, missing};
use crate::http::Method;

const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// Answers what is below `/swarm`, `/nodes`, `/services`, `/tasks`, `/secrets` and `/configs`.
pub(super) fn swarm(path: &[&str], call: &Call) -> Answer {
    match (call.head.method, path) {
        (Method::Post, ["swarm", "init" | "join"]) => {
            Err(Fault::unsupported("hull is in no swarm and cannot be: use one engine, or Kubernetes"))
        }
        (Method::Post, ["swarm", "leave"]) => Err(Fault::new(Kind::Unavailable, "This node is not part of a swarm")),
        (method, path) if is_swarm(method, path) => Err(Fault::new(Kind::Unavailable, NO_MANAGER)),
        (method, path) => missing::refuse(method, path),
    }
}

fn is_swarm(method: Method, path: &[&str]) -> bool {
    use Method::{Delete, Get, Post};
    match path {
        ["swarm"] => method == Get,
        ["swarm", verb] => matches!((method, *verb), (Get, "unlockkey") | (Post, "update" | "unlock")),
        ["nodes" | "services" | "tasks" | "secrets" | "configs"] => method == Get,
        ["services" | "secrets" | "configs", "create"] => method == Post,
        ["nodes" | "services" | "secrets" | "configs", _] => matches!(method, Get | Delete),
        ["tasks", _] | ["services" | "tasks", _, "logs"] => method == Get,
        ["nodes" | "services" | "secrets" | "configs", _, "update"] => method == Post,
        _ => false,
    }
}

/// Answers what is below `/plugins`.
pub(super) fn plugins(path: &[&str], call: &Call) -> Answer {
    use Method::{Delete, Get, Post};
    let none: [Value; 0] = [];
    match (call.head.method, path) {
        (Get, []) => document(200, &none),
        (Get, ["privileges"]) | (Post, ["pull" | "create"]) => {
            Err(Fault::unsupported("plugins are not supported: volumes, networks and logs have hull's own drivers"))
        }
        (Get, [name @ .., "json"])
        | (Post, [name @ .., "enable" | "disable" | "upgrade" | "push" | "set"])
        | (Delete, name)
            if !name.is_empty() =>
        {
            let shown: String = name.join("/").chars().take(64).flat_map(char::escape_debug).collect();
            Err(Fault::not_found(format!("plugin \"{shown}\" not found")))
        }
        (method, rest) => missing::refuse(method, &[&["plugins"], rest].concat()),
    }
}

/// `POST /build/prune`: there is no cache to prune.
pub(super) async fn build_prune(call: &Call) -> Answer {
    super::pruned::answer(call, |_| async { Ok(json!({"CachesDeleted": null, "SpaceReclaimed": 0})) }).await
}
