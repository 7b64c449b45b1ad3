//! The tests that bollard's crate ships, over hull: `cargo xtask clients` builds them.
//!
//! They want images at Docker Hub to be in a registry, under the names that they have there; here these are made of busybox.

use std::process::Command;

use hull_testkit::{Host, Out, RegistrySettings, Watch, run};

use crate::stack::fetched;

/// Each program, and how many of its tests are run.
const PROGRAMS: [(&str, usize); 9] = [
    // It pulls the images that others take for granted.
    ("container_test", 19),
    ("distribution", 1),
    ("exec_test", 4),
    ("image_test", 12),
    ("network_test", 4),
    ("race_test", 4),
    ("system_test", 5),
    ("version_test", 3),
    ("volume_test", 3),
];

/// Those that are left out. What needs a swarm, plugins or BuildKit is in programs of its own or behind features.
const LEFT_OUT: [&str; 3] = [
    // hull does not build yet.
    "integration_test_build_image",
    "integration_test_issue_55",
    // It asks Docker Hub for `hello-world`.
    "integration_test_search_images",
];

/// What makes an image of busybox that the tests take for the real one.
const IMAGES: [(&str, &str); 3] = [
    ("alpine", "true"),
    ("hello-world:linux", r"printf '#!/bin/sh\necho; echo Hello from Docker!\n' >/hello; chmod +x /hello"),
    (
        "fussybeaver/uhttpd",
        r#"mkdir -p /usr/sbin /etc/config /www; printf '\nconfig uhttpd main\n' >/etc/config/uhttpd
          printf '#!/bin/sh\nexec httpd "$@"\n' >/usr/sbin/run_uhttpd; chmod +x /usr/sbin/run_uhttpd"#,
    ),
];

#[test]
fn the_tests_that_bollard_ships_pass_over_hull() {
    let host = Host::new();
    let watch = host.watch();
    let _registry = host.registry(&RegistrySettings::default());
    for (name, script) in IMAGES {
        let remote = format!("127.0.0.1:5000/{name}");
        host.hull(&["run", "--name", "made", "busybox", "sh", "-c", script]).ok();
        host.hull(&["commit", "-c", r#"CMD ["sh"]"#, "made", &remote]).ok();
        host.hull(&["push", "-q", &remote]).ok();
        for words in [&["rm", "made"][..], &["rmi", &remote]] {
            host.hull(words).ok();
        }
    }
    let mut said = String::new();
    for (program, wanted) in PROGRAMS {
        let out = run(&mut shipped(&host, &watch, program), b"");
        let failed = failed(&out);
        // Their patience is two seconds in places: on a busy machine one is asked once more, alone.
        let again = failed.iter().map(|name| run(shipped(&host, &watch, program).args(["--exact", name]), b""));
        let lost: Vec<Out> = again.filter(|out| out.code != 0).collect();
        assert!(lost.is_empty() && (out.code == 0) == failed.is_empty(), "{program}: {lost:?} {out:?}");
        assert_eq!(out.stdout.matches(" ... ").count(), wanted, "{program}: {out:?}");
        said += &out.stdout;
    }
    eprintln!("{said}");
    watch.is_content(20);
    let images = host.hull(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    images.lines().filter(|name| !name.starts_with("busybox") && !name.starts_with("hull/")).for_each(|name| {
        host.hull(&["rmi", "-f", name]).ok();
    });
    crate::clients::leaves_nothing(&host);
}

/// One of the programs in the host's network, with the socket also at docker's usual place.
fn shipped(host: &Host, watch: &Watch, program: &str) -> Command {
    let socket = watch.address();
    let script = format!(
        "mount -t tmpfs run /run && ln -s {} /run/docker.sock && exec \"$@\"",
        socket.trim_start_matches("unix://")
    );
    let mut command = host.inside("unshare");
    command
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", &script, "sh"])
        .arg(fetched(&format!("clients/bollard/{program}")))
        .args(["--test-threads", "1"])
        .env("DOCKER_HOST", &socket)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:5000")
        .current_dir(host.path());
    for name in LEFT_OUT {
        command.args(["--skip", name]);
    }
    command
}

/// The names of tests that failed.
fn failed(out: &Out) -> Vec<&str> {
    let lines = out.stdout.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    lines.collect()
}
