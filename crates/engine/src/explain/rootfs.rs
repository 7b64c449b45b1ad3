//! The root file system: its layers, what was changed, and every mount with its cause.

use std::fs;
use std::path::{Path, PathBuf};

use hull_launch::spec::{MountKind, MountWish};
use hull_wire as wire;

use super::Subject;
use crate::container::View;
use crate::container::record::Base;
use crate::core::Core;
use crate::files;

/// Changes that are named; all are counted.
const NAMED: usize = 100;

pub(super) fn explain(of: &Subject<'_>) -> wire::ExplainedRoot {
    let spec = &of.view.definition.spec;
    // A root file system in memory (`hull/host`) tells no changes.
    let changes = files::changes_of(of.core, of.view).unwrap_or_default();
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", of.pid)).unwrap_or_default();
    let mounts: Vec<Line> = table.lines().filter_map(parse).collect();
    let hidden = |path: &PathBuf| mounts.iter().any(|mount| Path::new(&mount.target) == path);
    let frozen = |path: &PathBuf| {
        mounts.iter().rev().find(|mount| Path::new(&mount.target) == path).is_some_and(Line::read_only)
    };
    let texts = |paths: &[PathBuf], real: &dyn Fn(&PathBuf) -> bool| {
        paths.iter().filter(|path| real(path)).map(|path| path.to_string_lossy().into_owned()).collect()
    };
    wire::ExplainedRoot {
        layers: layers(of.core, of.view),
        changed: i64::try_from(changes.len()).unwrap_or(i64::MAX),
        changes: words(&changes),
        masked: texts(&spec.masked_paths, &hidden),
        read_only: texts(&spec.readonly_paths, &frozen),
        mounts: mounts.into_iter().map(|line| line.explained(of)).collect(),
    }
}

/// The first changes, each after its letter.
pub(super) fn words(changes: &[wire::FilesystemChange]) -> Vec<String> {
    let word = |change: &wire::FilesystemChange| match change.kind {
        0 => format!("C {}", change.path),
        1 => format!("A {}", change.path),
        _ => format!("D {}", change.path),
    };
    changes.iter().take(NAMED).map(word).collect()
}

pub(super) fn layers(core: &Core, view: &View) -> Vec<wire::ExplainedLayer> {
    let definition = &view.definition;
    let Base::Layers(chain) = &definition.base else {
        let step = "this machine's own root file system".to_owned();
        return vec![wire::ExplainedLayer { id: "hull/host".into(), step, ..Default::default() }];
    };
    let image = definition.image.parse().ok().and_then(|id| core.images.get(&id));
    let digests = image.as_ref().map_or_else(Vec::new, |image| image.config.rootfs.diff_ids.clone());
    let steps: Vec<String> = image.map_or_else(Vec::new, |image| {
        image.config.history.iter().filter(|step| !step.empty_layer).map(|step| step.created_by.clone()).collect()
    });
    let layer = |(number, id): (usize, &hull_types::Digest)| {
        let size = core.parts.snapshots.layer(id).ok().flatten().map_or(0, |layer| layer.size);
        wire::ExplainedLayer {
            id: id.to_string(),
            digest: digests.get(number).map(ToString::to_string).unwrap_or_default(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            step: steps.get(number).cloned().unwrap_or_default(),
        }
    };
    chain.iter().enumerate().map(layer).collect()
}

/// A line of mountinfo. Source: proc_pid_mountinfo(5).
#[derive(Debug, Default, PartialEq)]
struct Line {
    root: String,
    target: String,
    flags: String,
    optional: String,
    kind: String,
    source: String,
}

fn parse(line: &str) -> Option<Line> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, target, flags) = (fields.next()?, fields.next()?, fields.next()?);
    let mut rest = after.splitn(3, ' ');
    Some(Line {
        root: unescaped(root),
        target: unescaped(target),
        flags: flags.into(),
        optional: fields.collect::<Vec<_>>().join(" "),
        kind: rest.next()?.into(),
        source: unescaped(rest.next()?),
    })
}

/// The kernel writes space, tab, line end and backslash as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .first_chunk::<3>()
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some([a, b, c]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Line {
    fn read_only(&self) -> bool {
        self.flags.split(',').any(|flag| flag == "ro")
    }

    fn explained(self, of: &Subject<'_>) -> wire::ExplainedMount {
        let propagation = match (self.optional.contains("shared:"), self.optional.contains("master:")) {
            (true, true) => "shared, and a slave of the host's",
            (true, false) => "shared",
            (false, true) => "slave: what the host mounts appears",
            (false, false) => "private",
        };
        wire::ExplainedMount {
            by: cause(of, &self),
            idmapped: self.flags.split(',').any(|flag| flag == "idmapped"),
            propagation: propagation.into(),
            target: self.target,
            kind: self.kind,
            source: self.source,
            root: self.root,
            flags: self.flags,
        }
    }
}

fn cause(of: &Subject<'_>, line: &Line) -> String {
    let spec = &of.view.definition.spec;
    let at = Path::new(&line.target);
    if let Some(wish) = spec.mounts.iter().find(|wish| wish.target == at) {
        return wished(wish);
    }
    if spec.masked_paths.iter().any(|path| path == at) {
        return "masked".into();
    }
    if spec.readonly_paths.iter().any(|path| path == at) {
        return "made read-only".into();
    }
    match line.target.as_str() {
        "/" if spec.readonly_root => "the image's layers, --read-only".into(),
        "/" => "the image's layers, and one for what is written".into(),
        "/etc/hosts" => "the names of its networks, --add-host".into(),
        "/etc/hostname" => "--hostname".into(),
        "/etc/resolv.conf" => "the name service, --dns".into(),
        "/dev/shm" => "--ipc, --shm-size".into(),
        "/dev/console" => "--tty".into(),
        _ if at.starts_with("/sys/fs/cgroup") => "its cgroup".into(),
        _ if ["/proc", "/sys", "/dev"].iter().any(|base| at.starts_with(base)) => "every container has it".into(),
        _ => String::new(),
    }
}

pub(super) fn wished(wish: &MountWish) -> String {
    let to = wish.target.display();
    match &wish.kind {
        MountKind::Bind { source, .. } => format!("-v {}:{to}", source.display()),
        MountKind::Volume { name, anonymous: true, .. } => format!("the image's VOLUME or -v {to}: volume {name}"),
        MountKind::Volume { name, .. } => format!("-v {name}:{to}"),
        MountKind::Image { reference, .. } => format!("--mount type=image,source={reference},target={to}"),
        MountKind::Tmpfs { .. } => format!("--tmpfs {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_taken_apart() {
        let line =
            parse(r"36 35 98:0 /m\040nt1 /mn\134t2 ro,noatime,idmapped master:1 - ext3 /dev/root rw,errors=continue");
        let line = line.unwrap();
        assert_eq!((line.root.as_str(), line.target.as_str()), ("/m nt1", r"/mn\t2"));
        assert_eq!(
            (line.kind.as_str(), line.source.as_str(), line.optional.as_str()),
            ("ext3", "/dev/root", "master:1")
        );
        assert!(line.read_only());
        let bare = parse("1 2 0:5 / /a rw - tmpfs tmpfs rw").unwrap();
        assert_eq!((bare.optional.as_str(), bare.read_only()), ("", false));
        assert_eq!(parse("nonsense"), None);
        assert_eq!(unescaped(r"\04x\"), r"\04x\");
    }
}
