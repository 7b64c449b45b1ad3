//! Names of entries, made safe to take apart. Pure.

use crate::{Error, Limits};

const COMPONENT: usize = 255;

/// The name relative to the root, without empty and `.` components. `..` is refused: no honest layer
/// has it, and what it means depends on links.
pub(super) fn clean(path: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    if path.contains(&0) {
        return Err(Error::entry(path, "its name holds a NUL byte"));
    }
    if path.len() > limits.name {
        return Err(Error::Limit { limit: limits.name as u64, what: "bytes in a name" });
    }
    let mut out = Vec::with_capacity(path.len());
    let mut depth = 0;
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(Error::entry(path, "its name holds `..`")),
            _ if component.len() > COMPONENT => {
                return Err(Error::Limit { limit: COMPONENT as u64, what: "bytes in a component of a name" });
            }
            _ => {}
        }
        depth += 1;
        if depth > limits.depth {
            return Err(Error::Limit { limit: limits.depth as u64, what: "levels of directories" });
        }
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(component);
    }
    Ok(out)
}

/// Directory and last component of a cleaned name; `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None if path.is_empty() => None,
        None => Some((b"", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        let long = [b'n'; 256];
        let deep = b"a/".repeat(2000);
        let rows: &[(&[u8], Option<&[u8]>)] = &[
            (b"a/b", Some(b"a/b")),
            (b"./a//b/./", Some(b"a/b")),
            (b"/etc/passwd", Some(b"etc/passwd")),
            (b".", Some(b"")),
            (b"/", Some(b"")),
            (b"...", Some(b"...")),
            (b"..", None),
            (b"a/../b", None),
            (b"../../etc/passwd", None),
            (b"a/..", None),
            (b"a\0b", None),
            (&long, None),
            (&deep, None),
        ];
        for (path, cleaned) in rows {
            let got = clean(path, &Limits::default()).ok();
            assert_eq!(got.as_deref(), *cleaned, "{}", path.escape_ascii());
        }
    }
}
