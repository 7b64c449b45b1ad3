//! hull called as dockerd: flags, daemon.json, SIGHUP, TLS.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, Out, RegistrySettings, Settings, eventually, hull_binary, run};

/// A host whose engine was started by `dockerd` with this file and these flags; the file's place.
pub(crate) fn dockerd(file: &str, flags: &str, setup: &str) -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().display().to_string();
    fs::write(dir.path().join("daemon.json"), file).expect("write");
    std::os::unix::fs::symlink(hull_binary(), dir.path().join("dockerd")).expect("a link");
    // The words of an ordinary start come behind: program, keeper, --root ROOT, --run RUN, --host HOST.
    let settings = settings(&at, flags, setup);
    (Host::with(&settings), dir)
}

fn settings(at: &str, flags: &str, setup: &str) -> Settings {
    let script = format!(
        "exec {at}/dockerd --data-root \"$3\" --exec-root \"$5\" -H \"$7\" --pidfile {at}/pid \
         --config-file {at}/daemon.json {flags}"
    );
    Settings {
        wrapper: vec!["sh".into(), "-c".into(), script],
        env: vec![("HULL_ETC".into(), format!("{at}/etc"))],
        setup: setup.to_owned(),
        ..Settings::default()
    }
}

/// The same dockerd once more.
fn again(dir: &tempfile::TempDir) -> Settings {
    settings(&dir.path().display().to_string(), "", "")
}

/// The session of a process.
fn session(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, after) = stat.rsplit_once(')').expect("a name in brackets");
    after.split_whitespace().nth(3).expect("a session").to_owned()
}

fn info(host: &Host) -> serde_json::Value {
    host.api("GET", "/info", None).json()
}

#[test]
fn dockerd_gives_new_containers_what_its_flags_and_file_say() {
    let file = r#"{
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 700, "Hard": 800}},
        "log-driver": "local", "log-opts": {"max-size": "1m", "max-file": "2"},
        "dns": ["10.9.8.7"], "dns-opts": ["ndots:3"], "dns-search": ["lan.example"],
        "default-shm-size": "8M", "no-new-privileges": true, "host-gateway-ips": ["10.1.2.3"],
        "seccomp-profile": "unconfined", "default-cgroupns-mode": "host", "default-ipc-mode": "shareable",
        "insecure-registries": ["r.lan:5000", "10.44.0.0/16"], "no-proxy": "r.lan",
        "default-address-pools": [{"base": "10.143.0.0/16", "size": 24}], "storage-driver": "overlay2", "bip": "10.143.7.1/24", "mtu": 1400
    }"#;
    let flags = "--init --label tier=test --experimental --debug --cgroup-parent /hull-test-parent-$$ --ip 127.0.0.1 \
                 --http-proxy http://me:secret@127.0.0.1:9 --userland-proxy=false --live-restore -H unix://$5/second.sock";
    let (mut host, dir) = dockerd(file, flags, "");
    let said = info(&host);
    assert_eq!(
        (&said["Labels"][0], &said["Debug"], &said["ExperimentalBuild"]),
        (&"tier=test".into(), &true.into(), &true.into())
    );
    assert_eq!((&said["LoggingDriver"], &said["NoProxy"]), (&"local".into(), &"r.lan".into()));
    assert_eq!(said["HttpProxy"], "http://xxxxx:xxxxx@127.0.0.1:9");
    assert_eq!(said["RegistryConfig"]["IndexConfigs"]["r.lan:5000"]["Secure"], false);
    assert_eq!(said["RegistryConfig"]["InsecureRegistryCIDRs"][0], "10.44.0.0/16");
    let head = host.api("GET", "/version", None);
    assert_eq!(head.json()["Experimental"], true);
    let id = host.sleeper(&["--name", "web", "--add-host", "gate:host-gateway", "-p", "8080:80"]);
    let seen = host.inspect("web");
    let wanted = &seen["HostConfig"];
    assert_eq!(wanted["LogConfig"]["Type"], "local");
    assert_eq!(wanted["LogConfig"]["Config"]["max-file"], "2");
    assert_eq!((&wanted["Ulimits"][0]["Name"], &wanted["Ulimits"][0]["Soft"]), (&"nofile".into(), &700.into()));
    assert_eq!((&wanted["ShmSize"], &wanted["IpcMode"]), (&(8 << 20).into(), &"shareable".into()));
    assert!(seen["NetworkSettings"]["IPAddress"].as_str().is_some_and(|at| at.starts_with("10.143.7.")), "{seen}");
    assert!(host.hull(&["port", "web"]).ok().contains("127.0.0.1:8080"));
    let inside = |script: &str| host.hull(&["exec", "web", "sh", "-c", script]).ok();
    assert_eq!(inside("cat /proc/1/limits | grep 'open files' | awk '{print $4, $5}'"), "700 800");
    assert!(inside("cat /proc/1/comm") != "sleep", "an init stands before it");
    assert_eq!(inside("cat /sys/class/net/eth0/mtu"), "1400");
    assert!(host.hull(&["network", "create", "more"]).code == 0);
    assert!(host.hull(&["network", "inspect", "more"]).ok().contains("10.143.0.0/24"));
    host.hull(&["network", "rm", "more"]).ok();
    let resolver = inside("cat /etc/resolv.conf");
    assert!(["10.9.8.7", "ndots:3", "lan.example"].iter().all(|part| resolver.contains(part)), "{resolver}");
    assert!(inside("grep gate /etc/hosts").contains("10.1.2.3"));
    assert_eq!(inside("grep -E 'NoNewPrivs|Seccomp:' /proc/1/status | tr -d '\\n\\t '"), "NoNewPrivs:1Seccomp:0");
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", host.pid("web"))).expect("its cgroups");
    assert!(cgroup.contains("/hull-test-parent-") && cgroup.contains(&id), "{cgroup}");
    let parent = cgroup.lines().find_map(|line| line.split('/').find(|part| part.starts_with("hull-test-parent-")));
    let parent = parent.expect("the parent").to_owned();
    // What a container asks for goes before it.
    let own = host
        .sh(&["--ulimit", "nofile=600:650", "--dns", "10.1.1.1", "--init=false"], "ulimit -n; cat /etc/resolv.conf");
    assert!(own.starts_with("600") && own.contains("10.1.1.1") && !own.contains("10.9.8.7"), "{own}");
    // A second socket, the pid file.
    let second = host.run_dir().join("second.sock");
    assert!(std::os::unix::net::UnixStream::connect(&second).is_ok());
    let pid = fs::read_to_string(dir.path().join("pid")).expect("a pid file");
    assert_eq!(pid, host.keeper_pid().to_string());
    // It stays with whoever started it, whose terminal can end it.
    assert_eq!(session(&pid), session("self"));
    host.assert_clean();
    host.shut_down();
    assert!(!dir.path().join("pid").exists() && !second.exists());
    let found =
        || run(Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("{parent}*")]), b"");
    eventually("the parent that the engine made goes with its last container", || found().stdout.is_empty());
}

#[test]
fn a_hangup_reads_the_file_again_and_a_broken_one_changes_nothing() {
    let (host, dir) = dockerd(r#"{"labels": ["old=1"]}"#, "", "");
    let file = dir.path().join("daemon.json");
    let hang_up = || run(Command::new("kill").args(["-HUP", &host.keeper_pid().to_string()]), b"").ok();
    let engine = host.engine_pid();
    host.sleeper(&["--name", "before"]);
    assert_eq!(info(&host)["Labels"][0], "old=1");
    let text = r#"{"labels": ["new=2"], "debug": true, "registry-mirrors": ["http://127.0.0.1:5000"], "log-opts": {"max-size": "7k"}}"#;
    fs::write(&file, text).expect("write");
    hang_up();
    eventually("the labels are new", || info(&host)["Labels"][0] == "new=2");
    let said = info(&host);
    assert_eq!(
        (&said["Debug"], &said["RegistryConfig"]["Mirrors"][0]),
        (&true.into(), &"http://127.0.0.1:5000".into())
    );
    assert_eq!(host.engine_pid(), engine, "the engine goes on");
    // Who hears of it finds it so: it is told afterwards.
    eventually("it is told", || {
        let told = host.hull(&["events", "--since", "0", "--until", "0s", "--filter", "type=daemon"]).ok();
        told.contains("daemon reload") && told.contains("labels=[\"new=2\"]")
    });
    host.sleeper(&["--name", "after"]);
    let log = |who: &str| host.inspect(who)["HostConfig"]["LogConfig"]["Config"]["max-size"].clone();
    assert_eq!((log("before").as_str(), log("after").as_str()), (None, Some("7k")));
    for (broken, why) in
        [("{", "cannot be used"), (r#"{"nonsense": 1}"#, "nonsense"), (r#"{"bip": 5}"#, "`bip` must be")]
    {
        fs::write(&file, broken).expect("write");
        let before = host.log().len();
        hang_up();
        eventually("the log says why", || {
            host.log().get(before..).is_some_and(|log| log.contains(why) && log.contains("stays as it was"))
        });
        assert_eq!(info(&host)["Labels"][0], "new=2");
    }
    // An engine that finds it broken goes on with what dockerd was started with.
    hull_testkit::kill9(engine);
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(info(&host)["Labels"][0], "old=1");
    host.sleeper(&["--name", "third"]);
}

#[test]
fn a_hangup_while_the_engine_starts_is_followed_and_ends_nothing() {
    let (host, dir) = dockerd(r#"{"labels": ["old=1"]}"#, "", "");
    let keeper = host.keeper_pid();
    let engines = || -> BTreeSet<u32> {
        let words = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        hull_testkit::children(keeper).into_iter().filter(|pid| words(pid).starts_with(b"hull\0engine\0run")).collect()
    };
    for round in 0..5 {
        let former = host.engine_pid();
        hull_testkit::kill9(former);
        let mut seen = BTreeSet::new();
        eventually("the next engine answers", || {
            run(Command::new("kill").args(["-HUP", &keeper.to_string()]), b"").ok();
            seen.extend(engines());
            seen.remove(&former);
            !seen.is_empty() && host.answers()
        });
        assert_eq!(seen, BTreeSet::from([host.engine_pid()]), "one that got a hangup has ended");
        let label = format!("new={round}");
        fs::write(dir.path().join("daemon.json"), format!(r#"{{"labels": ["{label}"]}}"#)).expect("write");
        run(Command::new("kill").args(["-HUP", &keeper.to_string()]), b"").ok();
        eventually("it follows the next one", || info(&host)["Labels"][0] == label.as_str());
    }
}

#[test]
fn images_come_through_the_mirrors_of_daemon_json() {
    let (host, _dir) = dockerd(r#"{"registry-mirrors": ["http://127.0.0.1:5000"]}"#, "", "");
    let _registry = host.registry(&RegistrySettings::default());
    host.hull(&["tag", "busybox", "127.0.0.1:5000/library/mirrored:1"]).ok();
    host.hull(&["push", "127.0.0.1:5000/library/mirrored:1"]).ok();
    host.hull(&["rmi", "127.0.0.1:5000/library/mirrored:1"]).ok();
    host.hull(&["pull", "-q", "mirrored:1"]).ok();
    assert_eq!(host.hull(&["run", "--rm", "mirrored:1", "echo", "hi"]).ok(), "hi");
}

#[test]
fn without_live_restore_containers_end_with_the_engine_and_come_back() {
    let (host, dir) = dockerd(r#"{"live-restore": false, "shutdown-timeout": 20}"#, "", "");
    assert_eq!(info(&host)["LiveRestoreEnabled"], false);
    let script = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    for (name, policy) in [("back", "always"), ("gone", "no")] {
        host.hull(&["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", script]).ok();
        host.ready(name);
    }
    let (keeper, first) = (host.keeper_pid(), host.pid("back"));
    run(Command::new("kill").arg(keeper.to_string()), b"").ok();
    eventually("the keeper has ended", || {
        fs::read(format!("/proc/{keeper}/cmdline")).map_or(true, |words| words.is_empty())
    });
    assert!(!Path::new(&format!("/proc/{first}")).exists(), "its containers ended before it");
    // The next one, in the same namespaces no more: only the state counts.
    let mut host = host;
    host.boot(&again(&dir));
    eventually("the policy has started it", || host.inspect("back")["State"]["Running"] == true);
    assert_eq!(host.hull(&["logs", "back"]).ok().matches("told").count(), 1, "it was asked to end");
    assert_eq!(host.inspect("gone")["State"]["Status"], "exited");
    host.keeper_was_killed();
}

#[test]
fn what_dockerd_cannot_do_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    let (link, file) = (dir.path().join("dockerd"), dir.path().join("daemon.json"));
    std::os::unix::fs::symlink(hull_binary(), &link).expect("a link");
    let dockerd = |args: &[&str]| -> Out { run(Command::new(&link).args(args), b"") };
    let with_file = |text: &str, args: &[&str]| {
        fs::write(&file, text).expect("write");
        let path = file.to_string_lossy();
        dockerd(&[&["--validate", "--config-file", &path][..], args].concat())
    };
    assert_eq!(with_file(r#"{"debug": true, "hosts": ["unix:///x"]}"#, &["--init"]).ok(), "configuration OK");
    assert!(dockerd(&["--version"]).ok().starts_with("Docker version "));
    assert!(dockerd(&["--help"]).ok().contains("--storage-driver string"));
    for (text, args, sentence) in [
        ("{}", &["--storage-driver", "btrfs"][..], "--storage-driver cannot be \"btrfs\""),
        ("{}", &["--selinux-enabled"], "--selinux-enabled cannot be true"),
        ("{}", &["--bridge", "br0"], "--bridge cannot be \"br0\""),
        ("{}", &["-H", "tcp://127.0.0.1:2375"], "only with mutual TLS"),
        ("{}", &["-H", "fd://"], "sockets of systemd"),
        ("{}", &["--frob"], "unknown flag `--frob`"),
        (r#"{"debug": false}"#, &["--debug"], "specified both as a flag and in the configuration file: debug"),
        (r#"{"frob": 1}"#, &[], "don't match any configuration option: frob"),
        (r#"{"shutdown-timeout": -5}"#, &[], "`shutdown-timeout` cannot be -5"),
        (r#"{"default-address-pools": [{"base": "10.1.0.0/16", "size": 8}]}"#, &[], "10.1.0.0/16"),
        ("{}", &["--bip", "10.1.0.0"], "`10.1.0.0` is not an address with a prefix"),
        ("{}", &["--ip", "here"], "cannot be used"),
    ] {
        let refused = with_file(text, args).fails(1);
        assert!(refused.contains(sentence), "{text} {args:?}: {refused}");
    }
    // Two that would take what another has.
    let pid = dir.path().join("pid");
    fs::write(&pid, "1").expect("write");
    let root = dir.path().join("root");
    let start = |root: &Path, pid: &Path| {
        let socket = format!("unix://{}", dir.path().join("s").display());
        let (root, pid) = (root.to_string_lossy(), pid.to_string_lossy());
        dockerd(&["--data-root", &root, "--exec-root", &root, "-H", &socket, "-p", &pid]).fails(1)
    };
    assert!(start(&root, &pid).contains("ensure docker is not running or delete"));
    fs::create_dir_all(root.join("image/overlay2")).expect("mkdir");
    assert!(start(&root, &dir.path().join("other")).contains("holds docker's own state"));
    assert!(!dir.path().join("other").exists());
}

/// An authority, a server's and a client's certificate of it, and one that is nobody's.
pub(crate) fn certificates(dir: &Path, address: &str) {
    let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(dir).args(args), b"").ok();
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let subject = format!("subjectAltName=IP:{address}");
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl(&[&new[..], &["-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]].concat());
    let server = ["-subj", "/CN=engine", "-addext", &subject, "-keyout", "server.key", "-out", "server.pem"];
    openssl(&[&new[..], &leaf, &server].concat());
    openssl(&[&new[..], &leaf, &["-subj", "/CN=me", "-keyout", "key.pem", "-out", "cert.pem"]].concat());
    openssl(&[&new[..], &["-subj", "/CN=stranger", "-keyout", "strange.key", "-out", "strange.pem"]].concat());
}

#[test]
fn over_tcp_both_sides_show_certificates() {
    let certs = tempfile::tempdir().expect("a directory");
    certificates(certs.path(), "127.0.0.1");
    let at = certs.path().display();
    let flags = format!(
        "-H tcp://127.0.0.1:2376 --tlsverify --tlscacert {at}/ca.pem --tlscert {at}/server.pem --tlskey {at}/server.key"
    );
    let (host, _dir) = dockerd("{}", &flags, "");
    let ask = |pair: &str| {
        let script = format!(
            "import ssl, http.client as h\nc = ssl.create_default_context(cafile='{at}/ca.pem')\n{pair}\n\
             k = h.HTTPSConnection('127.0.0.1', 2376, context=c, timeout=60)\nk.request('GET', '/_ping')\n\
             print(k.getresponse().read().decode())"
        );
        run(host.inside("python3").args(["-c", &script]), b"")
    };
    let chain = |cert: &str, key: &str| format!("c.load_cert_chain('{at}/{cert}', '{at}/{key}')");
    assert_eq!(ask(&chain("cert.pem", "key.pem")).ok(), "OK");
    assert_ne!(ask("").code, 0, "no certificate");
    assert_ne!(ask(&chain("strange.pem", "strange.key")).code, 0, "a stranger's certificate");
    let plain = "import socket\ns = socket.create_connection(('127.0.0.1', 2376), timeout=60)\n\
                 s.sendall(b'GET /_ping HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n')\nprint(b'HTTP' in s.recv(99))";
    assert_eq!(run(host.inside("python3").args(["-c", plain]), b"").stdout.trim(), "False");
}

#[test]
fn dockerds_bounds_of_transfers_its_proxies_and_its_group_hold() {
    use std::os::unix::fs::MetadataExt;
    let file = r#"{
        "max-concurrent-downloads": 1, "max-concurrent-uploads": 1, "max-download-attempts": 2,
        "insecure-registries": ["registry.example:5000", "direct.example:5000"],
        "proxies": {"http-proxy": "http://user:word@127.0.0.3:3128", "https-proxy": "http://127.0.0.3:3128", "no-proxy": "direct.example"}
    }"#;
    let (host, _dir) = dockerd(file, "--group daemon", "");
    let groups = fs::read_to_string("/etc/group").expect("groups");
    let daemon = groups.lines().find_map(|line| line.strip_prefix("daemon:")?.split(':').nth(1)?.parse::<u32>().ok());
    let socket = fs::metadata(host.socket()).expect("the socket");
    assert_eq!((Some(socket.gid()), socket.mode() & 0o777), (daemon, 0o660));
    // An image of four layers.
    let registry = host.particular_registry();
    let layer = |from: &str, to: &str| {
        host.hull(&[
            "run",
            "--name",
            "making",
            "--network",
            "none",
            from,
            "sh",
            "-c",
            "head -c 20000 /dev/urandom >/file-$$",
        ])
        .ok();
        host.hull(&["commit", "making", to]).ok();
        host.hull(&["rm", "making"]).ok();
    };
    layer("busybox", "made:1");
    layer("made:1", "made:2");
    layer("made:2", "made:3");
    let there = |name: &str| {
        host.hull(&["tag", "made:3", name]).ok();
        host.hull(&["push", "-q", name]).ok();
    };
    there("127.0.0.1:5000/slow/x:1");
    there("127.0.0.1:5000/broken/x:1");
    there("registry.example:5000/far/x:1");
    let requests = registry.requests();
    assert!(requests.iter().any(|one| one["host"] == "127.0.0.3"), "what is far is asked for through the proxy");
    for tag in [
        "made:1",
        "made:2",
        "made:3",
        "127.0.0.1:5000/slow/x:1",
        "127.0.0.1:5000/broken/x:1",
        "registry.example:5000/far/x:1",
    ] {
        host.hull(&["rmi", tag]).ok();
    }
    let refused = host.hull(&["pull", "127.0.0.1:5000/broken/x:1"]).fails(1);
    assert!(refused.contains("503"), "{refused}");
    host.hull(&["pull", "-q", "127.0.0.1:5000/slow/x:1"]).ok();
    assert_ne!(host.hull(&["pull", "direct.example:5000/far/x:1"]).code, 0, "no proxy leads there");
    let requests = registry.requests();
    for method in ["GET", "PUT"] {
        let busy = requests.iter().filter(|one| one["method"] == method).filter_map(|one| one["busy"].as_u64());
        let busy: Vec<u64> = busy.collect();
        assert!(busy.len() >= 3 && busy.iter().all(|count| *count == 1), "{method}: {busy:?}");
    }
    let path = |one: &serde_json::Value| one["path"].as_str().unwrap_or_default().to_owned();
    let tries =
        requests.iter().filter(|one| one["method"] == "GET").map(path).filter(|path| path.contains("/broken/x/blobs/"));
    let mut counts = std::collections::BTreeMap::new();
    tries.for_each(|path| *counts.entry(path).or_insert(0) += 1);
    assert_eq!(counts.values().max(), Some(&2), "each blob is asked for twice: {counts:?}");
}
