//! What may be asked through a socket that is not for everything.

use hull_types::{Fault, Kind};

use crate::http::Method;

/// What a socket is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everything: whoever reaches it is root on this host.
    #[default]
    Full,
    /// Looking at the engine and its objects, their logs and events; not at the content of files.
    Read,
    /// Looking, and changing containers and volumes; only together with a label, which those bear.
    Write,
}

impl Access {
    /// Whether this may be asked.
    pub(super) fn check(self, method: Method, path: &[&str]) -> Result<(), Fault> {
        let reads = matches!(method, Method::Get | Method::Head) && !gives_files(path);
        if self == Self::Full || reads || (self == Self::Write && writes(method, path)) {
            return Ok(());
        }
        let shown: String = path.join("/").chars().take(128).flat_map(char::escape_debug).collect();
        let what = if self == Self::Read { "reading only" } else { "containers and volumes only" };
        let why = format!("this socket is for {what}: {} /{shown} is not allowed", method.as_str());
        Err(Fault::new(Kind::Forbidden, why))
    }
}

fn gives_files(path: &[&str]) -> bool {
    matches!(
        path,
        ["containers", _, "archive" | "export"]
            | ["containers", _, "attach", ..]
            | ["images", "get"]
            | ["images", .., "get"]
    )
}

/// What changes a container or a volume, or goes into one.
fn writes(method: Method, path: &[&str]) -> bool {
    use Method::{Delete, Get, Head, Post, Put};
    match (method, path) {
        (Post, ["containers" | "volumes", "create"]) | (Delete, ["containers" | "volumes", _]) => true,
        (Post, ["containers", _, verb]) => matches!(
            *verb,
            "start"
                | "stop"
                | "restart"
                | "kill"
                | "pause"
                | "unpause"
                | "wait"
                | "rename"
                | "resize"
                | "attach"
                | "exec"
        ),
        (Post, ["exec", _, verb]) => matches!(*verb, "start" | "resize"),
        (Get | Head | Put, ["containers", _, "archive"]) => true,
        (Get, ["containers", _, "export"] | ["containers", _, "attach", "ws"]) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_reading_changes_nothing_and_gives_no_files() {
        use Method::{Delete, Get, Head, Post, Put};
        let rows: [(Method, &[&str], bool); 12] = [
            (Get, &["_ping"], true),
            (Head, &["_ping"], true),
            (Get, &["containers", "json"], true),
            (Get, &["containers", "x", "logs"], true),
            (Get, &["events"], true),
            (Get, &["containers", "x", "archive"], false),
            (Get, &["containers", "x", "export"], false),
            (Get, &["containers", "x", "attach", "ws"], false),
            (Get, &["images", "a", "b", "get"], false),
            (Post, &["containers", "create"], false),
            (Put, &["containers", "x", "archive"], false),
            (Delete, &["containers", "x"], false),
        ];
        for (method, path, allowed) in rows {
            assert_eq!(Access::Read.check(method, path).is_ok(), allowed, "{path:?}");
            assert!(Access::Full.check(method, path).is_ok());
        }
    }

    #[test]
    fn a_socket_for_writing_changes_containers_and_volumes_and_nothing_else() {
        use Method::{Delete, Get, Post, Put};
        let rows: [(Method, &[&str], bool); 16] = [
            (Get, &["containers", "x", "json"], true),
            (Post, &["containers", "create"], true),
            (Post, &["containers", "x", "exec"], true),
            (Put, &["containers", "x", "archive"], true),
            (Get, &["containers", "x", "attach", "ws"], true),
            (Delete, &["volumes", "x"], true),
            (Post, &["containers", "x", "update"], false),
            (Post, &["containers", "prune"], false),
            (Post, &["volumes", "prune"], false),
            (Post, &["commit"], false),
            (Post, &["networks", "create"], false),
            (Post, &["networks", "x", "connect"], false),
            (Post, &["images", "load"], false),
            (Post, &["images", "create"], false),
            (Delete, &["images", "x"], false),
            (Get, &["images", "x", "get"], false),
        ];
        for (method, path, allowed) in rows {
            assert_eq!(Access::Write.check(method, path).is_ok(), allowed, "{path:?}");
        }
    }
}
