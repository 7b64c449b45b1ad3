//! What docker has and hull does not have yet: named, so that nobody takes it for a success or a typing error.

use hull_types::Fault;

use super::Answer;
use crate::http::{Method, Reply};
use crate::status;

/// First segments of docker's endpoints that hull lacks as a whole, and what they are about.
const AREAS: [(&str, &str); 6] = [
    ("build", "building images"),
    ("session", "building images"),
    ("grpc", "building images"),
    ("debug", "debugging"),
    ("metrics", "metrics"),
    ("_status", "its status page"),
];

/// Verbs of `/containers/{id}/…` and what they are about.
const CONTAINER_VERBS: [(&str, &str); 1] = [("checkpoints", "checkpoints")];

/// Verbs of `/images/{name}/…` and what they are about.
const IMAGE_VERBS: [(&str, &str); 1] = [("attestations", "attestations")];

/// What of docker is at this path that hull lacks.
fn lacking(path: &[&str]) -> Option<&'static str> {
    let find = |table: &[(&str, &'static str)], word: &str| {
        table.iter().find(|(name, _)| *name == word).map(|(_, about)| *about)
    };
    match path {
        ["containers", _, verb, ..] => find(&CONTAINER_VERBS, verb),
        ["images", .., verb] => find(&IMAGE_VERBS, verb),
        [area, ..] => find(&AREAS, area),
        [] => None,
    }
}

/// Whether hull answers this path with another method.
fn is_known(path: &[&str]) -> bool {
    match path {
        ["_ping" | "info" | "version" | "events" | "commit" | "auth"] | ["system", "df"] => true,
        ["distribution", .., "json"] | ["containers", "json" | "create" | "prune"] => true,
        ["images", "json" | "load" | "create" | "get" | "prune" | "check" | "search"] => true,
        ["containers", _]
        | ["containers", _, "attach", "ws"]
        | ["exec", _, "start" | "resize" | "json"]
        | ["hull", "trace", _] => true,
        ["containers", _, verb] => matches!(
            *verb,
            "json"
                | "top"
                | "logs"
                | "stats"
                | "start"
                | "stop"
                | "restart"
                | "kill"
                | "pause"
                | "unpause"
                | "rename"
                | "update"
                | "wait"
                | "resize"
                | "attach"
                | "exec"
                | "changes"
                | "export"
                | "archive"
        ),
        ["images", _, .., "json" | "history" | "tag" | "get" | "push"] => true,
        ["volumes"] | ["volumes", _] | ["build", "prune"] => true,
        ["networks"] | ["networks", _] | ["networks", _, "connect" | "disconnect"] => true,
        _ => false,
    }
}

/// The answer for what is not there: 501 for docker's, 405 for another method, 404 for the rest.
pub(super) fn refuse(method: Method, path: &[&str]) -> Answer {
    let shown: String = path.join("/").chars().take(128).flat_map(char::escape_debug).collect();
    if let Some(about) = lacking(path) {
        let fault = Fault::unsupported(format!("hull does not support {about} yet ({} /{shown})", method.as_str()));
        return Err(fault);
    }
    if is_known(path) {
        return Ok(method_not_allowed(method, &shown));
    }
    Err(Fault::not_found(format!("page not found: {} /{shown}", method.as_str())))
}

fn method_not_allowed(method: Method, path: &str) -> Reply {
    let fault = Fault::invalid(format!("the endpoint /{path} does not take the method {}", method.as_str()));
    status::with_status(405, &fault)
}

#[cfg(test)]
mod tests {
    use hull_types::Kind;

    use super::*;

    #[test]
    fn what_docker_has_is_unsupported_and_the_rest_is_not_found() {
        let rows: [(&[&str], Kind); 5] = [
            (&["build"], Kind::Unsupported),
            (&["containers", "x", "checkpoints"], Kind::Unsupported),
            (&["nonsense"], Kind::NotFound),
            (&[], Kind::NotFound),
            (&["containers", "x", "nonsense"], Kind::NotFound),
        ];
        for (path, kind) in rows {
            assert_eq!(refuse(Method::Post, path).err().map(|fault| fault.kind), Some(kind), "{path:?}");
        }
        assert!(matches!(refuse(Method::Put, &["info"]), Ok(Reply::Whole { status: 405, .. })));
    }
}
