//! The second half of a script: what PID 1 does before it becomes the command. Each step of the launch plan in its lines.

use std::path::Path;

use hull_confine::caps::CapSet;
use hull_confine::rlimits::Rlimit;
use hull_launch::plan::{Attrs, LaunchPlan, Node, Slot, Step, Target};

use super::outside::{under, whole};
use super::shell::{Lines, beneath, quote};
use crate::prepare::by_hand::{Thing, Told};

/// Small helpers that the steps use.
const HELPERS: &str = r#"
# A place for a mount. A link of the image must not lead the mount out of the root: here such a way is refused; hull
# has the kernel resolve every path beneath the root.
place() {
    local path=$R$2
    [ "$(realpath -m "$path")" = "$path" ] || { echo "$2 leads through a link of the image" >&2; exit 1; }
    case $1 in
        dir) mkdir -p "$path" ;;
        file) [ -e "$path" ] || { mkdir -p "${path%/*}"; : > "$path"; } ;;
    esac
}
# Flags belong to a mount, not to its files: the same files can be read-only here and writable there.
also() { mount -o "remount,bind,$(findmnt -nro VFS-OPTIONS -M "$1" | tail -n 1),$2" "$1"; }
# Read-only, with all that is in it: mounted over itself, with that flag.
freeze() { [ ! -e "$R$1" ] || { mount --rbind "$R$1" "$R$1"; also "$R$1" ro; }; }
# Covered: a directory by an empty one, a file by the null device.
mask() {
    if [ -d "$R$1" ]; then
        mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4k,nr_inodes=1,mode=755 tmpfs "$R$1"
    elif [ -e "$R$1" ]; then
        mount --bind "$null" "$R$1"
        also "$R$1" ro,nosuid,noexec
    fi
}
"#;

/// The steps after the process has entered its namespaces.
pub(super) fn lines(told: &Told) -> String {
    let mut out = Lines::default();
    let mut end = End::default();
    let mut headings = Headings::default();
    for step in own(&told.plan) {
        headings.before(step, told, &mut out);
        if !mounts(step, told, &mut out) {
            end.take(step);
        }
    }
    out.say(
        "The root is complete. pivot_root makes it the root of everyone in this mount namespace and puts the old one on top of \
         it, whence it is taken off: the host's files are out of reach. The image may have none of the tools for what is \
         left, so the shell stands in the bag of them that was packed; the last command steps out of it.",
    );
    out.run("exec 7<\"$W/bag\"");
    out.run("cd \"$R\"");
    out.run("pivot_root . .");
    out.run("cd /proc/self/fd/7");
    out.run("bag=(/proc/self/cwd/ld* --library-path /proc/self/cwd)");
    out.run("\"${bag[@]}\" /proc/self/cwd/umount -l /");
    out.run("export -n W R");
    end.write(&told.plan, &mut out);
    out.0
}

/// The helpers, and the steps in the new namespaces before the first mount.
pub(super) fn first(told: &Told) -> String {
    let mut out = Lines(HELPERS.to_owned());
    for step in &told.plan.steps {
        match step {
            Step::Hostname(name) => {
                out.say("The host name and settings of the kernel, of these namespaces alone.");
                out.run(format!("hostname {}", quote(name)));
            }
            Step::Domainname(name) => out.run(format!("domainname {}", quote(name))),
            Step::Sysctl { key, value } => {
                let path = format!("/proc/sys/{}", key.replace('.', "/"));
                out.run(format!("echo {} > {}", quote(value), quote(&path)));
            }
            Step::AttachRoot { .. } => break,
            _ => {}
        }
    }
    out.0
}

/// From the root on.
fn own(plan: &LaunchPlan) -> impl Iterator<Item = &Step> {
    plan.steps.iter().skip_while(|step| !matches!(step, Step::AttachRoot { .. })).skip(1)
}

/// What part of the way is begun.
#[derive(Default)]
struct Headings(Vec<&'static str>);

impl Headings {
    fn before(&mut self, step: &Step, told: &Told, out: &mut Lines) {
        let text = match step {
            Step::NewMount { fstype, .. } if fstype == "proc" => {
                "The kernel's own file systems. /proc shows the processes of this PID namespace; /dev is a small tmpfs with a \
                 handful of devices; /sys is read-only."
            }
            Step::Attach { target, .. } if target.path.starts_with("/etc") => {
                "Files that hull writes for the container, and what was asked for: volumes, bind mounts, tmpfs. What lies higher \
                 comes first, so that nothing covers another."
            }
            Step::ReadonlyPath(_) | Step::MaskedPath(_) => {
                "Parts of /proc and /sys concern the whole machine. Some can be read only, some are covered."
            }
            _ => return,
        };
        if !self.0.contains(&text) {
            self.0.push(text);
            out.say(text);
            if matches!(step, Step::ReadonlyPath(_) | Step::MaskedPath(_)) {
                null_device(told, out);
            }
        }
    }
}

/// What files are covered with: never the image's, which could be a link to something else (CVE-2025-31133).
fn null_device(told: &Told, out: &mut Lines) {
    if told.maps.is_some() {
        return out.run("null=/dev/null");
    }
    out.run("null=$W/null/null    # not the image's own /dev/null, which could be something else (CVE-2025-31133)");
    out.run("mkdir \"$W/null\"");
    out.run("mount -t tmpfs -o size=64k,mode=755 tmpfs \"$W/null\"");
    out.run("mknod -m 666 \"$null\" c 1 3");
}

/// A step that has to do with files. False if it has not.
fn mounts(step: &Step, told: &Told, out: &mut Lines) -> bool {
    match step {
        Step::Attach { mount, target, attrs, then } => attach(told, *mount, target, (attrs, then), out),
        Step::NewMount { fstype, options, attrs, target } => {
            let at = place(target, out);
            out.run(format!("mount -t {fstype}{} {fstype} {at}", with(&options_of(attrs, options))));
            seal(attrs, &at, out);
        }
        Step::TmpfsCopyUp { options, attrs, target } => {
            let at = place(target, out);
            out.run("mkdir -p \"$W/new\"");
            out.run(format!("mount -t tmpfs{} tmpfs \"$W/new\"", with(&options_of(attrs, options))));
            out.run(format!("cp -a {at}/. \"$W/new\""));
            out.run(format!("mount --move \"$W/new\" {at}"));
            seal(attrs, &at, out);
        }
        Step::Device { path, kind, major, minor, mode, uid, gid } => {
            let letter = if kind & 0o170_000 == 0o060_000 { 'b' } else { 'c' };
            let at = beneath(&path.to_string_lossy());
            if path.parent() != Some(Path::new("/dev")) {
                let parent = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
                out.run(format!("place dir {}", quote(&parent)));
            }
            out.run(format!("mknod -m {mode:o} {at} {letter} {major} {minor}"));
            if (*uid, *gid) != (0, 0) {
                out.run(format!("chown {uid}:{gid} {at}"));
            }
        }
        Step::Symlink { path, to } => {
            out.run(format!("ln -s {} {}", quote(&to.to_string_lossy()), beneath(&path.to_string_lossy())));
        }
        Step::ReadonlyPath(path) => out.run(format!("freeze {}", quote(&path.to_string_lossy()))),
        Step::MaskedPath(path) => out.run(format!("mask {}", quote(&path.to_string_lossy()))),
        Step::Remount { path, attrs } => {
            if path == Path::new("/") {
                out.say("--read-only: the last thing that is done to the root.");
            }
            changed(attrs, &beneath(&path.to_string_lossy()), out);
        }
        Step::Workdir { path, create: true } if path != Path::new("/") => {
            let path = path.to_string_lossy();
            out.run(format!("[ -d {} ] || place dir {}", beneath(&path), quote(&path)));
            return false;
        }
        _ => return false,
    }
    true
}

fn attach(told: &Told, mount: Slot, target: &Target, (attrs, then): (&Attrs, &[Attrs]), out: &mut Lines) {
    let at = match told.things.get(usize::from(mount.0)) {
        Some(Thing::Path(path, recursive)) => {
            let at = place(target, out);
            let option = if *recursive { "--rbind" } else { "--bind" };
            if !path.exists() {
                out.run(format!("mkdir -p {}", quote(&path.to_string_lossy())));
            }
            out.run(format!("mount {option} {} {at}", quote(&path.to_string_lossy())));
            at
        }
        Some(Thing::Written(name)) => {
            let at = place(target, out);
            out.run(format!("mount --bind \"$W/{name}\" {at}"));
            at
        }
        Some(Thing::Layers(layers, below)) => {
            let at = place(target, out);
            let several = layers.len() > 1 && told.maps.is_none();
            if several {
                out.run(format!("(cd \"$W\" && {})", whole(usize::from(mount.0), layers.len())));
            }
            let below = if several { under(below) } else { String::new() };
            out.run(format!("mount --bind \"$W/image-{}\"{below} {at}", mount.0));
            at
        }
        _ => return,
    };
    // A bind mount tells its origin of mounts unless it is made private.
    let private = Attrs { propagation: 1 << 18, ..Attrs::default() };
    let spread = if attrs.propagation == 0 { private } else { *attrs };
    propagate(&spread, &at, out);
    changed(attrs, &at, out);
    then.iter().for_each(|attrs| changed(attrs, &at, out));
}

/// Makes the mount point; what it is called in the script.
fn place(target: &Target, out: &mut Lines) -> String {
    let path = target.path.to_string_lossy();
    match target.create {
        Some(Node::Dir) => out.run(format!("place dir {}", quote(&path))),
        Some(Node::File) => out.run(format!("place file {}", quote(&path))),
        None => {}
    }
    beneath(&path)
}

const FLAGS: [(u64, &str); 7] = [
    (0x1, "ro"),
    (0x2, "nosuid"),
    (0x4, "nodev"),
    (0x8, "noexec"),
    (0x10, "noatime"),
    (0x20, "strictatime"),
    (0x80, "nodiratime"),
];

fn flags(bits: u64) -> Vec<String> {
    FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}

/// Flags and options of a new file system. Read-only it becomes later: said here, it would be so for every mount of it.
fn options_of(attrs: &Attrs, options: &[(String, Option<String>)]) -> Vec<String> {
    let own = options.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    });
    flags(attrs.set & !1).into_iter().chain(own).collect()
}

fn with(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" -o {}", quote(&options.join(","))) }
}

fn seal(attrs: &Attrs, at: &str, out: &mut Lines) {
    if attrs.set & 1 != 0 {
        out.run(format!("also {at} ro"));
    }
}

fn changed(attrs: &Attrs, at: &str, out: &mut Lines) {
    let names = flags(attrs.set).join(",");
    if names.is_empty() {
        return;
    }
    if attrs.recursive {
        out.run(format!(
            "findmnt -nro TARGET -R {at} | while read -r one; do also \"$(printf %b \"$one\")\" {names}; done"
        ));
    } else {
        out.run(format!("also {at} {names}"));
    }
}

fn propagate(attrs: &Attrs, at: &str, out: &mut Lines) {
    let r = if attrs.recursive { "r" } else { "" };
    let kind = match attrs.propagation {
        bits if bits & (1 << 20) != 0 => "shared",
        bits if bits & (1 << 19) != 0 => "slave",
        _ => "private",
    };
    out.run(format!("mount --make-{r}{kind} {at}"));
}

/// What the last command is prefixed with.
#[derive(Default)]
struct End {
    before: Vec<String>,
    setpriv: Vec<String>,
    /// What is written for the next program to bear, in the kernel's words.
    label: Option<String>,
    cwd: String,
}

fn limit(resource: u32, (soft, hard): (u64, u64), required: bool) -> String {
    let name = Rlimit { resource, soft, hard }.name();
    let number = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    let or = if required { "" } else { " || true" };
    format!("\"${{bag[@]}}\" /proc/self/cwd/prlimit --pid $$ --{name}={}:{}{or}", number(soft), number(hard))
}

impl End {
    /// A step that has to do with the process. Those that a script cannot do are told among the differences.
    fn take(&mut self, step: &Step) {
        match step {
            Step::Rlimit { resource, soft, hard, required } => {
                self.before.push(limit(*resource, (*soft, *hard), *required));
            }
            Step::Umask(mask) => self.before.push(format!("umask {mask:04o}")),
            Step::Workdir { path, .. } => self.cwd = path.to_string_lossy().into_owned(),
            Step::Identity { uid, gid, groups } => {
                self.setpriv.push(format!("--reuid={uid} --regid={gid}"));
                let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
                self.setpriv.push(match &groups[..] {
                    [] => "--clear-groups".to_owned(),
                    groups => format!("--groups={}", groups.join(",")),
                });
            }
            Step::Capabilities { bounding, .. } => {
                let name = |name: &str| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase());
                let kept: String = CapSet(*bounding).names().map(name).collect();
                self.setpriv.push("--inh-caps=-all --ambient-caps=-all".to_owned());
                self.setpriv.push(format!("--bounding-set=-all{kept}"));
            }
            Step::NoNewPrivileges => self.setpriv.push("--no-new-privs".to_owned()),
            Step::LsmLabel { apparmor, label } => {
                self.label = Some(if *apparmor { format!("exec {label}") } else { label.clone() });
            }
            _ => {}
        }
    }

    fn write(&self, plan: &LaunchPlan, out: &mut Lines) {
        out.say("Resource limits of the process, and the bits that files it makes will lack.");
        self.before.iter().for_each(|line| out.run(line));
        out.say("No descriptor goes along that the command was not meant to have: one of a directory of the host would be a door.");
        out.run("for fd in /proc/$$/fd/*; do");
        out.run("    case ${fd##*/} in 0|1|2|255) ;; *) eval \"exec ${fd##*/}>&-\" ;; esac");
        out.run("done");
        out.say(
            "Its user, its groups, and the few capabilities of root that it keeps (the bounding set is what it can ever have). \
             From here on nothing can be taken back. Then the environment, the working directory, the command. The process \
             has been PID 1 all the time: exec changes the program, not the process.",
        );
        out.run("exec \"${bag[@]}\" /proc/self/cwd/setpriv \\");
        self.setpriv.iter().for_each(|option| out.run(format!("    {option} \\")));
        if let Some(label) = &self.label {
            // setpriv has options for it, and refuses them where /sys does not show the module.
            let script = "printf %s \"$0\" > /proc/self/attr/exec && exec \"$@\"";
            out.run(format!("    \"${{bag[@]}}\" /proc/self/cwd/sh -c {} {} \\", quote(script), quote(label)));
        }
        out.run("    \"${bag[@]}\" /proc/self/cwd/env --ignore-environment \\");
        out.run(format!("    --chdir={} \\", quote(&self.cwd)));
        for one in &plan.exec.env {
            out.run(format!("    {} \\", quote(&one.to_string_lossy())));
        }
        let argv: Vec<String> = plan.exec.argv.iter().map(|word| quote(&word.to_string_lossy())).collect();
        out.run(format!("    {}", argv.join(" ")));
    }
}
