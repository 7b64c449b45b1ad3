//! The command line itself: help, formats, completion, exit codes.

use hull_testkit::Host;

#[test]
fn unknown_words_are_one_sentence() {
    let host = Host::new();
    for args in [&["nosuch"][..], &["run", "--nosuch"], &["ps", "--nosuch"], &["run"]] {
        let out = host.hull(args);
        assert_eq!(out.code, 125, "{args:?}: {}", out.stderr);
        assert!(out.stderr.starts_with("error: ") && out.stderr.lines().count() <= 4, "{args:?}: {}", out.stderr);
    }
    for (typed, meant) in [
        (&["rnu"][..], "did you mean `hull run`?"),
        (&["container", "inspct"], "did you mean `hull container inspect`?"),
        (&["zzz"], "see `hull --help`"),
    ] {
        let out = host.hull(typed);
        assert!(out.code == 125 && out.stderr.contains(meant), "{typed:?}: {}", out.stderr);
    }
}

#[test]
fn words_after_the_image_are_the_commands() {
    let host = Host::new();
    assert_eq!(host.hull(&["run", "--rm", "busybox", "echo", "--rm", "-it", "-v"]).ok(), "--rm -it -v");
}

#[test]
fn templates_reach_every_field() {
    let host = Host::new();
    let id = host.sleeper(&["--name", "t1", "--label", "a=b"]);
    for (template, expected) in [
        ("{{.Id}}", id.as_str()),
        ("{{.State.Running}} {{json .Config.Labels}}", "true {\"a\":\"b\"}"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "a=b"),
        ("{{if .State.Paused}}p{{else}}r{{end}}", "r"),
        ("{{len .Config.Cmd}} {{index .Config.Cmd 1}}", "2 1000"),
        ("{{.Name | printf \"%s!\" }}", "/t1!"),
    ] {
        assert_eq!(host.hull(&["inspect", "--format", template, "t1"]).ok(), expected, "{template}");
    }
    host.hull(&["inspect", "--format", "{{.Nosuch", "t1"]).fails(1);
}

/// COMPAT(docker 28): its CLI does so.
#[test]
fn containers_get_the_proxies_of_dockers_config_json() {
    let host = Host::new();
    let config = host.path().join("config");
    std::fs::create_dir(&config).expect("mkdir");
    let see = |proxies: &str, flags: &[&str]| {
        std::fs::write(config.join("config.json"), format!(r#"{{"proxies": {proxies}}}"#)).expect("write");
        let mut hull = host.command("hull");
        let script = "env | grep -i proxy | sort";
        hull.env("DOCKER_CONFIG", &config).arg("run").arg("--rm").args(flags).args(["busybox", "sh", "-c", script]);
        hull_testkit::run(&mut hull, b"").ok()
    };
    let all = r#"{"default": {"httpProxy": "http://p:3128", "noProxy": "lan", "ftpProxy": ""}}"#;
    assert_eq!(see(all, &[]), "HTTP_PROXY=http://p:3128\nNO_PROXY=lan\nhttp_proxy=http://p:3128\nno_proxy=lan");
    let own = ["-e", "HTTP_PROXY=mine", "-e", "no_proxy="];
    assert_eq!(see(all, &own), "HTTP_PROXY=mine\nNO_PROXY=lan\nhttp_proxy=http://p:3128\nno_proxy=");
    let socket = format!("unix://{}", host.socket().display());
    let here = format!(r#"{{"default": {{"allProxy": "x"}}, "{socket}": {{"httpsProxy": "s"}}}}"#);
    assert_eq!(see(&here, &[]), "HTTPS_PROXY=s\nhttps_proxy=s");
    assert_eq!(see("5", &["-e", "NO_PROXY=x"]), "NO_PROXY=x");
}

#[test]
fn version_and_info_tell_what_is_so() {
    let host = Host::new();
    assert!(host.hull(&["version"]).ok().contains("API version"));
    let info = host.hull(&["info"]).ok();
    assert!(info.contains("Cgroup Version"), "{info}");
    assert!(info.contains("bridge host ipvlan macvlan null"), "names the network drivers: {info}");
}

#[test]
fn completion_and_man_pages_are_generated() {
    let host = Host::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(host.hull(&["completion", shell]).ok().contains("hull"), "{shell}");
    }
    let dir = host.path().join("man");
    std::fs::create_dir_all(&dir).expect("mkdir");
    host.hull(&["man", &dir.to_string_lossy()]).ok();
    assert!(dir.join("hull-run.1").is_file());
}

#[test]
fn the_socket_is_for_root_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let host = Host::new();
    let meta = std::fs::metadata(host.socket()).expect("the socket");
    assert_eq!(meta.permissions().mode() & 0o777, 0o660);
    assert_eq!(meta.uid(), 0);
}
