//! Pull and push with real registries: docker-registry, with skopeo and docker's own CLI as further clients.

use std::fs;

use hull_testkit::{Host, RegistrySettings, Settings, run};

const HERE: &str = "127.0.0.1:5000";

fn digest_of(pushed: &str) -> String {
    let at = pushed.find("digest: ").unwrap_or_else(|| panic!("no digest: {pushed}")) + 8;
    pushed[at..at + 71].to_owned()
}

#[test]
fn what_is_pushed_is_pulled_and_runs_and_skopeo_agrees() {
    let host = Host::new();
    let _registry = host.registry(&RegistrySettings::default());
    let name = format!("{HERE}/a/b:1");
    host.hull(&["tag", "busybox", &name]).ok();
    let pushed = host.hull(&["push", &name]).ok();
    assert!(pushed.contains(&format!("The push refers to repository [{HERE}/a/b]")), "{pushed}");
    assert!(pushed.contains(": Pushed") && pushed.contains("1: digest: sha256:"), "{pushed}");
    let again = host.hull(&["push", &name]).ok();
    assert!(again.contains(": Layer already exists"), "{again}");
    assert_eq!(digest_of(&again), digest_of(&pushed), "the same layers are compressed to the same bytes");
    // skopeo verifies every digest on the way.
    let layout = format!("oci:{}:x", host.path().join("layout").display());
    host.skopeo(&["copy", "-q", "--src-tls-verify=false", &format!("docker://{name}"), &layout]).ok();
    let copied = format!("docker://{HERE}/copied:1");
    host.skopeo(&["copy", "-q", "--dest-tls-verify=false", &layout, &copied]).ok();

    host.hull(&["rmi", &name, "busybox"]).ok();
    let pulled = host.hull(&["pull", &name]).ok();
    for line in
        ["1: Pulling from a/b", ": Pulling fs layer", ": Download complete", ": Pull complete", "Digest: sha256:"]
    {
        assert!(pulled.contains(line), "{line}: {pulled}");
    }
    assert!(pulled.contains(&format!("Status: Downloaded newer image for {name}\n{name}")), "{pulled}");
    assert!(host.hull(&["pull", &name]).ok().contains("Status: Image is up to date"), "it is here");
    assert_eq!(host.hull(&["run", "--rm", &name, "echo", "hi"]).ok(), "hi");
    let digests = host.inspect(&name)["RepoDigests"].to_string();
    assert!(digests.contains(&digest_of(&pushed)), "{digests}");
    // A missing image is pulled; its progress does not disturb the output.
    let out = host.hull(&["run", "--rm", &format!("{HERE}/copied:1"), "echo", "copied"]);
    assert_eq!(out.ok(), "copied");
    // COMPAT(docker 28): of the layers of an image that is here under another name nothing is said.
    let told = out.stderr.contains("Unable to find image") && out.stderr.contains("Status: Downloaded newer image");
    assert!(told && !out.stderr.contains("Pull complete"), "{}", out.stderr);
    let never = host.hull(&["run", "--rm", "--pull", "never", &format!("{HERE}/other"), "true"]).fails(125);
    assert!(never.contains("No such image"), "{never}");
    // What was pulled goes out as it came, to another repository without sending a byte.
    let other = format!("{HERE}/other:2");
    host.hull(&["tag", &name, &other]).ok();
    let mounted = host.hull(&["push", &other]).ok();
    assert!(mounted.contains(": Mounted from a/b"), "{mounted}");
    assert_eq!(digest_of(&mounted), digest_of(&pushed));
    host.hull(&["tag", &name, &format!("{HERE}/other:3")]).ok();
    let all = host.hull(&["push", "--all-tags", &format!("{HERE}/other")]).ok();
    assert!(all.contains("2: digest") && all.contains("3: digest"), "{all}");
    // By digest, and by what is not there.
    host.hull(&["pull", "-q", &format!("{HERE}/other@{}", digest_of(&pushed))]).ok();
    let missing = host.hull(&["pull", &format!("{HERE}/a/b:nope")]).fails(1);
    assert!(missing.contains("manifest unknown"), "{missing}");
    let manifest = host.hull(&["manifest", "inspect", &name]).ok();
    assert!(manifest.contains("\t\"schemaVersion\": 2"), "{manifest}");
    let search = host.hull(&["search", &format!("{HERE}/x")]).fails(1);
    assert!(search.contains("has no search"), "{search}");
}

#[test]
fn the_platform_is_chosen_from_an_index() {
    let host = Host::new();
    let _registry = host.registry(&RegistrySettings::default());
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let name = format!("{HERE}/multi:{architecture}");
        let tar = hull_testkit::busybox_tar();
        let platform = format!("linux/{architecture}");
        host.hull(&["import", "--platform", &platform, "-m", architecture, &tar.to_string_lossy(), &name]).ok();
        let pushed = host.hull(&["push", &name]).ok();
        let size = pushed.rsplit("size: ").next().unwrap().trim().to_owned();
        entries.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            digest_of(&pushed)
        ));
        host.hull(&["rmi", "-f", &name]).ok();
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{}]}}"#, entries.join(","));
    let put = format!(
        "import urllib.request as u; u.urlopen(u.Request('http://{HERE}/v2/multi/manifests/all', method='PUT', data=open('/dev/stdin','rb').read(), headers={{'Content-Type': '{kind}'}}))"
    );
    run(host.inside("python3").args(["-c", &put]), index.as_bytes()).ok();
    let name = format!("{HERE}/multi:all");
    for (flags, expected) in [(vec!["--platform", "linux/arm64"], "arm64"), (vec![], std::env::consts::ARCH)] {
        let mut args = vec!["pull", "-q"];
        args.extend(flags);
        args.push(&name);
        host.hull(&args).ok();
        let found = host.inspect(&name)["Architecture"].as_str().unwrap().to_owned();
        assert_eq!(found, expected.replace("x86_64", "amd64").replace("aarch64", "arm64"));
    }
    let err = host.hull(&["pull", "--platform", "linux/s390x", &name]).fails(1);
    assert!(err.contains("no matching manifest for linux/s390x") && err.contains("linux/amd64"), "{err}");
}

#[test]
fn dockers_own_cli_pulls_and_pushes_through_hull() {
    if !run(std::process::Command::new("sh").args(["-c", "command -v docker"]), b"").stdout.contains("docker") {
        eprintln!("no docker CLI on this machine: its tests show nothing");
        return;
    }
    let host = Host::new();
    let auth = with_password(&host);
    let _registry = host.registry(&auth);
    let name = format!("{HERE}/d:1");
    host.docker(&["tag", "busybox", &name]).ok();
    assert_ne!(host.docker(&["push", &name]).code, 0, "nobody is logged in");
    host.docker(&["login", "-u", "me", "-p", "secret", HERE]).ok();
    let pushed = host.docker(&["push", &name]).ok();
    assert!(pushed.contains("Pushed") && pushed.contains("digest: sha256:"), "{pushed}");
    host.docker(&["rmi", &name]).ok();
    let pulled = host.docker(&["pull", &name]).ok();
    assert!(pulled.contains("Pull complete") || pulled.contains("Already exists"), "{pulled}");
    assert_eq!(host.docker(&["run", "--rm", "--network", "none", &name, "echo", "hi"]).ok(), "hi");
    host.docker(&["logout", HERE]).ok();
}

/// A registry that wants a password: me, secret.
fn with_password(host: &Host) -> RegistrySettings {
    let hashed = "import crypt; print('me:' + crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))";
    let perl = run(
        std::process::Command::new("perl")
            .args(["-e", "print 'me:' . crypt('secret', '$2y$05$abcdefghijklmnopqrstuu')"]),
        b"",
    );
    let line = if perl.stdout.starts_with("me:$2") {
        perl.stdout
    } else {
        run(std::process::Command::new("python3").args(["-c", hashed]), b"").ok()
    };
    let file = host.path().join("htpasswd");
    fs::write(&file, line.trim()).expect("write");
    let more = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
    RegistrySettings { more, ..RegistrySettings::default() }
}

#[test]
fn login_is_kept_used_and_forgotten() {
    let host = Host::new();
    let _registry = host.registry(&with_password(&host));
    let name = format!("{HERE}/p:1");
    host.hull(&["tag", "busybox", &name]).ok();
    let err = host.hull(&["push", &name]).fails(1);
    assert!(err.contains("authentication required"), "{err}");
    let wrong = host.hull_input(&["login", "-u", "me", "--password-stdin", HERE], b"wrong\n").fails(1);
    assert!(wrong.contains("incorrect username or password"), "{wrong}");
    let said = host.hull_input(&["login", "-u", "me", "--password-stdin", HERE], b"secret\n");
    assert_eq!(said.ok(), "Login Succeeded");
    let file = host.path().join("docker/config.json");
    assert!(fs::read_to_string(&file).unwrap().contains("bWU6c2VjcmV0"), "as docker keeps it");
    host.hull(&["push", &name]).ok();
    host.hull(&["pull", "-q", &name]).ok();
    assert!(host.hull(&["logout", HERE]).ok().contains("Removing login credentials"));
    host.hull(&["pull", &name]).fails(1);
    // A helper keeps it where there is one.
    let bin = host.path().join("bin");
    fs::create_dir_all(&bin).expect("mkdir");
    let helper = bin.join("docker-credential-test");
    let kept = host.path().join("kept");
    let script = format!(
        "#!/bin/sh\nf={}\ncase $1 in store) cat > $f;; get) test -s $f && cat $f || {{ echo credentials not found in native keychain; exit 1; }};; erase) rm -f $f;; esac\n",
        kept.display()
    );
    fs::write(&helper, script).expect("write");
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    fs::write(&file, r#"{"credsStore":"test"}"#).expect("write");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let hull = |args: &[&str], input: &[u8]| run(host.command("hull").env("PATH", &path).args(args), input);
    hull(&["login", "-u", "me", "--password-stdin", HERE], b"secret").ok();
    assert!(fs::read_to_string(&kept).unwrap().contains("secret"));
    assert!(!fs::read_to_string(&file).unwrap().contains("bWU6c2VjcmV0"));
    hull(&["pull", "-q", &name], b"").ok();
    hull(&["logout", HERE], b"").ok();
    assert!(!kept.exists());
}

#[test]
fn certificates_prove_a_registry_and_mirrors_stand_in_for_one() {
    let etc = tempfile::tempdir().expect("a directory");
    let address = "10.77.0.1:5443";
    let certs = etc.path().join("certs.d").join(address);
    let settings = Settings {
        env: vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())],
        setup: "ip addr add 10.77.0.1/32 dev lo".to_owned(),
        ..Settings::default()
    };
    let config = format!(r#"{{"patience":60,"mirrors":{{"mirrored.example":["http://{HERE}"]}}}}"#);
    fs::write(etc.path().join("registries.json"), config).expect("write");
    let (key, cert, ca) = (etc.path().join("key.pem"), etc.path().join("cert.pem"), etc.path().join("ca.pem"));
    let ca_key = etc.path().join("ca.key");
    let make = |key: &std::path::Path, cert: &std::path::Path, more: &[&str]| {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "2"]).args(more).arg("-keyout").arg(key).arg("-out").arg(cert);
        run(&mut openssl, b"").ok();
    };
    make(&ca_key, &ca, &["-subj", "/CN=ca"]);
    let (ca_text, ca_key_text) = (ca.to_string_lossy(), ca_key.to_string_lossy());
    let signed = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:10.77.0.1", "-addext"];
    let signed =
        [&signed[..], &["basicConstraints=critical,CA:FALSE", "-CA", &ca_text, "-CAkey", &ca_key_text]].concat();
    make(&key, &cert, &signed);
    fs::create_dir_all(&certs).expect("mkdir");
    fs::copy(&ca, certs.join("ca.crt")).expect("copy");
    // The same certificate is authority and server: once under the right name, once under another.
    let mut own = Vec::new();
    for (address, san) in [("10.77.0.1:5445", "IP:10.77.0.1"), ("10.77.0.1:5446", "DNS:other.example")] {
        let certs = etc.path().join("certs.d").join(address);
        fs::create_dir_all(&certs).expect("mkdir");
        let (key, cert) = (etc.path().join(format!("{address}.key")), certs.join("ca.crt"));
        make(&key, &cert, &["-subj", "/CN=registry", "-addext", &format!("subjectAltName={san}")]);
        own.push((address, cert, key));
    }
    let host = Host::with(&settings);
    let start = |address: &str, cert: &std::path::Path, key: &std::path::Path| {
        let http = format!("  tls:\n    certificate: {}\n    key: {}\n", cert.display(), key.display());
        host.registry(&RegistrySettings { address: address.to_owned(), http, ..Default::default() })
    };
    let secure = start(address, &cert, &key);
    let unknown = start("10.77.0.1:5444", &cert, &key);
    let selves: Vec<_> = own.iter().map(|(address, cert, key)| start(address, cert, key)).collect();
    let plain = host.registry(&RegistrySettings::default());
    let name = format!("{address}/t:1");
    host.hull(&["tag", "busybox", &name]).ok();
    host.hull(&["push", "-q", &name]).ok();
    host.hull(&["pull", "-q", &name]).ok();
    host.hull(&["tag", "busybox", "10.77.0.1:5444/t:1"]).ok();
    let err = host.hull(&["push", "10.77.0.1:5444/t:1"]).fails(1);
    assert!(err.contains("certificate") || err.contains("UnknownIssuer"), "nobody vouches for it: {err}");
    host.hull(&["tag", "busybox", "10.77.0.1:5445/t:1"]).ok();
    host.hull(&["push", "-q", "10.77.0.1:5445/t:1"]).ok();
    host.hull(&["tag", "busybox", "10.77.0.1:5446/t:1"]).ok();
    let err = host.hull(&["push", "10.77.0.1:5446/t:1"]).fails(1);
    assert!(err.contains("certificate"), "it is vouched for under another name: {err}");
    // A mirror answers for a registry that cannot be reached at all.
    host.hull(&["tag", "busybox", &format!("{HERE}/t:1")]).ok();
    host.hull(&["push", "-q", &format!("{HERE}/t:1")]).ok();
    host.hull(&["pull", "-q", "mirrored.example/t:1"]).ok();
    drop((secure, unknown, selves, plain));
}
