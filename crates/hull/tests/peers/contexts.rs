//! `hull context` prints what `docker context` prints, and refuses what it refuses: docker's own CLI beside it, without an engine.

use std::path::Path;
use std::process::Command;

use hull_testkit::{hull_binary, run};

use crate::docker::oracle;

/// One after the other, each in the directory that the ones before it left.
/// Not among them: `host=ftp://…`, which docker takes and cannot use, and templates of an inspection, which reach the document as it is shown.
const COMMANDS: [&str; 32] = [
    "ls",
    "show",
    "create far --description 'a box' --docker host=tcp://box.lan:2376",
    "create far --docker host=tcp://x:1",
    "create 'a b'",
    "create default",
    "create x2 --docker nonsense=1",
    "create copy --from far",
    "ls",
    "ls -q",
    "ls --format '{{.Name}}|{{.Current}}|{{.Description}}|{{.DockerEndpoint}}'",
    "ls --format json",
    "inspect far",
    "inspect far copy -f '{{.Name}}'",
    "inspect nosuch",
    "inspect",
    "update far --description other",
    "update nosuch --description x",
    "use far",
    "show",
    "ls",
    "use nosuch",
    "rm far",
    "export far far.tar",
    "import again far.tar",
    "import far far.tar",
    "inspect again",
    "use default",
    "rm far copy nosuch",
    "rm default",
    "ls -q",
    "rm -f again nosuch",
];

/// What a program prints, and whether it succeeds.
fn played(program: &Path) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let one = |words: &&str| {
        let mut shell = Command::new("sh");
        for name in ["HULL_HOST", "HULL_ROOT", "HULL_RUN", "DOCKER_HOST", "DOCKER_CONTEXT"] {
            shell.env_remove(name);
        }
        let script = format!("cd '{}'; exec '{}' context {words}", dir.path().display(), program.display());
        let out = run(shell.env("DOCKER_CONFIG", dir.path().join("config")).arg("-c").arg(script), b"");
        let said = out.stdout.replace(&dir.path().display().to_string(), "DIR");
        // What is meant to differ: where the engine of this machine is. And Go writes JSON for HTML.
        let said = said.replace("unix:///run/hull/engine.sock", "unix:///var/run/docker.sock");
        let said = said.replace("\\u003c", "<").replace("\\u003e", ">");
        let lines = said.lines().map(|line| line.split("  ").map(str::trim).filter(|part| !part.is_empty()));
        let lines: Vec<String> = lines.map(|parts| parts.collect::<Vec<_>>().join("  ")).collect();
        format!("$ context {words}\n{}\n[{}]\n", lines.join("\n"), if out.code == 0 { "done" } else { "refused" })
    };
    COMMANDS.iter().map(one).collect()
}

#[test]
fn hull_context_prints_what_docker_context_prints() {
    let (docker, hull) = (played(&oracle().join("usr/bin/docker")), played(&hull_binary()));
    let differences: String =
        docker.iter().zip(&hull).filter(|(a, b)| a != b).map(|(a, b)| format!("-- docker\n{a}-- hull\n{b}")).collect();
    assert!(differences.is_empty(), "{differences}");
}
