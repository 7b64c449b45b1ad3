//! The command line itself: logs, features, spec, descriptors handed on, the session keyring, network devices.

use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    version_is_printed;
    help_is_printed;
    errors_go_to_the_log_as_text.not_over(Runtime::Crun, "another shape");
    errors_go_to_the_log_as_json;
    an_error_is_one_line_on_stderr.not_over(Runtime::Runc, "repeats itself for flags");
    features_are_json.not_over(Runtime::Crun, "since 1.9").not_over(Runtime::Runc, "1.1 knows fewer");
    features_agree_with_what_is_accepted
        .not_over(Runtime::Crun, "since 1.9")
        .not_over(Runtime::Runc, "1.1 names some that the kernel refuses");
    spec_makes_a_bundle_that_it_accepts;
    spec_does_not_write_over_a_bundle;
    spec_for_the_rootless.not_over(Runtime::Crun, "writes no mapping");
    descriptors_are_handed_on;
    descriptors_of_socket_activation.not_over(Runtime::Crun, "sets no LISTEN_PID");
    a_descriptor_that_is_not_open_is_refused;
    a_session_keyring_of_its_own.not_over(Runtime::Crun, "1.8 makes it in another place");
    no_new_keyring;
    checkpoint_is_refused_with_a_sentence.hull_only("refused for now");
    a_network_device_moves_and_comes_back.hull_only("newer than Debian 12's");
    a_network_device_that_is_missing_is_refused.hull_only("newer than Debian 12's");
    the_names_of_runc.hull_only("they have one name");
    systemd_cgroups_without_systemd_are_refused;
];

fn version_is_printed(rt: Runtime) {
    let site = Site::new(rt);
    let said = site.oci(&["--version"]).ok();
    assert!(said.contains("version") || said.contains("hull"), "{said}");
    assert!(said.contains("spec: 1."), "{said}");
}

fn help_is_printed(rt: Runtime) {
    let site = Site::new(rt);
    let said = site.oci(&["--help"]).ok();
    for verb in
        ["create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "pause", "resume", "update", "spec"]
    {
        assert!(said.contains(verb), "{verb}");
    }
}

fn with_log(site: &mut Site, format: &str) -> std::path::PathBuf {
    let log = site.path().join("log");
    site.globals = vec!["--log".into(), log.to_string_lossy().into_owned(), "--log-format".into(), format.into()];
    log
}

fn errors_go_to_the_log_as_text(rt: Runtime) {
    let mut site = Site::new(rt);
    let log = with_log(&mut site, "text");
    assert_ne!(site.verb("start", &[]).code, 0);
    let text = read(log);
    assert!(text.contains("level=error") && text.contains("msg=") && text.contains("time="), "{text}");
}

fn errors_go_to_the_log_as_json(rt: Runtime) {
    let mut site = Site::new(rt);
    let log = with_log(&mut site, "json");
    assert_ne!(site.args(&["not-there"]).create(&[]).code, 0);
    let text = read(log);
    let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(line["level"], "error");
    assert!(line["time"].is_string(), "{line}");
    let named = line["msg"].as_str().is_some_and(|m| m.contains("not-there"));
    assert!(named || rt == Runtime::Crun, "{line}");
}

fn an_error_is_one_line_on_stderr(rt: Runtime) {
    let mut site = Site::new(rt);
    for out in [site.verb("start", &[]), site.verb("state", &[]), site.args(&["not-there"]).create(&[])] {
        assert_ne!(out.code, 0);
        assert_eq!(out.stderr.trim_end().lines().count(), 1, "{}", out.stderr);
    }
}

fn features_are_json(rt: Runtime) {
    let site = Site::new(rt);
    let features: Value = serde_json::from_str(&site.oci(&["features"]).ok()).expect("JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["ociVersionMax"].as_str().is_some_and(|v| v >= "1.2"), "{features}");
    let has = |list: &Value, word: &str| list.as_array().is_some_and(|l| l.iter().any(|w| w == word));
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(has(&features["hooks"], hook), "{hook}");
    }
    for option in ["bind", "rbind", "ro", "nosuid", "tmpcopyup", "rro", "rshared", "idmap"] {
        assert!(has(&features["mountOptions"], option), "{option}");
    }
    let linux = &features["linux"];
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        assert!(has(&linux["namespaces"], kind), "{kind}");
    }
    assert!(has(&linux["capabilities"], "CAP_SYS_ADMIN"));
    assert_eq!(linux["seccomp"]["enabled"], true);
    assert!(has(&linux["seccomp"]["actions"], "SCMP_ACT_NOTIFY"));
    assert!(
        has(&linux["seccomp"]["archs"], "SCMP_ARCH_X86_64")
            && has(&linux["seccomp"]["operators"], "SCMP_CMP_MASKED_EQ")
    );
    assert!(linux["cgroup"]["v1"].is_boolean() && linux["cgroup"]["v2"].is_boolean());
}

fn features_agree_with_what_is_accepted(rt: Runtime) {
    let mut site = Site::new(rt);
    let features: Value = serde_json::from_str(&site.oci(&["features"]).ok()).expect("JSON");
    let flags = features["mountOptions"].as_array().expect("options").clone();
    // Every flag that it names can be asked for. Those with a mapping or a parameter have tests of their own.
    let special = [
        "idmap",
        "ridmap",
        "remount",
        "unbindable",
        "runbindable",
        "bind",
        "rbind",
        "mand",
        "nomand",
        "silent",
        "loud",
        "defaults",
    ];
    let flags = flags.iter().filter_map(Value::as_str).filter(|f| !special.contains(f) && !f.contains("mand"));
    for flag in flags {
        site.mounts().push(
            json!({ "destination": "/tmp", "type": "bind", "source": "rootfs/home", "options": ["rbind", flag] }),
        );
        if flag == "tmpcopyup" {
            site.mounts().pop();
            site.mounts().push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [flag] }));
        }
        let out = site.args(&["true"]).run(&[]);
        assert_eq!(out.code, 0, "{flag}: {out:?}");
        site.mounts().pop();
    }
}

fn in_bundle(site: &mut Site) {
    let cd = format!("cd {} && exec \"$@\"", site.bundle().display());
    site.wrapper = ["sh", "-c", &cd, "sh"].map(str::to_owned).into();
}

fn spec_makes_a_bundle_that_it_accepts(rt: Runtime) {
    let mut site = Site::new(rt);
    in_bundle(&mut site);
    site.oci(&["spec"]).ok();
    let mut config: Value = serde_json::from_str(&read(site.bundle().join("config.json"))).expect("JSON");
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["root"]["path"], "rootfs");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "fine"]);
    config["linux"]["cgroupsPath"] = json!(format!("/{}", site.id));
    site.config = config;
    assert_eq!(site.run(&[]).ok(), "fine");
}

fn spec_does_not_write_over_a_bundle(rt: Runtime) {
    let mut site = Site::new(rt);
    in_bundle(&mut site);
    site.write();
    let before = read(site.bundle().join("config.json"));
    assert_ne!(site.oci(&["spec"]).code, 0);
    assert_eq!(read(site.bundle().join("config.json")), before);
}

fn spec_for_the_rootless(rt: Runtime) {
    let mut site = Site::new(rt);
    in_bundle(&mut site);
    site.oci(&["spec", "--rootless"]).ok();
    let config: Value = serde_json::from_str(&read(site.bundle().join("config.json"))).expect("JSON");
    let kinds: Vec<&str> = config["linux"]["namespaces"]
        .as_array()
        .expect("namespaces")
        .iter()
        .filter_map(|n| n["type"].as_str())
        .collect();
    assert!(kinds.contains(&"user"), "{kinds:?}");
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
}

fn descriptors_are_handed_on(rt: Runtime) {
    let mut site = Site::new(rt);
    let (one, two) = (site.path().join("one"), site.path().join("two"));
    std::fs::write(&one, "first\n").expect("write");
    std::fs::write(&two, "second\n").expect("write");
    let script = format!("exec 3<{} 4<{} 5</etc/passwd; exec \"$@\"", one.display(), two.display());
    site.wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).into();
    site.args(&["sh", "-c", "cat <&3; cat <&4; test -e /proc/self/fd/5 || echo no more"]);
    assert_eq!(site.run(&["--preserve-fds", "2"]).ok(), "first\nsecond\nno more");
}

fn descriptors_of_socket_activation(rt: Runtime) {
    let mut site = Site::new(rt);
    let file = site.path().join("one");
    std::fs::write(&file, "first\n").expect("write");
    let script = format!("exec 3<{}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", file.display());
    site.wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).into();
    site.args(&["sh", "-c", "cat <&3; echo $LISTEN_FDS $LISTEN_PID"]);
    assert_eq!(site.run(&[]).ok(), "first\n1 1");
}

fn a_descriptor_that_is_not_open_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["true"]);
    let out = site.run(&["--preserve-fds", "90"]);
    assert!(out.code != 0 || rt == Runtime::Crun, "{out:?}");
}

const KEYRING: &str = "cut -c1-8 /proc/self/keys 2>/dev/null | wc -l; grep -c '_ses' /proc/keys; true";

fn session(site: &mut Site, flags: &[&str]) -> String {
    site.config["linux"]["maskedPaths"] = json!([]);
    site.args(&["sh", "-c", KEYRING]).run(flags).ok();
    site.args(&["sh", "-c", "grep keyring /proc/keys | grep -o '_ses[.a-zA-Z0-9_-]*' | sort -u"]).run(flags).ok()
}

fn a_session_keyring_of_its_own(rt: Runtime) {
    let mut site = Site::new(rt);
    let seen = session(&mut site, &[]);
    assert!(seen.contains(&format!("_ses.{}", site.id)), "{seen}");
}

fn no_new_keyring(rt: Runtime) {
    let mut site = Site::new(rt);
    let seen = session(&mut site, &["--no-new-keyring"]);
    assert!(!seen.contains(&site.id), "{seen}");
}

fn checkpoint_is_refused_with_a_sentence(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for verb in ["checkpoint", "restore"] {
        let out = site.verb(verb, &[]);
        assert!(out.code != 0 && out.stderr.contains(verb), "{out:?}");
    }
    assert_eq!(site.status(), "running");
}

fn a_network_device_moves_and_comes_back(rt: Runtime) {
    let mut site = Site::new(rt);
    site.to_the_end(site.inside("ip").args(["link", "add", "made0", "type", "veth", "peer", "name", "made1"])).ok();
    site.to_the_end(site.inside("ip").args(["addr", "add", "192.0.2.7/24", "dev", "made0"])).ok();
    site.to_the_end(site.inside("ip").args(["link", "set", "made0", "up"])).ok();
    site.config["linux"]["netDevices"] = json!({ "made0": { "name": "eth7" } });
    site.up();
    let seen = site.exec_sh(&[], "ip -o addr show dev eth7");
    assert!(seen.contains("192.0.2.7/24") && seen.contains("eth7"), "{seen}");
    let left = site.to_the_end(site.inside("ip").args(["-o", "link"])).ok();
    assert!(!left.contains("made0:") && !left.contains("made0@"), "{left}");
    // The kernel deletes the pair with the container's network.
    site.verb("delete", &["--force"]).ok();
    site.to_the_end(site.inside("ip").args(["link", "del", "made1"]));
}

fn a_network_device_that_is_missing_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["netDevices"] = json!({ "wonder0": {} });
    let out = site.create(&[]);
    assert!(out.code != 0 && out.stderr.contains("wonder0"), "{out:?}");
    assert_eq!(site.status(), "");
    site.drop_namespace("network");
    site.config["linux"]["netDevices"] = json!({ "lo": {} });
    assert_ne!(site.create(&[]).code, 0);
}

fn the_names_of_runc(rt: Runtime) {
    let site = Site::new(rt);
    for name in ["runc", "hull-oci"] {
        let link = site.path().join(name);
        std::os::unix::fs::symlink(hull_testkit::hull_binary(), &link).expect("symlink");
        let root = site.root().to_string_lossy().into_owned();
        let out = site.to_the_end(site.inside(&link.to_string_lossy()).args(["--root", &root, "list", "-q"]));
        assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{name}: {out:?}");
        let version = site.to_the_end(site.inside(&link.to_string_lossy()).arg("--version"));
        assert!(version.ok().contains("spec: 1."), "{name}");
    }
}

fn systemd_cgroups_without_systemd_are_refused(rt: Runtime) {
    if std::path::Path::new("/run/systemd/system").exists() {
        return;
    }
    let mut site = Site::new(rt);
    site.globals = vec!["--systemd-cgroup".into()];
    site.config["linux"]["cgroupsPath"] = json!(format!("system.slice:hull:{}", site.id));
    assert_ne!(site.create(&[]).code, 0);
    site.globals.clear();
    assert_eq!(site.status(), "");
}
