//! The specification's own configurations: what it calls good is accepted, what it calls bad is refused.
//!
//! A good configuration may ask for what this machine has not – AppArmor, a disk, a network card. Then it is refused
//! by that name; and without it, it runs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::Site;

cases![
    minimal_for_start_runs.hull_only("they need more than the least");
    minimal_has_no_process_to_start.not_over(Runtime::Crun, "fails on its own memory");
    the_bad_ones_are_refused.hull_only("they pass over fields that they do not know");
    the_example_names_what_is_missing_here.hull_only("they leave out what is missing");
    the_example_runs_without_what_is_missing_here.hull_only("newer than Debian 12's");
    network_devices_are_looked_for.hull_only("newer than Debian 12's");
    rdma_is_looked_for.not_over(Runtime::Crun, "passes over it");
];

fn file(kind: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oci/schema").join(kind).join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn good(site: &mut Site, name: &str) {
    site.config = serde_json::from_str(&file("good", name)).expect("JSON");
    // Beside other tests: a cgroup of the site's own.
    if site.config["linux"].is_null() {
        site.config["linux"] = json!({});
    }
    site.config["linux"]["cgroupsPath"] = json!(format!("/{}", site.id));
}

fn add_process(site: &mut Site) {
    site.config["process"] = json!({ "cwd": "/", "args": ["/bin/sh"], "user": { "uid": 0, "gid": 0 } });
}

#[track_caller]
fn refused_by(site: &Site, word: &str) {
    let out = site.create(&[]);
    assert!(out.code != 0 && out.stderr.contains(word), "{word}: {out:?}");
    assert_eq!(site.status(), "");
}

fn minimal_for_start_runs(rt: Runtime) {
    let mut site = Site::new(rt);
    good(&mut site, "minimal-for-start.json");
    // It asks for no namespace: here at least for that of mounts, without which nothing can be put together.
    site.config["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    site.config["process"]["args"] = json!(["/bin/sh", "-c", "echo fine"]);
    assert_eq!(site.run(&[]).ok(), "fine");
}

fn minimal_has_no_process_to_start(rt: Runtime) {
    let mut site = Site::new(rt);
    good(&mut site, "minimal.json");
    refused_by(&site, "process");
}

fn the_bad_ones_are_refused(rt: Runtime) {
    let site = Site::new(rt);
    let bundle = site.bundle().to_string_lossy().into_owned();
    for (name, word) in [
        ("invalid-json.json", "config.json"),
        ("linux-hugepage.json", "64kB"),
        ("linux-netdevice.json", "config.json"),
        ("linux-rdma.json", "config.json"),
    ] {
        let text = file("bad", name);
        let text = match serde_json::from_str::<Value>(&text) {
            // So that it is what is bad, and not the missing process, that it is refused for.
            Ok(mut config) => {
                config["process"] = json!({ "cwd": "/", "args": ["/bin/sh"], "user": { "uid": 0, "gid": 0 } });
                config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "network" }]);
                config.to_string()
            }
            Err(_) => text,
        };
        fs::write(site.bundle().join("config.json"), text).expect("write");
        let out = site.oci(&["create", "--bundle", &bundle, &site.id]);
        // Where there is no controller for huge pages, that is what it says first.
        let named = out.stderr.contains(word) || (name == "linux-hugepage.json" && out.stderr.contains("hugetlb"));
        assert!(out.code != 0 && named, "{name}: {out:?}");
        assert_eq!(site.status(), "", "{name}");
    }
}

/// The example of the specification, with what it asks for brought to this test: hooks that are there, two processors.
fn example(site: &mut Site) {
    good(site, "spec-example.json");
    site.config["process"]["terminal"] = json!(false);
    site.config["process"]["args"] = json!(["sh", "-c", "id -u; hostname; cat /proc/sys/kernel/domainname; echo fine"]);
    for hooks in site.config["hooks"].as_object_mut().expect("hooks").values_mut() {
        *hooks = json!([{ "path": "/bin/true" }]);
    }
    site.config["linux"]["resources"]["cpu"]["cpus"] = json!("0");
    site.config["linux"]["resources"]["cpu"]["mems"] = json!("0");
}

fn the_example_names_what_is_missing_here(rt: Runtime) {
    let mut site = Site::new(rt);
    example(&mut site);
    if crate::site::read("/sys/module/apparmor/parameters/enabled").starts_with('Y') {
        return;
    }
    refused_by(&site, "ppArmor");
}

fn the_example_runs_without_what_is_missing_here(rt: Runtime) {
    let mut site = Site::new(rt);
    example(&mut site);
    let process = site.config["process"].as_object_mut().expect("process");
    process.remove("apparmorProfile");
    process.remove("selinuxLabel");
    let linux = site.config["linux"].as_object_mut().expect("linux");
    linux.remove("mountLabel");
    let resources = linux["resources"].as_object_mut().expect("resources");
    // Controllers that this machine may not have, and disks; real-time scheduling, which few kernels have.
    for missing in ["network", "hugepageLimits", "blockIO"] {
        resources.remove(missing);
    }
    resources["cpu"].as_object_mut().expect("cpu").retain(|name, _| !name.starts_with("realtime"));
    resources["memory"].as_object_mut().expect("memory").retain(|name, _| !name.starts_with("kernel"));
    crate::site::give(&site.rootfs(), 1000);
    let rules = json!([{ "names": ["chmod"], "action": "SCMP_ACT_ERRNO" }]);
    site.config["linux"]["seccomp"]["syscalls"] = rules;
    let out = site.run(&[]);
    assert_eq!(out.stdout, "1\nslartibartfast\nfoobarbaz.test\nfine\n", "{out:?}");
}

fn network_devices_are_looked_for(rt: Runtime) {
    let mut site = Site::new(rt);
    good(&mut site, "linux-netdevice.json");
    add_process(&mut site);
    site.config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "network" }]);
    let out = site.create(&[]);
    assert!(out.code != 0 && ["eth0", "ens4", "ens5"].iter().any(|n| out.stderr.contains(n)), "{out:?}");
}

fn rdma_is_looked_for(rt: Runtime) {
    if hull_testkit::on_v2() || Path::new("/sys/fs/cgroup/rdma").exists() {
        return;
    }
    let mut site = Site::new(rt);
    good(&mut site, "linux-rdma.json");
    add_process(&mut site);
    site.config["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    refused_by(&site, "rdma");
}
