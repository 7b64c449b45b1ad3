//! docker's short mount syntax: `src:dst[:options]` of `-v`, and `container[:options]` of `--volumes-from`.

use std::path::PathBuf;

use hull_launch::spec::{Idmap, MountKind, MountWish, Propagation, Readonly};
use hull_types::Fault;

use super::command::clean;
use super::text::{bare, shown};
use super::userns;

/// What the options of one entry say.
#[derive(Debug, Default)]
struct Modes {
    readonly: Option<Readonly>,
    propagation: Option<Propagation>,
    recursive: Option<bool>,
    nocopy: bool,
    relabel: bool,
    idmap: Idmap,
}

/// One entry of `Binds`. `selinux`: labels are refused where they would have to change something.
pub(super) fn parse(entry: &str, selinux: bool) -> Result<MountWish, Fault> {
    let invalid = || Fault::invalid(format!("invalid volume specification: {}", shown(entry)));
    let parts: Vec<&str> = entry.split(':').collect();
    let (source, destination, options) = match parts[..] {
        [source, destination] => (source, destination, ""),
        [source, destination, options] if !options.is_empty() => (source, destination, options),
        _ => return Err(invalid().hint("write `source:destination` or `source:destination:options`")),
    };
    if source.is_empty() || destination.is_empty() {
        return Err(invalid());
    }
    // COMPAT(docker 28): the sentence begins with the whole of it.
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let target = target(destination).map_err(|fault| {
        let entry = bare(entry);
        let summary = format!(
            "invalid volume specification: '{entry}': invalid mount config for type \"{kind}\": {}",
            fault.summary
        );
        Fault { summary, ..fault }
    })?;
    let modes = modes(entry, options)?;
    if modes.relabel && selinux {
        return Err(Fault::unsupported("`z` and `Z` are not supported where SELinux is active"));
    }
    let kind = if source.starts_with('/') { bind(entry, source, modes)? } else { volume(entry, source, modes)? };
    Ok(MountWish { target, kind })
}

fn bind(entry: &str, source: &str, modes: Modes) -> Result<MountKind, Fault> {
    if modes.nocopy {
        return Err(Fault::invalid(format!("invalid mode in {}: `nocopy` is for volumes", shown(entry))));
    }
    Ok(MountKind::Bind {
        source: PathBuf::from(clean(source)),
        create: true,
        recursive: modes.recursive.unwrap_or(true),
        readonly: modes.readonly.unwrap_or_default(),
        propagation: modes.propagation.unwrap_or_default(),
        idmap: modes.idmap,
    })
}

fn volume(entry: &str, name: &str, modes: Modes) -> Result<MountKind, Fault> {
    if modes.propagation.is_some() || modes.recursive.is_some() {
        return Err(Fault::invalid(format!("invalid mode in {}: propagation is for bind mounts", shown(entry))));
    }
    Ok(MountKind::Volume {
        name: volume_name(name)
            .map_err(|fault| Fault { summary: format!("create {name}: {}", fault.summary), ..fault })?,
        anonymous: false,
        subpath: None,
        readonly: modes.readonly.unwrap_or_default(),
        nocopy: modes.nocopy,
        idmap: modes.idmap,
    })
}

/// docker's names for local volumes.
pub(super) fn volume_name(name: &str) -> Result<String, Fault> {
    match hull_volume::check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(error) => Err(error.into()),
    }
}

/// Where it lands: absolute, clean, not the root, not inside `/proc`.
pub(super) fn target(destination: &str) -> Result<PathBuf, Fault> {
    if !destination.starts_with('/') {
        return Err(Fault::invalid(format!("invalid mount path: '{}' mount path must be absolute", bare(destination))));
    }
    let path = clean(destination);
    if path == "/" {
        return Err(Fault::invalid("invalid specification: destination can't be '/'"));
    }
    if let Some(below) = path.strip_prefix("/proc/")
        && !LXCFS.contains(&below)
    {
        return Err(Fault::invalid(format!("{} cannot be mounted because it is inside /proc", shown(&path))));
    }
    if path == "/proc" {
        return Err(Fault::invalid("nothing can be mounted over /proc"));
    }
    Ok(PathBuf::from(path))
}

/// Files of `/proc` that may be covered, as runc allows for lxcfs.
const LXCFS: [&str; 8] = ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"];

/// One entry of `VolumesFrom`: whose mounts, and whether they become read-only.
pub(super) fn volumes_from(entry: &str) -> Result<(&str, bool), Fault> {
    let (who, mode) = entry.split_once(':').unwrap_or((entry, "rw"));
    match mode {
        _ if who.is_empty() => {}
        "rw" | "z" | "Z" | "" => return Ok((who, false)),
        "ro" => return Ok((who, true)),
        _ => {}
    }
    Err(Fault::invalid(format!("invalid volumes-from specification: {}", shown(entry))))
}

/// A word of the propagation option.
pub(super) fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" => Propagation::RPrivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::RShared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::RSlave,
        _ => return None,
    })
}

/// Each kind of option at most once, as docker.
fn modes(entry: &str, options: &str) -> Result<Modes, Fault> {
    let mut modes = Modes::default();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let fresh = modes.apply(entry, option)?;
        if !fresh {
            return Err(Fault::invalid(format!("invalid mode: {}", bare(option))));
        }
    }
    Ok(modes)
}

impl Modes {
    /// Whether the option is known and its kind was not given before.
    fn apply(&mut self, entry: &str, option: &str) -> Result<bool, Fault> {
        let readonly = match option {
            "rw" => Some(Readonly::No),
            // COMPAT(docker 25): read-only is recursive where the kernel can, which is from 5.12 on.
            "ro" | "rro" => Some(Readonly::Tree),
            "ro-top" => Some(Readonly::Top),
            _ => None,
        };
        if readonly.is_some() {
            return Ok(std::mem::replace(&mut self.readonly, readonly).is_none());
        }
        if let Some(spread) = propagation(option) {
            return Ok(self.propagation.replace(spread).is_none());
        }
        Ok(match option {
            "rbind" => self.recursive.replace(true).is_none(),
            "bind" => self.recursive.replace(false).is_none(),
            "nocopy" => !std::mem::replace(&mut self.nocopy, true),
            "copy" => !self.nocopy,
            "z" | "Z" => !std::mem::replace(&mut self.relabel, true),
            // Hints of Docker Desktop: without effect on Linux.
            "consistent" | "cached" | "delegated" | "default" => true,
            "idmap" => std::mem::replace(&mut self.idmap, Idmap::Container) == Idmap::None,
            other => match other.strip_prefix("idmap=") {
                Some(maps) => {
                    let maps = Idmap::Maps(userns::maps(entry, maps)?);
                    std::mem::replace(&mut self.idmap, maps) == Idmap::None
                }
                None => false,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_and_volumes() {
        let wish = parse("/src//x/:/a/../b:ro,rslave,idmap", false).unwrap();
        assert_eq!(wish.target, PathBuf::from("/b"));
        let MountKind::Bind { source, create, recursive, readonly, propagation, idmap } = wish.kind else {
            panic!("not a bind");
        };
        assert_eq!(source, PathBuf::from("/src/x"));
        assert!(create && recursive);
        assert_eq!((readonly, propagation, idmap), (Readonly::Tree, Propagation::RSlave, Idmap::Container));
        let wish = parse("data:/d:nocopy", false).unwrap();
        assert!(matches!(wish.kind, MountKind::Volume { nocopy: true, anonymous: false, .. }));
        let mapped = parse("/s:/d:idmap=uids=0-1000-1;gids=0-1000-1", false).unwrap();
        assert!(matches!(mapped.kind, MountKind::Bind { idmap: Idmap::Maps(_), .. }));
    }

    #[test]
    fn malformed_entries_are_refused() {
        for entry in [
            "",
            ":",
            "/a",
            "/a:",
            ":/b",
            "/a:b",
            "/a:/",
            "/a:/..",
            "/a:/b:",
            "/a:/b:ro:x",
            "/a:/b:bogus",
            "/a:/b:ro,rw",
            "/a:/b:shared,slave",
            "/a:/b:nocopy",
            "v:/b:shared",
            "../v:/b",
            "v v:/b",
            ".:/b",
            "/a:/proc",
            "/a:/proc/sys",
            "/a:/b:idmap=x",
            "/a:/b:idmap,idmap",
            "-v:/b",
        ] {
            let fault = parse(entry, false).expect_err(entry);
            assert!(fault.summary.len() < 300, "{fault}");
        }
        assert!(parse("/a:/b:z", false).is_ok());
        assert!(parse("/a:/b:z", true).is_err());
        assert!(parse("/a:/proc/meminfo", false).is_ok());
    }

    #[test]
    fn volumes_from_others() {
        assert_eq!(volumes_from("c"), Ok(("c", false)));
        assert_eq!(volumes_from("c:ro"), Ok(("c", true)));
        assert!(volumes_from(":ro").is_err() && volumes_from("c:x").is_err());
    }
}
