//! Cuts while an image is pulled: a registry beside the recorded disk, and again beside the engine after the cut.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, Registry, RegistrySettings, run};

/// The image that comes from the registry. It shares no layer with what is loaded.
pub(super) const FAR: &str = "127.0.0.1:5000/far:1";

/// Makes the archive of it: three layers of noise, the first with a shell.
const MAKE: &str = r#"
set -eu; cd "$1"; mkdir far; cd far
diffs=; list=
for at in 1 2 3; do
    mkdir -p "tree$at/bin" "tree$at/far"
    [ $at != 1 ] || cp /bin/busybox tree1/bin/sh
    dd if=/dev/urandom of=tree$at/far/$at bs=64k count=6 status=none
    tar --owner=0 --group=0 -C tree$at -cf layer$at.tar .
    diffs="$diffs,\"sha256:$(sha256sum layer$at.tar | cut -d' ' -f1)\""
    list="$list,\"layer$at.tar\""
done
printf '{"architecture":"%s","os":"linux","config":{"Cmd":["sh","-c","echo far"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$2" "${diffs#,}" > config.json
printf '[{"Config":"config.json","RepoTags":["far:1"],"Layers":[%s]}]' "${list#,}" > manifest.json
tar -cf ../far.tar manifest.json config.json layer*.tar
"#;

/// A registry that has it. The image never was in hull before it is pulled.
pub(super) fn registry(host: &Host) -> Registry {
    let architecture = std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64");
    run(Command::new("sh").args(["-c", MAKE, "sh"]).arg(host.path()).arg(architecture), b"").ok();
    let registry = host.registry(&RegistrySettings::default());
    let from = format!("docker-archive:{}", host.path().join("far.tar").display());
    host.skopeo(&["copy", "-q", "--dest-tls-verify=false", &from, &format!("docker://{FAR}")]).ok();
    registry
}

/// Whatever the cut left of a pull, the next one brings the image, whole.
pub(super) fn again(then: &Host, now: &Host, at: &str) {
    const DATA: &str = "registry-127-0-0-1-5000";
    let place = now.path().join(DATA);
    fs::create_dir_all(&place).expect("mkdir");
    run(Command::new("cp").arg("-r").arg(then.path().join(DATA).join("data")).arg(&place), b"").ok();
    let _registry = now.registry(&RegistrySettings::default());
    let out = now.hull(&["pull", "-q", FAR]);
    assert_eq!(out.code, 0, "{at}: {}\n{}", out.stderr, now.log());
    assert_eq!(now.hull(&["run", "--rm", FAR]).ok(), "far", "{at}");
    assert!(now.hull(&["image", "check"]).ok().contains(" 0 broken"), "{at}");
}
