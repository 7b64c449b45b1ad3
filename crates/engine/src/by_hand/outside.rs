//! The first half of a script: what is made outside, before there is a process to put into it; and what is taken away after.

use std::path::{Path, PathBuf};

use hull_launch::plan::{IdRange, Namespaces, Step};

use super::shell::{Lines, clean, end_of, quote};
use super::{Subject, inside, network};
use crate::container::record::Base;
use crate::prepare::by_hand::Thing;

/// The whole script.
pub(super) fn script(of: &Subject<'_>, differences: &[String]) -> String {
    let mut out = Lines::default();
    let tag = format!("bh{}", &of.view.definition.id.as_str()[..8]);
    head(of, differences, &mut out);
    groups(of, &mut out);
    holder(of, &tag, &mut out);
    files(of, &mut out);
    enter(of, &mut out);
    out.0
}

fn head(of: &Subject<'_>, differences: &[String], out: &mut Lines) {
    let definition = &of.view.definition;
    out.run("#!/bin/bash");
    out.run(format!(
        "# {} by hand: what hull does to start it, in ordinary commands and in the same order.",
        definition.name
    ));
    out.run("# Run it as root, on the machine it was made on. When its command ends, it takes away what it made.");
    out.run("#");
    out.run("# What it cannot do, or does in another way:");
    for one in differences {
        out.run(format!("#  - {}", clean(one)));
    }
    out.run("set -euo pipefail");
    out.run("umask 022");
    out.say("A directory for what has to lie somewhere. Everything else belongs to the kernel and goes with the last process.");
    out.run("W=$(realpath \"$(mktemp -d \"${TMPDIR:-/var/tmp}/by-hand.XXXXXX\")\")");
    out.run("R=$W/root");
    out.run("export W R");
    out.run("chmod 711 \"$W\"");
    out.run("mkdir \"$W/bag\" \"$R\"");
    out.say("A bag of this machine's tools with the libraries that they need, for the time when its files are out of reach.");
    out.run("tools=$(type -P umount prlimit setpriv sh env)");
    out.run("cp -L $(ldd $tools | grep -o '/[^ :]*' | sort -u) \"$W/bag\"");
}

/// The cgroup, and the taking away of everything.
fn groups(of: &Subject<'_>, out: &mut Lines) {
    let name = format!("by-hand-{}", &of.view.definition.id.as_str()[..12]);
    let places: Vec<String> = of
        .told
        .groups
        .iter()
        .map(|group| {
            let above = group.directory.parent().and_then(Path::parent).unwrap_or(Path::new("/sys/fs/cgroup"));
            quote(&above.join(&name).to_string_lossy())
        })
        .collect();
    out.say(
        "The cgroup: what it may use. It is a directory that the kernel fills with files; a limit is a number in one of them. \
         On cgroup v1 there is a directory for each kind of resource, on v2 there is one.",
    );
    out.run(format!("groups=({})", places.join(" ")));
    out.run("holder=");
    let tag = format!("bh{}", &of.view.definition.id.as_str()[..8]);
    out.run(leave(&tag, &network::bridges(&tag, &of.places)));
    out.run("mkdir \"${groups[@]}\"");
    for (group, place) in of.told.groups.iter().zip(&places) {
        if group.inherits_cpus {
            out.run(format!("for file in cpuset.cpus cpuset.mems; do cat {place}/../$file > {place}/$file; done"));
        }
        for (file, value) in &group.writes {
            out.run(format!("echo {} > {place}/{}", quote(value), quote(file)));
        }
    }
}

fn leave(tag: &str, bridges: &[(&network::Place, String)]) -> String {
    let mut lines = vec![
        "leave() {".to_owned(),
        "    set +e".to_owned(),
        "    for group in \"${groups[@]}\"; do".to_owned(),
        "        [ ! -e \"$group/cgroup.procs\" ] || xargs -r kill -9 < \"$group/cgroup.procs\"".to_owned(),
        "    done".to_owned(),
        "    [ -z \"$holder\" ] || kill -9 \"$holder\"".to_owned(),
        "    wait".to_owned(),
        "    for group in \"${groups[@]}\"; do".to_owned(),
        "        while [ -d \"$group\" ] && ! rmdir \"$group\"; do sleep 0.1; done".to_owned(),
        "    done".to_owned(),
    ];
    if !bridges.is_empty() {
        lines.push(format!("    nft delete table inet {tag}"));
        lines.extend(bridges.iter().map(|(_, bridge)| format!("    ip link delete {bridge}")));
    }
    lines.extend(["    rm -rf --one-file-system \"$W\"".to_owned(), "} 2> /dev/null".to_owned()]);
    lines.extend(["trap leave EXIT".to_owned(), "trap 'exit 143' TERM INT HUP".to_owned()]);
    lines.join("\n")
}

/// The process that holds the namespaces which are made ahead, and the network in them.
fn holder(of: &Subject<'_>, tag: &str, out: &mut Lines) {
    if !of.told.things.contains(&Thing::Holder) {
        return;
    }
    let user = of.told.maps.is_some();
    let net = matches!(of.view.definition.spec.namespaces.net, hull_launch::spec::NamespaceWish::New);
    let kinds = [(user, "user"), (net, "net")].into_iter().filter(|(made, _)| *made).map(|(_, kind)| kind);
    let kinds: Vec<&str> = kinds.collect();
    out.say(
        "A namespace lives as long as somebody is in it. The network is made before the container's process, so a process that \
         only sleeps holds the namespace until then.",
    );
    let options: Vec<String> = kinds.iter().map(|kind| format!("--{kind}")).collect();
    out.run(format!("unshare {} sleep infinity &", options.join(" ")));
    out.run("holder=$!");
    let last = kinds.last().copied().unwrap_or("net");
    out.run(format!(
        "until [ \"$(readlink /proc/$holder/ns/{last})\" != \"$(readlink /proc/self/ns/{last})\" ]; do sleep 0.01; done"
    ));
    if let Some(maps) = &of.told.maps {
        out.say("Users inside and outside: first id inside, first id outside, how many.");
        for (file, ranges) in [("uid_map", &maps.uids), ("gid_map", &maps.gids)] {
            let line = |range: &IdRange| format!("{} {} {}\\n", range.inside, range.outside, range.length);
            out.run(format!("printf '{}' > /proc/$holder/{file}", ranges.iter().map(line).collect::<String>()));
        }
    }
    if net {
        out.run("within() { nsenter --net=/proc/$holder/ns/net \"$@\"; }");
        out.run("within ip link set lo up");
    }
    if !of.places.is_empty() {
        out.run(network::lines(tag, &of.places, &of.given.ports).trim_end());
    }
}

/// The files: layers by short names, and what hull writes into `/etc`.
fn files(of: &Subject<'_>, out: &mut Lines) {
    let definition = &of.view.definition;
    out.say(
        "The layers of the image, lowest first, under short names: they are listed in one option of a mount. What the \
         container writes goes into a directory of its own.",
    );
    out.run("mkdir \"$W/layers\" \"$W/upper\" \"$W/work\"");
    if let Base::Layers(chain) = &definition.base {
        for (number, layer) in chain.iter().enumerate() {
            let path = of.core.parts.snapshots.layer_path(layer);
            out.run(format!("ln -s {} \"$W/layers/{number}\"", quote(&path.to_string_lossy())));
        }
        if let Some(top) = chain.last() {
            let path = of.core.parts.snapshots.layer_path(top);
            out.run(format!("chmod --reference={} \"$W/upper\"", quote(&path.to_string_lossy())));
        }
    }
    if of.told.maps.is_some() {
        shifted(of, out);
    }
    out.say("Names and addresses, for the files in /etc.");
    for (name, text) in &of.texts {
        let lines: Vec<String> = text.lines().map(|line| quote(&moved(of, line))).collect();
        out.run(format!("printf '%s\\n' {} > \"$W/{name}\"", lines.join(" ")));
    }
    images(of, out);
}

/// Images that are mounted: one layer as it lies there, several become one in a mount. A user namespace could not read all of
/// that, so there they are copied.
fn images(of: &Subject<'_>, out: &mut Lines) {
    for (number, thing) in of.told.things.iter().enumerate() {
        let Thing::Layers(chain, below) = thing else { continue };
        let paths = chain.iter().map(|layer| of.core.parts.snapshots.layer_path(layer));
        let paths: Vec<PathBuf> = paths.collect();
        if let [only] = &paths[..] {
            out.run(format!("ln -s {} \"$W/image-{number}\"", quote(&only.join(below).to_string_lossy())));
            continue;
        }
        out.say("An image that is mounted, of several layers.");
        for (layer, path) in paths.iter().enumerate() {
            out.run(format!("ln -s {} \"$W/layers/{number}-{layer}\"", quote(&path.to_string_lossy())));
        }
        out.run(format!("mkdir \"$W/image-{number}\""));
        if of.told.maps.is_some() {
            out.run(format!(
                "(cd \"$W\" && unshare --mount sh -c '{} && cp -a image-{number} copy-{number}')",
                whole(number, chain.len())
            ));
            out.run(format!("rmdir \"$W/image-{number}\""));
            out.run(format!("ln -s \"$W/copy-{number}\"{} \"$W/image-{number}\"", under(below)));
        }
    }
}

/// What follows a directory in a word of the shell, for a path beneath it.
pub(super) fn under(below: &Path) -> String {
    match below.to_string_lossy().trim_start_matches('/') {
        "" => String::new(),
        below => format!("/{}", quote(below)),
    }
}

/// The mount of an image's layers, said in `$W`.
pub(super) fn whole(number: usize, layers: usize) -> String {
    let lower: Vec<String> = (0..layers).rev().map(|layer| format!("layers/{number}-{layer}")).collect();
    format!("mount -t overlay -o lowerdir={} overlay image-{number}", lower.join(":"))
}

/// A line of a file that hull writes, with the address that stands in for the container's own.
fn moved(of: &Subject<'_>, line: &str) -> String {
    let Some((address, names)) = line.split_once('\t') else { return line.to_owned() };
    let Ok(address) = address.parse() else { return line.to_owned() };
    let own = of.places.iter().find(|place| place.endpoint.addresses.iter().any(|net| net.address == address));
    own.map_or_else(|| line.to_owned(), |place| format!("{}\t{names}", place.moved(address).address))
}

/// In a user namespace root is somebody else outside: a copy of the files whose owners are moved as far.
fn shifted(of: &Subject<'_>, out: &mut Lines) {
    let (Some(maps), Base::Layers(_)) = (&of.told.maps, &of.view.definition.base) else { return };
    let first = |ranges: &[IdRange]| ranges.iter().find(|range| range.inside == 0).map_or(0, |range| range.outside);
    let (uid, gid) = (first(&maps.uids), first(&maps.gids));
    out.say("Root inside is somebody else outside, so the files' owners are moved as far as the ids are.");
    out.run(format!("unshare --mount sh -c 'cd \"$W\" && {} && cp -a root copy'", overlay(of, "root")));
    out.run("rmdir \"$R\"");
    out.run("mv \"$W/copy\" \"$R\"");
    out.run("find \"$R\" -printf '%U %G\\n' | sort -u | while read -r uid gid; do");
    out.run(format!("    find \"$R\" -uid $uid -gid $gid -exec chown -h $((uid + {uid})):$((gid + {gid})) {{}} +"));
    out.run("done");
}

/// The mount of the layers, said in `$W`.
fn overlay(of: &Subject<'_>, at: &str) -> String {
    let count = of.view.definition.base_layers();
    let lower: Vec<String> = (0..count).rev().map(|number| format!("layers/{number}")).collect();
    format!(
        "mount -t overlay -o lowerdir={},upperdir=upper,workdir=work,index=off,metacopy=off,redirect_dir=nofollow overlay {at}",
        lower.join(":")
    )
}

/// Into the cgroup and the namespaces; then the inside.
fn enter(of: &Subject<'_>, out: &mut Lines) {
    let plan = &of.told.plan;
    let mut joined = Vec::new();
    let mut made = plan.clone.new;
    let mut options = Vec::new();
    let thing = |slot: &hull_launch::plan::Slot| match of.told.things.get(usize::from(slot.0)) {
        Some(Thing::Process(pid)) => pid.to_string(),
        _ => "$holder".to_owned(),
    };
    if let Some(slot) = &plan.clone.join_pid {
        joined.push(format!("--pid=/proc/{}/ns/pid", thing(slot)));
    }
    let body = inner(of);
    let end = end_of(&body);
    out.say(
        "What the container's first process does before it becomes the command; it begins at the end of this script.",
    );
    out.run(format!("cat > \"$W/inside\" <<'{end}'"));
    out.run(body.trim_end());
    out.run(end);
    out.say(
        "Into the cgroup first, so that everything that follows counts there. Then into the namespaces: those that exist are \
         entered, the others are made new. What runs from here on is the container's first process.",
    );
    out.run("(");
    out.run("    for group in \"${groups[@]}\"; do echo $BASHPID > \"$group/cgroup.procs\"; done");
    for step in plan.steps.iter().take_while(|step| !matches!(step, Step::AttachRoot { .. })) {
        match step {
            Step::OomScoreAdj { value, .. } => out.run(format!("    echo {value} > /proc/self/oom_score_adj")),
            Step::Enter { fd, namespaces } => {
                joined.extend(names(*namespaces).map(|name| format!("--{name}=/proc/{}/ns/{}", thing(fd), file(name))));
                if namespaces.contains(Namespaces::USER) {
                    joined.push("--setuid=0 --setgid=0".to_owned());
                }
            }
            Step::Unshare { namespaces } => made = made.and(*namespaces),
            Step::Rebirth { new } => made = made.and(*new),
            Step::TimeOffsets { monotonic, boottime } => {
                let seconds = |nanoseconds: i64| nanoseconds / 1_000_000_000;
                options.push(format!("--monotonic={} --boottime={}", seconds(*monotonic), seconds(*boottime)));
            }
            _ => {}
        }
    }
    let mut unshare: Vec<String> = names(made).map(|name| format!("--{name}")).collect();
    unshare.extend(options);
    // A time namespace begins with the next child, as one of process ids does.
    if plan.clone.join_pid.is_none() || made.contains(Namespaces::TIME) {
        unshare.push("--fork --kill-child".to_owned());
    }
    let enter = if joined.is_empty() { String::new() } else { format!("nsenter {} \\\n        ", joined.join(" ")) };
    let stdin = if of.view.definition.spec.process.stdin { "" } else { " < /dev/null" };
    out.run(format!("    exec {enter}unshare {} \\\n        setsid bash \"$W/inside\"{stdin}", unshare.join(" ")));
    out.run(") <&0 &");
    out.run("wait $!");
}

fn inner(of: &Subject<'_>) -> String {
    let mut out = Lines::default();
    out.run("set -euo pipefail");
    out.run("umask 022");
    out.run(inside::first(&of.told).trim_end());
    root(of, &mut out);
    out.run(inside::lines(&of.told).trim_end());
    out.0
}

fn root(of: &Subject<'_>, out: &mut Lines) {
    out.say(
        "The root file system. These mounts are made in a mount namespace of the container's own: nobody outside sees them.",
    );
    match &of.view.definition.base {
        Base::Layers(_) if of.told.maps.is_some() => out.run("mount --bind \"$R\" \"$R\""),
        Base::Layers(_) => {
            out.run("cd \"$W\"");
            out.run(overlay(of, "\"$R\""));
        }
        Base::Host => {
            out.run("mount -t tmpfs -o mode=755 tmpfs \"$W/upper\"");
            out.run("mkdir \"$W/upper/upper\" \"$W/upper/work\"");
            out.run(
                "mount -t overlay -o lowerdir=/,upperdir=\"$W/upper/upper\",workdir=\"$W/upper/work\" overlay \"$R\"",
            );
            out.run("for hidden in root home run tmp var/lib/hull; do");
            out.run("    [ ! -d \"$R/$hidden\" ] || mount -t tmpfs -o mode=755 tmpfs \"$R/$hidden\"");
            out.run("done");
        }
    }
}

/// `unshare`'s and `nsenter`'s words.
fn names(set: Namespaces) -> impl Iterator<Item = &'static str> {
    const NAMES: [(Namespaces, &str); 8] = [
        (Namespaces::MOUNT, "mount"),
        (Namespaces::PID, "pid"),
        (Namespaces::NETWORK, "net"),
        (Namespaces::UTS, "uts"),
        (Namespaces::IPC, "ipc"),
        (Namespaces::CGROUP, "cgroup"),
        (Namespaces::TIME, "time"),
        (Namespaces::USER, "user"),
    ];
    NAMES.into_iter().filter(move |(one, _)| set.contains(*one)).map(|(_, name)| name)
}

/// The name in `/proc/PID/ns`.
fn file(name: &str) -> &str {
    if name == "mount" { "mnt" } else { name }
}
