//! What is refused before any effect: one clear sentence, exit code 125, nothing made.

use hull_testkit::Host;

#[test]
fn nonsense_is_refused_with_a_sentence_and_leaves_nothing() {
    let host = Host::new();
    let long = "x".repeat(1 << 16);
    let rows: &[(&[&str], &str)] = &[
        (&["--memory=1k"], "memory"),
        (&["--memory=12q"], "12q"),
        (&["--memory=-5m"], "-5m"),
        (&["--memory=64m", "--memory-swap=32m"], "swap"),
        (&["--cpus=1000"], "cpus"),
        (&["--cpus=-1"], "cpus"),
        (&["--cpuset-cpus=900"], "900"),
        (&["--cpuset-cpus=a"], "cpuset"),
        (&["--pids-limit=x"], "pids"),
        (&["--shm-size=-1"], "shm"),
        (&["--blkio-weight=5"], "weight"),
        (&["--memory-swappiness=101"], "swappiness"),
        (&["--oom-score-adj=2000"], "oom"),
        (&["--name", "-bad"], "name"),
        (&["--name", "a/b"], "name"),
        (&["--name", &long], "name"),
        (&["--hostname", "bad host"], "hostname"),
        (&["-e", "=x"], "environment"),
        (&["-v", "relative/path:/x"], "relative/path"),
        (&["-v", "/a:relative"], "relative"),
        (&["--mount", "type=nothing,dst=/x"], "nothing"),
        (&["--mount", "dst=relative,type=tmpfs"], "relative"),
        (&["--tmpfs", "relative"], "relative"),
        (&["--device", "/dev/null:/dev/x:q"], "q"),
        (&["--device-cgroup-rule", "c 1:3"], "c 1:3"),
        (&["--network=nosuch"], "nosuch"),
        (&["--pid=nosuch"], "nosuch"),
        (&["--ipc=nosuch"], "nosuch"),
        (&["--userns=nosuch"], "nosuch"),
        (&["--security-opt=nosuch"], "nosuch"),
        (&["--stop-signal=NOSUCH"], "NOSUCH"),
        (&["--restart=sometimes"], "sometimes"),
        (&["--log-driver=carrier-pigeon"], "carrier-pigeon"),
        (&["--nosuch-flag"], "--nosuch-flag"),
        (&["-p", "80:70000"], "publish"),
        (&["--gpus=all"], "gpus"),
        (&["--runtime=nosuch"], "nosuch"),
    ];
    let mut wrong = Vec::new();
    for (flags, word) in rows {
        let mut args = vec!["run", "--rm"];
        args.extend(*flags);
        args.extend(["busybox", "true"]);
        let out = host.hull(&args);
        let shown: String = flags.join(" ").chars().take(60).collect();
        if out.code != 125 || !out.stderr.to_lowercase().contains(&word.to_lowercase()) || out.stderr.len() > 2000 {
            wrong.push(format!("{shown}: {} {}", out.code, out.stderr.chars().take(300).collect::<String>()));
        }
        if out.stderr.contains("panicked") {
            wrong.push(format!("{shown}: panicked"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(host.hull(&["ps", "-aq"]).ok(), "");
}

#[test]
fn control_characters_are_refused_by_name() {
    let host = Host::new();
    for flags in [["--hostname", "a\nb"], ["--name", "a\u{1b}[31m"], ["--label", "\u{0007}=x"]] {
        let out = host.hull(&["run", "--rm", flags[0], flags[1], "busybox", "true"]);
        assert_eq!(out.code, 125, "{flags:?}: {}", out.stderr);
        assert!(!out.stderr.contains('\u{1b}'), "an escape sequence reached the terminal: {:?}", out.stderr);
    }
}

#[test]
fn a_missing_image_is_named() {
    let host = Host::new();
    let err = host.hull(&["run", "--rm", "nosuch:1", "true"]).fails(125);
    assert!(err.contains("nosuch:1"), "{err}");
    let err = host.hull(&["run", "--rm", "UPPER", "true"]).fails(125);
    assert!(err.contains("lowercase") || err.contains("invalid reference"), "{err}");
}

#[test]
fn a_memory_reservation_above_the_limit_is_refused() {
    let host = Host::new();
    let err = host.hull(&["run", "--rm", "--memory=32m", "--memory-reservation=64m", "busybox", "true"]).fails(125);
    assert!(err.contains("reservation"), "{err}");
}
