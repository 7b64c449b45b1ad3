//! Engines elsewhere: contexts, over TCP with TLS, and through ssh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, Out, Settings, hull_binary, run};

use crate::dockerd::{certificates, dockerd};

/// hull with nothing in its environment that names an engine, and this directory of docker's files.
fn alone(config: &Path, args: &[&str]) -> Out {
    let mut command = Command::new(hull_binary());
    for name in ["HULL_HOST", "HULL_ROOT", "HULL_RUN", "DOCKER_HOST", "DOCKER_CONTEXT"] {
        command.env_remove(name);
    }
    run(command.env("DOCKER_CONFIG", config).args(args), b"")
}

#[test]
fn contexts_are_dockers_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let hull = |args: &[&str]| alone(dir.path(), args);
    fs::write(dir.path().join("config.json"), r#"{"auths": {"r.lan": {}}}"#).expect("write");
    let ca = dir.path().join("some-ca.pem");
    fs::write(&ca, "not looked at yet").expect("write");
    let endpoint = format!("host=tcp://box.lan:2376,ca={}", ca.display());
    assert_eq!(hull(&["context", "create", "far", "--description", "a box", "--docker", &endpoint]).ok(), "far");
    hull(&["context", "create", "copy", "--from", "far"]).ok();
    assert_eq!(hull(&["context", "show"]).ok(), "default");
    let list = hull(&["context", "ls"]).ok();
    assert!(list.starts_with("NAME") && list.contains("default *") && list.contains("tcp://box.lan:2376"), "{list}");
    assert_eq!(hull(&["context", "ls", "-q"]).ok(), "copy\ndefault\nfar");
    let seen: serde_json::Value =
        serde_json::from_str(&hull(&["context", "inspect", "far", "copy"]).ok()).expect("JSON");
    assert_eq!((&seen[0]["Name"], &seen[0]["Metadata"]["Description"]), (&"far".into(), &"a box".into()));
    assert_eq!(seen[1]["Endpoints"]["docker"]["Host"], "tcp://box.lan:2376");
    assert_eq!(
        (&seen[0]["TLSMaterial"]["docker"][0], &seen[1]["TLSMaterial"]["docker"][0]),
        (&"ca.pem".into(), &"ca.pem".into())
    );
    let key = Path::new(seen[0]["Storage"]["TLSPath"].as_str().expect("a path")).join("docker/ca.pem");
    assert_eq!(fs::metadata(key).expect("the file").permissions().mode() & 0o777, 0o600);
    assert_eq!(hull(&["context", "use", "far"]).ok(), "far");
    assert_eq!(hull(&["context", "show"]).ok(), "far");
    let config = fs::read_to_string(dir.path().join("config.json")).expect("config.json");
    assert!(config.contains("r.lan") && config.contains("\"far\""), "{config}");
    assert!(
        hull(&["ps"]).fails(1).contains("some-ca.pem") || hull(&["ps"]).fails(1).contains("cannot be used for TLS")
    );
    assert!(hull(&["context", "rm", "far"]).fails(1).contains("is in use"));
    hull(&["context", "update", "far", "--docker", "host=unix:///nonexistent/x.sock"]).ok();
    assert!(hull(&["ps"]).fails(1).contains("/nonexistent/x.sock"), "another's engine is not started here");
    assert!(hull(&["engine", "stop"]).fails(1).contains("another's"));
    let bundle = dir.path().join("far.tar");
    hull(&["context", "export", "far", &bundle.to_string_lossy()]).ok();
    hull(&["context", "import", "again", &bundle.to_string_lossy()]).ok();
    assert!(hull(&["context", "inspect", "again"]).ok().contains("/nonexistent/x.sock"));
    // docker's client reads what hull wrote, and the other way round.
    if run(Command::new("sh").args(["-c", "command -v docker"]), b"").code == 0 {
        let docker = |args: &[&str]| {
            run(Command::new("docker").env_remove("DOCKER_HOST").env("DOCKER_CONFIG", dir.path()).args(args), b"")
        };
        assert_eq!(docker(&["context", "show"]).ok(), "far");
        assert!(docker(&["context", "ls"]).ok().contains("tcp://box.lan:2376"));
        docker(&["context", "create", "theirs", "--docker", "host=ssh://me@box"]).ok();
        assert!(hull(&["context", "inspect", "theirs"]).ok().contains("ssh://me@box"));
        docker(&["context", "import", "third", &bundle.to_string_lossy()]).ok();
        docker(&["context", "export", "copy", &dir.path().join("copy.tar").to_string_lossy()]).ok();
        hull(&["context", "import", "fourth", &dir.path().join("copy.tar").to_string_lossy()]).ok();
        assert!(hull(&["context", "inspect", "fourth"]).ok().contains("ca.pem"));
    }
    hull(&["context", "rm", "-f", "far", "copy"]).ok();
    assert_eq!(hull(&["context", "show"]).ok(), "default");
    fs::write(&bundle, [b'x'; 2048]).expect("write");
    for (args, sentence) in [
        (&["context", "create", "a b"][..], "is invalid"),
        (&["context", "create", "default"], "reserved"),
        (&["context", "create", "x1", "--docker", "host=ftp://x"], "cannot use host"),
        (&["context", "create", "x1", "--docker", "frob=1"], "unrecognized config key: frob"),
        (&["context", "create", "again"], "already exists"),
        (&["context", "use", "nobody"], "context not found"),
        (&["context", "rm", "default"], "cannot be removed"),
        (&["context", "import", "x1", &bundle.to_string_lossy()], "no tar archive"),
        (&["--context", "nobody", "ps"], "context not found"),
    ] {
        let refused = hull(args).fails(1);
        assert!(refused.contains(sentence), "{args:?}: {refused}");
    }
    assert!(hull(&["-H", "unix:///x", "--context", "again", "ps"]).fails(125).contains("conflicting options"));
}

#[test]
fn the_command_line_reaches_an_engine_over_tls() {
    let certs = tempfile::tempdir().expect("a directory");
    certificates(certs.path(), "127.0.0.1");
    let at = certs.path().display().to_string();
    let flags = format!(
        "-H tcp://127.0.0.1:2376 --tlsverify --tlscacert {at}/ca.pem --tlscert {at}/server.pem --tlskey {at}/server.key"
    );
    let (host, _dir) = dockerd("{}", &flags, "");
    let program = hull_binary().to_string_lossy().into_owned();
    let far = |args: &[&str], input: &[u8]| {
        run(host.inside(&program).env_remove("HULL_HOST").env_remove("DOCKER_HOST").args(args), input)
    };
    let endpoint = format!("host=tcp://127.0.0.1:2376,ca={at}/ca.pem,cert={at}/cert.pem,key={at}/key.pem");
    far(&["context", "create", "far", "--docker", &endpoint], b"").ok();
    far(&["context", "use", "far"], b"").ok();
    // The end of its input arrives, and so does all of its output.
    assert_eq!(far(&["run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end"], b"hi\n").ok(), "hi\nend");
    let many = far(&["run", "--rm", "busybox", "seq", "1", "100000"], b"").ok();
    assert!(many.ends_with("\n100000") && many.lines().count() == 100_000);
    far(&["context", "use", "default"], b"").ok();
    let tls = |more: &[&str], envs: &[(&str, &str)]| {
        let mut command = host.inside(&program);
        command.env_remove("HULL_HOST").env("DOCKER_HOST", "tcp://127.0.0.1:2376").envs(envs.iter().copied());
        run(command.args(more).args(["version", "--format", "{{.Server.Os}}"]), b"")
    };
    assert_eq!(tls(&[], &[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &at)]).ok(), "linux");
    let flags = [("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")];
    let flags: Vec<String> = flags.iter().map(|(flag, file)| format!("{flag}={at}/{file}")).collect();
    let flags: Vec<&str> = ["--tlsverify"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    assert_eq!(tls(&flags, &[]).ok(), "linux");
    assert_ne!(tls(&[], &[]).code, 0, "without TLS");
    let strange = format!("{at}/strange.pem");
    assert_ne!(tls(&["--tlsverify", "--tlscacert", &strange], &[]).code, 0, "nobody vouches for it");
    if run(Command::new("sh").args(["-c", "command -v docker"]), b"").code == 0 {
        let mut docker = host.inside("docker");
        docker.env("DOCKER_HOST", "tcp://127.0.0.1:2376").env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", &at);
        let out = run(docker.args(["run", "-i", "--rm", "busybox", "cat"]), b"through docker\n");
        assert_eq!(out.ok(), "through docker");
    }
}

#[test]
fn an_engine_is_reached_through_ssh() {
    let host = Host::with(&Settings::default());
    let bin = host.path().join("bin");
    fs::create_dir_all(&bin).expect("mkdir");
    let script = |name: &str, text: &str| {
        let path = bin.join(name);
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    };
    // What sshd does with it: the words behind the host are a command for the user's shell.
    script(
        "ssh",
        "#!/bin/sh\necho \"$@\" >> \"$0.log\"\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n",
    );
    script(
        "hull",
        &format!(
            "#!/bin/sh\nunset HULL_HOST DOCKER_HOST\nexec {} --host unix://{} \"$@\"\n",
            hull_binary().display(),
            host.socket().display()
        ),
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let far = |args: &[&str], input: &[u8]| run(host.command("hull").env("PATH", &path).args(args), input);
    let said = far(&["-H", "ssh://me@box:2222", "run", "-i", "--rm", "busybox", "cat"], b"through ssh\n").ok();
    assert_eq!(said, "through ssh");
    let log = fs::read_to_string(bin.join("ssh.log")).expect("what ssh was asked");
    assert!(log.contains("-l me -p 2222 -- box") && log.contains("system dial-stdio"), "{log}");
    let bad = far(&["-H", "ssh://-oProxyCommand=x", "ps"], b"");
    assert!(bad.code != 0 && bad.stderr.contains("write ssh://"), "{}", bad.stderr);
    if run(Command::new("sh").args(["-c", "command -v docker"]), b"").code == 0 {
        // docker's client asks for `docker system dial-stdio` there: a link to hull is enough.
        script("ssh", "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 3\nexec hull \"$@\"\n");
        let mut docker = host.command("docker");
        let out =
            run(docker.env("PATH", &path).args(["-H", "ssh://me@box", "version", "--format", "{{.Server.Os}}"]), b"");
        assert_eq!(out.ok(), "linux");
    }
}
