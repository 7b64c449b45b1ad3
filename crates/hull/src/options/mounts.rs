//! `--mount`, `-v` and `--tmpfs`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use hull_types::{ByteSize, Fault};
use hull_wire::{BindOptions, DriverConfig, Empty, ImageOptions, Mount, TmpfsOptions, VolumeOptions};

use super::malformed;

/// One `--mount`: comma-separated `key=value` pairs, as docker reads them.
pub(crate) fn mount(text: &str) -> Result<Mount, Fault> {
    let wrong = |why: String| malformed("mount", text, why);
    let mut mount = Mount { kind: "volume".to_owned(), ..Mount::default() };
    for field in csv(text).map_err(|why| wrong(why.to_owned()))? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        apply(&mut mount, &key.to_lowercase(), value).map_err(wrong)?;
    }
    finish(mount).map_err(wrong)
}

fn apply(mount: &mut Mount, key: &str, value: Option<&str>) -> Result<(), String> {
    let flag = || boolean(key, value);
    match key {
        "readonly" | "ro" => return flag().map(|on| mount.read_only = on),
        "volume-nocopy" => return flag().map(|on| volume(mount).no_copy = on),
        "bind-nonrecursive" => return flag().map(|on| bind(mount).non_recursive = on),
        "bind-create-src" => return flag().map(|on| bind(mount).create_mountpoint = on),
        _ => {}
    }
    let Some(value) = value else {
        return Err(format!("field `{key}` must be a key=value pair"));
    };
    let text = value.to_owned();
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = local_path(value),
        "target" | "dst" | "destination" => mount.target = text,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_lowercase(),
        "bind-recursive" => recursion(bind(mount), value)?,
        "volume-subpath" => volume(mount).subpath = text,
        "volume-label" => pair(&mut volume(mount).labels, value),
        "volume-driver" => driver(mount).name = text,
        "volume-opt" => pair(&mut driver(mount).options, value),
        "image-subpath" => mount.image_options.get_or_insert_with(ImageOptions::default).subpath = text,
        "tmpfs-size" => tmpfs(mount).size_bytes = value.parse::<ByteSize>().map_err(|e| e.to_string())?.bytes(),
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).map_err(|_| format!("`{value}` is no octal mode"))?;
            tmpfs(mount).mode = mode;
        }
        _ => return Err(format!("unexpected key `{key}`")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(VolumeOptions::default)
}

fn driver(mount: &mut Mount) -> &mut DriverConfig {
    volume(mount).driver_config.get_or_insert_with(DriverConfig::default)
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default)
}

fn pair(map: &mut BTreeMap<String, String>, value: &str) {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    map.insert(key.to_owned(), value.to_owned());
}

fn recursion(bind: &mut BindOptions, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind.non_recursive = true,
        "writable" => bind.read_only_non_recursive = true,
        "readonly" => bind.read_only_force_recursive = true,
        _ => return Err("`bind-recursive` is enabled, disabled, writable or readonly".to_owned()),
    }
    Ok(())
}

fn boolean(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("`{other}` is no boolean for `{key}`")),
    }
}

fn finish(mount: Mount) -> Result<Mount, String> {
    if mount.target.is_empty() {
        return Err("`target` is required".to_owned());
    }
    let kinds = [
        ("bind", mount.bind_options.is_some()),
        ("volume", mount.volume_options.is_some()),
        ("image", mount.image_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
    ];
    if let Some((kind, _)) = kinds.iter().find(|(kind, used)| *used && mount.kind != *kind) {
        return Err(format!("`{kind}` options do not fit a mount of type `{}`", mount.kind));
    }
    if let Some(bind) = &mount.bind_options {
        if (bind.read_only_non_recursive || bind.read_only_force_recursive) && !mount.read_only {
            return Err("`bind-recursive=writable` and `readonly` need `readonly`".to_owned());
        }
        if bind.read_only_force_recursive && bind.propagation != "rprivate" {
            return Err("`bind-recursive=readonly` needs `bind-propagation=rprivate`".to_owned());
        }
    }
    Ok(mount)
}

/// Fields parted by commas; one that begins with `"` runs to the closing quote (RFC 4180).
fn csv(text: &str) -> Result<Vec<String>, &'static str> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut tail = quoted;
            loop {
                let (part, after) = tail.split_once('"').ok_or("a quote is not closed")?;
                field.push_str(part);
                match after.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        tail = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            out.push(field);
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            out.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(out),
            None => return Err("text follows a closing quote"),
        }
    }
}

/// What `-v` asks for: binds (and named volumes) as text, anonymous volumes by target.
pub(crate) fn volumes(flags: &[String]) -> Result<(Vec<String>, BTreeMap<String, Empty>), Fault> {
    let (mut binds, mut anonymous) = (Vec::new(), BTreeMap::new());
    for flag in flags {
        let parts: Vec<&str> = flag.split(':').collect();
        match parts.as_slice() {
            [""] | ["", ..] => return Err(malformed("volume", flag, "empty section between colons")),
            [target] => {
                anonymous.insert((*target).to_owned(), Empty {});
            }
            [_, "", ..] => return Err(malformed("volume", flag, "empty section between colons")),
            [source, rest @ ..] if rest.len() <= 2 => {
                binds.push(format!("{}:{}", local_path(source), rest.join(":")));
            }
            _ => return Err(malformed("volume", flag, "too many colons")),
        }
    }
    Ok((binds, anonymous))
}

/// `./x`, `../x` and `~/x` as absolute paths of this machine; volume names stay as they are.
fn local_path(source: &str) -> String {
    let base = match source.split('/').next() {
        Some("." | "..") => std::env::current_dir().ok().map(|dir| dir.join(source)),
        Some("~") => std::env::home_dir().map(|home| home.join(source[1..].trim_start_matches('/'))),
        _ => None,
    };
    base.map_or_else(|| source.to_owned(), |path| cleaned(&path).display().to_string())
}

/// The path without `.` and `..`, by its text alone.
fn cleaned(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// `--tmpfs /run:size=64m` as target and options.
pub(crate) fn tmpfs_map(flags: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let mut out = BTreeMap::new();
    for flag in flags {
        let (target, options) = flag.split_once(':').unwrap_or((flag, ""));
        if !target.starts_with('/') {
            return Err(malformed("tmpfs", flag, "the target must be an absolute path"));
        }
        out.insert(target.to_owned(), options.to_owned());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_as_docker_does() {
        let got = mount("type=bind,src=/a,dst=/b,ro,bind-propagation=rprivate,bind-recursive=readonly").unwrap();
        assert_eq!((got.kind.as_str(), got.source.as_str(), got.target.as_str()), ("bind", "/a", "/b"));
        assert!(got.read_only && got.bind_options.unwrap().read_only_force_recursive);
        let got = mount("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770").unwrap().tmpfs_options.unwrap();
        assert_eq!((got.size_bytes, got.mode), (64 << 20, 0o1770));
        let got = mount("source=data,target=/d,volume-nocopy,readonly=false").unwrap();
        assert!(got.kind == "volume" && !got.read_only && got.volume_options.unwrap().no_copy);
        let got = mount("type=bind,\"source=/a,b\",\"target=/c\"\"d\"").unwrap();
        assert_eq!((got.source.as_str(), got.target.as_str()), ("/a,b", "/c\"d"));
    }

    #[test]
    fn a_malformed_mount_says_what_is_wrong() {
        let table = [
            ("type=bind,source=/a", "`target` is required"),
            ("type=bind,source", "must be a key=value pair"),
            ("target=/a,frob=1", "unexpected key `frob`"),
            ("target=/a,readonly=maybe", "no boolean"),
            ("type=tmpfs,target=/a,tmpfs-mode=9", "octal"),
            ("type=tmpfs,target=/a,tmpfs-size=lots", "invalid size"),
            ("type=bind,target=/a,volume-nocopy", "do not fit"),
            ("type=bind,source=/a,target=/b,bind-recursive=writable", "need `readonly`"),
            ("\"target=/a", "quote is not closed"),
        ];
        for (text, want) in table {
            let fault = mount(text).expect_err(text);
            assert!(fault.summary.contains(want), "{text}: {fault}");
        }
    }

    #[test]
    fn volumes_are_binds_names_or_anonymous() {
        let here = std::env::current_dir().unwrap();
        let flags = ["/a:/b:ro", "data:/d", "/anon", "./x/../y:/z"].map(str::to_owned);
        let (binds, anonymous) = volumes(&flags).unwrap();
        assert_eq!(binds, ["/a:/b:ro", "data:/d", &format!("{}/y:/z", here.display())]);
        assert!(anonymous.contains_key("/anon"));
        for wrong in ["", ":/b", "/a:", "/a:/b:ro:x"] {
            assert!(volumes(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(tmpfs_map(&["run".to_owned()]).is_err());
    }
}
