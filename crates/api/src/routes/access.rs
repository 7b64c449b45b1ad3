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
}

impl Access {
    /// Whether this may be asked.
    pub(super) fn check(self, method: Method, path: &[&str]) -> Result<(), Fault> {
        let reads = matches!(method, Method::Get | Method::Head) && !gives_files(path);
        if self == Self::Full || reads {
            return Ok(());
        }
        let shown: String = path.join("/").chars().take(128).flat_map(char::escape_debug).collect();
        let why = format!("this socket is for reading only: {} /{shown} is not allowed", method.as_str());
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
}
