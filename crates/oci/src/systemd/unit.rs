//! Names: from `slice:prefix:name` to a scope and its cgroup.

use crate::error::{Error, Result};

/// A scope in a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `a-b.slice`.
    pub slice: String,
    /// `prefix-name.scope`.
    pub unit: String,
}

impl Scope {
    /// As runc reads `linux.cgroupsPath`. An empty one is a scope of the container's name in `system.slice`.
    pub fn parse(given: &str, id: &str) -> Result<Self> {
        let invalid = |reason: String| Error::invalid("linux.cgroupsPath", reason);
        let parts: Vec<&str> = given.split(':').collect();
        let (slice, prefix, name) = match parts[..] {
            [""] => ("", "hull", id),
            [slice, prefix, name] if !name.is_empty() => (slice, prefix, name),
            _ => {
                let reason = format!("{given:?} is not of the form \"slice:prefix:name\" that systemd's cgroups have");
                return Err(invalid(reason));
            }
        };
        let slice = if slice.is_empty() { "system.slice" } else { slice };
        let fits = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.@\\:".contains(&b));
        let stem = slice.strip_suffix(".slice").filter(|stem| fits(stem));
        let whole = |stem: &str| stem == "-" || stem.split('-').all(|part| !part.is_empty());
        if !stem.is_some_and(whole) {
            return Err(invalid(format!("{slice:?} is no slice")));
        }
        let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
        if !fits(&unit) || unit.starts_with('.') || unit.len() > 255 {
            return Err(invalid(format!("{unit:?} is no unit")));
        }
        Ok(Self { slice: slice.to_owned(), unit })
    }

    /// Its cgroup: a slice lies below those that its name begins with.
    pub fn path(&self) -> String {
        let stem = self.slice.strip_suffix(".slice").unwrap_or(&self.slice);
        let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
        let slices = ends.filter(|_| stem != "-").map(|end| format!("/{}.slice", &stem[..end]));
        slices.collect::<String>() + "/" + &self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_runcs() {
        for (given, path) in [
            ("", "/system.slice/hull-c1.scope"),
            (":docker:c2", "/system.slice/docker-c2.scope"),
            ("user-a-b.slice:libpod:x", "/user.slice/user-a.slice/user-a-b.slice/libpod-x.scope"),
            ("-.slice:p:x", "/p-x.scope"),
            ("a.slice::x", "/a.slice/x.scope"),
        ] {
            assert_eq!(Scope::parse(given, "c1").unwrap().path(), path, "{given:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for given in [
            "/a/b",
            "a:b",
            "a.slice:b:",
            "a.slice:b:c:d",
            "a:b:c",
            "a--b.slice:c:d",
            "-a.slice:c:d",
            "a/b.slice:c:d",
            "a.slice:../x:y",
            "a.slice:b:c\n",
        ] {
            assert!(Scope::parse(given, "c1").is_err(), "{given:?}");
        }
    }
}
