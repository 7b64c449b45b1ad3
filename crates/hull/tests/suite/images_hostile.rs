//! Images that are honest in form and mean harm by their size: refused with a sentence, or taken at a bounded cost.

use std::process::Command;

use hull_testkit::{Host, Settings, busybox_tar, run};

/// Adds to the archive of busybox; its arguments are the archives and what kind of addition.
const MAKE: &str = r#"
import io, shutil, sys, tarfile
base, out, kind = sys.argv[1:]
shutil.copy(base, out)
with tarfile.open(out, "a", format=tarfile.PAX_FORMAT) as tar:
    def add(name, content=b"", **what):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in what.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(content))
    if kind == "huge passwd":
        # A hole of 1 GiB, as GNU tar writes one.
        # Its map, which counts as content, says that it holds nothing.
        add("etc/passwd", b"0\n".ljust(512, b"\0"), pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
            "GNU.sparse.name": "etc/passwd", "GNU.sparse.realsize": str(1 << 30)})
    elif kind == "deep":
        # Twelve times a thousand levels: links lead deeper than one name could.
        level = "d/" * 1000
        for at in range(12):
            above = "deep" if at == 0 else "l%d" % (at - 1)
            add("%s/%s" % (above, level), type=tarfile.DIRTYPE, mode=0o755)
            add("l%d" % at, type=tarfile.SYMTYPE, linkname="%s/%s" % (above, level))
    elif kind == "many":
        for at in range(20000):
            add("many/%s-%d" % ("n" * 120, at), type=tarfile.LNKTYPE, linkname="many/first") if at else add("many/first")
"#;

fn archive(host: &Host, kind: &str) -> String {
    let file = host.path().join("made.tar");
    let mut python = Command::new("python3");
    python.args(["-c", MAKE]).arg(busybox_tar()).arg(&file).arg(kind);
    run(&mut python, b"").ok();
    file.to_string_lossy().into_owned()
}

#[test]
fn a_passwd_file_of_a_gigabyte_is_refused_unread() {
    let host = Host::new();
    host.hull(&["import", &archive(&host, "huge passwd"), "huge"]).ok();
    for user in ["app", "0", "5:6"] {
        let err = host.hull(&["run", "--rm", "-u", user, "huge", "true"]).fails(125);
        assert!(err.contains("/etc/passwd") && err.contains("larger than 16 MiB"), "{user}: {err}");
    }
    assert!(host.engine_peak() < 128, "{} MiB", host.engine_peak());
    host.assert_clean();
}

#[test]
fn ten_thousand_levels_of_directories_are_survived_from_an_image_and_from_a_container() {
    // In memory: disks take half a minute to remove so many directories, whoever asks them to.
    let mut host = Host::with(&Settings { no_engine: true, ..Settings::default() });
    let root = host.root();
    let setup = format!("mkdir -p {root} && mount -t tmpfs tmpfs {root} || exit 1", root = root.display());
    host.boot(&Settings { setup, ..Settings::default() });
    host.hull(&["import", &busybox_tar().to_string_lossy(), "busybox"]).ok();
    let loaded = host.hull(&["import", &archive(&host, "deep"), "deep"]);
    assert_eq!(loaded.code, 0, "each name is short: {}", loaded.stderr);
    host.hull(&["run", "--rm", "deep", "true"]).ok();
    host.hull(&["save", "-o", "/dev/null", "deep"]).ok();
    host.hull(&["rmi", "deep"]).ok();
    // No path is that long: from below, a thousand levels at a time.
    let dig = "p=$(printf 'd/%.0s' $(seq 100)); mkdir /x; for i in $(seq 10); do \
                 mkdir /c && cd /c && for j in $(seq 10); do mkdir -p $p && cd $p || exit 1; done; \
                 mv /x x && cd / && mv /c /x || exit 1; \
               done";
    host.hull(&["run", "--name", "digger", "busybox", "sh", "-c", dig]).ok();
    const TOLD: &str = "limit of 4095 bytes in a path";
    for verb in [["diff", "digger"].as_slice(), &["commit", "digger", "dug"]] {
        let err = host.hull(verb).fails(1);
        assert!(err.contains(TOLD), "{verb:?}: {err}");
    }
    // The archive has begun when it turns out: it breaks off, and the log says why.
    let err = host.hull(&["export", "-o", "/dev/null", "digger"]).fails(1);
    assert!(err.contains("the engine's log says why") && host.log().contains(TOLD), "{err}{}", host.log());
    host.hull(&["rm", "digger"]).ok();
    assert_eq!(host.sh(&[], "echo fine"), "fine");
}

#[test]
fn a_layer_of_very_many_entries_costs_little_memory() {
    let host = Host::new();
    host.hull(&["import", &archive(&host, "many"), "many"]).ok();
    assert_eq!(host.hull(&["run", "--rm", "many", "stat", "-c", "%h", "/many/first"]).ok(), "20000");
    let peak = host.engine_peak();
    assert!(peak < 128, "{peak} MiB");
    host.hull(&["rmi", "many"]).ok();
}

#[test]
fn what_a_layer_may_unpack_to_is_the_hosts_to_say() {
    let etc = tempfile::tempdir().expect("a directory");
    let file = etc.path().join("images.json");
    let env = vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())];
    let host = Host::with(&Settings { env, ..Settings::default() });
    let bring = || host.hull(&["import", &archive(&host, "many"), "many"]);
    let says = |text: &str| {
        std::fs::write(&file, text).expect("write");
        host.hull(&["engine", "restart"]).ok();
    };
    for (bounds, part) in [
        (r#"{"max-layer-entries":1000}"#, "exceeds the limit of 1000 entries"),
        (r#"{"max-layer-size":"3m"}"#, "exceeds the limit of 3145728 bytes"),
        (r#"{"max-layer-size":"lots"}"#, "images.json cannot be used"),
        (r#"{"max-layers":1}"#, "images.json cannot be used"),
    ] {
        says(bounds);
        let err = bring().fails(1);
        assert!(err.contains(part), "{bounds}: {err}");
        assert_eq!(host.hull(&["images", "-q", "many"]).ok(), "", "{bounds}");
        // What is here goes on.
        assert_eq!(host.sh(&[], "echo fine"), "fine", "{bounds}");
    }
    says(r#"{"max-layer-size":"100m","max-layer-entries":100000}"#);
    bring().ok();
}
