//! Registries with customs of their own: tags by pages, uploads in pieces, identity tokens, proxies before them,
//! certificates that they ask for, mirrors that docker's configuration names.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, RegistrySettings, Settings, request, run};

const HERE: &str = "127.0.0.1:5000";

fn names(host: &Host) -> Vec<String> {
    let listed = host.hull(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    let mut names: Vec<String> = listed.lines().filter(|line| line.starts_with(HERE)).map(str::to_owned).collect();
    names.sort();
    names
}

fn push(host: &Host, name: &str) {
    host.hull(&["tag", "busybox", name]).ok();
    host.hull(&["push", "-q", name]).ok();
    host.hull(&["rmi", name]).ok();
}

#[test]
fn all_tags_of_a_repository_are_pulled_page_by_page() {
    let host = Host::new();
    let registry = host.particular_registry();
    let repository = format!("{HERE}/pages/x");
    let tags = ["1", "2", "three"].map(|tag| format!("{repository}:{tag}"));
    tags.iter().for_each(|name| push(&host, name));
    let said = host.hull(&["pull", "--all-tags", &repository]).ok();
    assert_eq!(names(&host), tags);
    for part in ["1: Pulling from pages/x", "three: Pulling from pages/x", "Status: Downloaded newer image for"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.ends_with(&repository), "{said}");
    let pages = registry.requests().iter().filter(|asked| asked["path"].as_str().unwrap().contains("/tags/")).count();
    assert_eq!(pages, 4, "three tags, one each, and the end");
    assert!(host.hull(&["pull", "-a", &repository]).ok().contains("Status: Image is up to date for"));
    // Over the API no tag, and an empty one, mean all.
    for rest in ["", "&tag="] {
        host.hull(&["rmi", &tags[0], &tags[1], &tags[2]]).ok();
        host.raw(&request("POST", &format!("/images/create?fromImage={repository}{rest}"), None));
        assert_eq!(names(&host), tags, "`{rest}`");
    }
    let tagged = host.hull(&["pull", "-a", &tags[0]]).fails(125);
    assert!(tagged.contains("tag can't be used with --all-tags"), "{tagged}");
    let missing = host.hull(&["pull", "-a", &format!("{HERE}/none")]).fails(1);
    assert!(missing.contains("repository name not known"), "{missing}");
}

#[test]
fn large_blobs_are_sent_in_pieces_where_a_registry_wants_them_so() {
    let host = Host::new();
    let registry = host.particular_registry();
    // Noise: 20 MB that no compression makes smaller.
    let tree = host.path().join("tree");
    fs::create_dir_all(&tree).expect("mkdir");
    run(
        Command::new("dd").args(["if=/dev/urandom", "bs=1M", "count=20"]).arg(format!("of={}/noise", tree.display())),
        b"",
    )
    .ok();
    let tar = host.path().join("noise.tar");
    run(Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&tar).arg("noise"), b"").ok();
    // `small` answers 413 to the whole, `chunks` asks for pieces of at least 9 MiB.
    for (custom, least, most) in [("small", 3, 8 << 20), ("chunks", 3, 9 << 20)] {
        let name = format!("{HERE}/{custom}/noise:1");
        host.hull(&["import", &tar.to_string_lossy(), &name]).ok();
        let id = host.inspect(&name)["Id"].clone();
        host.hull(&["push", "-q", &name]).ok();
        let asked = registry.requests();
        let here = format!("/upload/{custom}/");
        let pieces = asked
            .iter()
            .filter(|one| one["method"] == "PATCH" && one["path"].as_str().is_some_and(|path| path.starts_with(&here)));
        let lengths: Vec<u64> = pieces.map(|one| one["length"].as_str().unwrap().parse().unwrap()).collect();
        assert!(lengths.len() >= least && lengths.iter().all(|length| *length <= most), "{custom}: {lengths:?}");
        host.hull(&["rmi", &name]).ok();
        host.hull(&["pull", "-q", &name]).ok();
        assert_eq!(host.inspect(&name)["Id"], id, "{custom}");
        host.hull(&["rmi", &name]).ok();
    }
}

#[test]
fn an_identity_token_is_kept_instead_of_the_password() {
    let host = Host::new();
    let registry = host.particular_registry();
    let front = "127.0.0.2:5000";
    host.hull_input(&["login", "-u", "me", "--password-stdin", front], b"wrong").fails(1);
    host.hull_input(&["login", "-u", "me", "--password-stdin", front], b"secret").ok();
    let kept = fs::read_to_string(host.path().join("docker/config.json")).expect("it is kept");
    assert!(
        kept.contains(r#""identitytoken": "identity""#) || kept.contains(r#""identitytoken":"identity""#),
        "{kept}"
    );
    assert!(!kept.contains("bWU6c2VjcmV0"), "the password is not kept: {kept}");
    let name = format!("{front}/token/x:1");
    push(&host, &name);
    host.hull(&["pull", "-q", &name]).ok();
    let asked = registry.requests();
    let exchanged = asked
        .iter()
        .any(|one| one["method"] == "POST" && one["form"]["refresh_token"] == "identity" && one["auth"].is_null());
    assert!(exchanged, "{asked:?}");
    host.hull(&["logout", front]).ok();
    host.hull(&["pull", &name]).fails(1);
}

#[test]
fn proxies_of_the_environment_are_used_and_loopback_needs_none() {
    let etc = tempfile::tempdir().expect("a directory");
    let far = "registry.example:5000";
    let config = format!(r#"{{"patience":60,"insecure":["{far}","direct.example:5000"]}}"#);
    fs::write(etc.path().join("registries.json"), config).expect("write");
    let env = [
        ("HULL_ETC", etc.path().to_str().expect("UTF-8")),
        ("HTTP_PROXY", "http://user:word@127.0.0.3:3128"),
        ("HTTPS_PROXY", "http://127.0.0.3:3128"),
        ("NO_PROXY", "direct.example"),
    ];
    let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let host = Host::with(&Settings { env, ..Settings::default() });
    let registry = host.particular_registry();
    let proxied = || -> Vec<_> { registry.requests().into_iter().filter(|one| one["host"] == "127.0.0.3").collect() };
    // Nobody but the proxy knows where that is.
    push(&host, &format!("{far}/a/x:1"));
    host.hull(&["pull", "-q", &format!("{far}/a/x:1")]).ok();
    let through = proxied();
    assert!(through.iter().any(|one| one["method"] == "CONNECT" && one["path"] == far), "TLS was tried: {through:?}");
    let plain = through.iter().find(|one| one["method"] == "PUT").expect("uploads went through");
    assert!(plain["path"].as_str().unwrap().starts_with(&format!("http://{far}/")), "{plain}");
    assert_eq!(plain["proxy_auth"], "Basic dXNlcjp3b3Jk");
    push(&host, &format!("{HERE}/a/y:1"));
    let err = host.hull(&["pull", "direct.example:5000/a/x:1"]).fails(1);
    assert!(err.contains("direct.example"), "{err}");
    assert_eq!(proxied().len(), through.len(), "neither went through the proxy");
}

#[test]
fn a_registry_that_asks_for_a_certificate_gets_ours() {
    let etc = tempfile::tempdir().expect("a directory");
    let env = vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())];
    let setup = "ip addr add 10.77.0.1/32 dev lo".to_owned();
    let host = Host::with(&Settings { env, setup, ..Settings::default() });
    let openssl = |key: &Path, cert: &Path, more: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", "/CN=x"]).args(more).arg("-keyout").arg(key).arg("-out").arg(cert);
        run(&mut command, b"").ok();
    };
    let at = |name: &str| etc.path().join(name);
    openssl(&at("server.key"), &at("server.crt"), &["-addext", "subjectAltName=IP:10.77.0.1"]);
    openssl(&at("ca.key"), &at("ca.crt"), &[]);
    let (ca, ca_key) = (at("ca.crt"), at("ca.key"));
    let signed = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", ca.to_str().unwrap(), "-CAkey"];
    openssl(&at("own.key"), &at("own.crt"), &[&signed[..], &[ca_key.to_str().unwrap()]].concat());
    // The second registry lets nobody in: hull knows a certificate for the first only.
    let addresses = ["10.77.0.1:5443", "10.77.0.1:5444"];
    for (address, ours) in addresses.into_iter().zip([true, false]) {
        let certs = etc.path().join("certs.d").join(address);
        fs::create_dir_all(&certs).expect("mkdir");
        fs::copy(at("server.crt"), certs.join("ca.crt")).expect("copy");
        for kind in ["key", "crt"].iter().filter(|_| ours) {
            fs::copy(at(&format!("own.{kind}")), certs.join(format!("client.{}", kind.replace("crt", "cert"))))
                .expect("copy");
        }
    }
    let http = format!(
        "  tls:\n    certificate: {}\n    key: {}\n    clientcas:\n      - {}\n",
        at("server.crt").display(),
        at("server.key").display(),
        ca.display()
    );
    let _registries = addresses.map(|address| {
        host.registry(&RegistrySettings { address: address.to_owned(), http: http.clone(), ..Default::default() })
    });
    push(&host, "10.77.0.1:5443/x:1");
    host.hull(&["pull", "-q", "10.77.0.1:5443/x:1"]).ok();
    host.hull(&["tag", "busybox", "10.77.0.1:5444/x:1"]).ok();
    host.hull(&["push", "10.77.0.1:5444/x:1"]).fails(1);
}

#[test]
fn zstd_layers_are_pulled_and_run() {
    let host = Host::new();
    let other = "127.0.0.1:5001";
    let _registries = [HERE, other]
        .map(|address| host.registry(&RegistrySettings { address: address.to_owned(), ..Default::default() }));
    push(&host, &format!("{other}/plain:1"));
    // skopeo compresses only what is not compressed, and takes what a registry has before it sends anything.
    let plain = format!("docker://{other}/plain:1");
    let [bare, packed] = ["bare", "packed"].map(|name| format!("dir:{}", host.path().join(name).display()));
    let packing = ["--format", "oci", "--dest-compress", "--dest-compress-format", "zstd"];
    host.skopeo(&["copy", "-q", "--src-tls-verify=false", "--dest-decompress", &plain, &bare]).ok();
    host.skopeo(&[&["copy", "-q"][..], &packing, &[&bare, &packed]].concat()).ok();
    host.skopeo(&["copy", "-q", "--dest-tls-verify=false", &packed, &format!("docker://{HERE}/zstd:1")]).ok();
    host.hull(&["rmi", "busybox"]).ok();
    let name = format!("{HERE}/zstd:1");
    let manifest = host.hull(&["manifest", "inspect", &name]).ok();
    assert!(manifest.contains("application/vnd.oci.image.layer.v1.tar+zstd"), "{manifest}");
    host.hull(&["pull", "-q", &name]).ok();
    assert_eq!(host.hull(&["run", "--rm", &name, "echo", "hi"]).ok(), "hi");
}

#[test]
fn mirrors_of_dockers_configuration_stand_in_for_docker_hub() {
    let etc = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(etc.path().join("docker")).expect("mkdir");
    let config = format!(r#"{{"registry-mirrors":["http://{HERE}"],"log-level":"warn"}}"#);
    fs::write(etc.path().join("docker/daemon.json"), config).expect("write");
    // In the host's own mount namespace only.
    let setup = format!("mount -t overlay -o lowerdir={}:/etc etc /etc", etc.path().display());
    let host = Host::with(&Settings { setup, ..Settings::default() });
    let _registry = host.registry(&RegistrySettings::default());
    push(&host, &format!("{HERE}/library/hello:1"));
    push(&host, &format!("{HERE}/someone/hello:1"));
    host.hull(&["pull", "-q", "hello:1"]).ok();
    let said = host.hull(&["pull", "someone/hello:1"]).ok();
    assert!(said.ends_with("docker.io/someone/hello:1"), "{said}");
    assert!(host.inspect("hello:1")["RepoTags"].to_string().contains("\"hello:1\""));
}

/// An archive for `load`: layers of `mib` MiB each, packed by zstd with windows of 2^n bytes.
fn with_windows(host: &Host, windows: &[u32], mib: u32) -> String {
    let script = r#"
set -eu; cd "$1"; mkdir windows; cd windows; mib=$2; shift 2
list=; for window; do
    dd if=/dev/urandom of=noise bs=1M count=$mib status=none
    tar -cf layer.tar noise
    at=$(sha256sum layer.tar | cut -d' ' -f1)
    echo $at >> diffs
    # From a pipe: the size of a file would bound the window.
    zstd -q -1 --long=$window -c < layer.tar > layer-$at
    rm layer.tar noise
    list="$list,\"layer-$at\""
done
printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["x"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$(sed 's/.*/"sha256:&"/' diffs | paste -sd,)" > config.json
printf '[{"Config":"config.json","RepoTags":["windows:1"],"Layers":[%s]}]' "${list#,}" > manifest.json
tar -cf ../windows.tar manifest.json config.json layer-*
rm -r ../windows
"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(host.path()).arg(mib.to_string()).args(windows.iter().map(u32::to_string));
    run(&mut command, b"").ok();
    host.path().join("windows.tar").to_string_lossy().into_owned()
}

#[test]
fn no_image_costs_the_engine_more_than_128_mib() {
    // RFC 8878 recommends 2^23; builders' best levels write 2^25.
    for (windows, mib) in [([23, 23, 23, 23], 18), ([23, 25, 23, 25], 36)] {
        let host = Host::new();
        let _registry = host.registry(&RegistrySettings::default());
        host.hull(&["load", "-q", "-i", &with_windows(&host, &windows, mib)]).ok();
        let name = format!("{HERE}/windows:1");
        host.hull(&["tag", "windows:1", &name]).ok();
        host.hull(&["push", "-q", &name]).ok();
        host.hull(&["rmi", &name, "windows:1"]).ok();
        host.hull(&["pull", "-q", &name]).ok();
        let peak = host.engine_peak();
        assert!(peak < 128, "{windows:?}: the engine had {peak} MiB at its peak");
        eprintln!("{windows:?}: the engine had {peak} MiB at its peak");
        assert!(host.hull(&["image", "check"]).ok().contains(" 0 broken"));
    }
    // What asks for more is refused.
    let host = Host::new();
    let err = host.hull(&["load", "-q", "-i", &with_windows(&host, &[27], 1)]).fails(1);
    assert!(err.contains("needs 128 MiB of memory for its window; at most 32 MiB are given"), "{err}");
}
