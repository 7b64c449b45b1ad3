//! docker's CLI over hull prints what it prints over Docker's engine: transcripts in `goldens/`, recorded from Docker 28.5.
//!
//! A transcript is a list of commands, `$ ` before each, with what they print and, unless it is 0, the exit code in brackets. `cargo xtask
//! goldens` asks Docker's own engine anew and writes the answers down; the tests ask hull and compare. Ids, times and what else differs
//! between two runs of one engine is made equal by the rules in `goldens/normal.rs`, and by nothing else.

mod normal;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hull_testkit::{Host, Registry, RegistrySettings, Watch, busybox_tar, run};

use crate::docker::{Docker, oracle};
use crate::words::{Runtime, Words};
use normal::Normal;

/// Functions that the commands may use.
const PRELUDE: &str = include_str!("goldens/prelude.sh");
/// What the transcripts were recorded with: another CLI has other words.
const CLIENT: &str = "Docker version 28.";

/// An engine, and a directory in which its transcript's commands run.
trait Stage {
    /// A shell in the engine's network, led to the engine.
    fn shell(&self) -> Command;
    fn work(&self) -> PathBuf;
}

impl Stage for Docker {
    fn shell(&self) -> Command {
        self.program("sh")
    }

    fn work(&self) -> PathBuf {
        self.room().path().join("work")
    }
}

struct Hull {
    host: Host,
    /// What the commands speak to.
    watch: Watch,
    registry: Option<Registry>,
}

impl Stage for Hull {
    fn shell(&self) -> Command {
        let mut command = self.host.inside("sh");
        command.env("DOCKER_HOST", self.watch.address());
        let old = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}/usr/bin:{old}:/usr/sbin:/sbin", oracle().display()));
        command
    }

    fn work(&self) -> PathBuf {
        self.host.path().join("work")
    }
}

fn transcript(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/goldens").join(name).with_extension("txt")
}

/// A command of a transcript, and what is known of it.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Lines before it.
    comments: String,
    command: String,
    /// What docker printed, and its exit code.
    docker: String,
    /// What hull prints instead, and why.
    hull: Option<(String, String)>,
}

impl Block {
    /// What hull has to print.
    fn expected(&self) -> &str {
        self.hull.as_ref().map_or(&self.docker, |(_, text)| text)
    }

    fn write(&self) -> String {
        let mut text = format!("{}$ {}\n{}", self.comments, self.command, self.docker);
        if let Some((reason, hull)) = &self.hull {
            let _ = writeln!(text, "~ {reason}");
            for line in hull.lines() {
                let _ = writeln!(text, "{}", format!("| {line}").trim_end());
            }
        }
        text
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let (mut found, mut comments): (Vec<Block>, _) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        let end = line.trim_end_matches('\n');
        if line.starts_with("# ") {
            comments += line;
        } else if let Some(command) = end.strip_prefix("$ ") {
            let command = command.to_owned();
            found.push(Block { comments: std::mem::take(&mut comments), command, ..Block::default() });
        } else if let Some(block) = found.last_mut() {
            match (end.strip_prefix("~ "), end.strip_prefix('|'), &mut block.hull) {
                (Some(reason), ..) => block.hull = Some((reason.to_owned(), String::new())),
                (_, Some(said), Some((_, hull))) => *hull += &format!("{}\n", said.strip_prefix(' ').unwrap_or(said)),
                _ => block.docker += line,
            }
        }
    }
    found
}

/// What the commands print on a stage.
fn play(stage: &impl Stage, blocks: &[Block]) -> Vec<String> {
    let work = stage.work();
    fs::create_dir_all(&work).expect("mkdir");
    fs::copy(busybox_tar(), work.join("busybox.tar")).expect("copy");
    let mut normal = Normal::new(&work);
    let mut one = |block: &Block| {
        let script = format!("cd {}; {PRELUDE}\nexec 2>&1\n{}", work.display(), block.command);
        let mut shell = stage.shell();
        shell.arg("-c").arg(script).env("DOCKER_CONFIG", work.join("config")).env("DOCKER_CLI_HINTS", "false");
        shell.env("TZ", "UTC").env("LC_ALL", "C").env_remove("DOCKER_CONTEXT");
        let out = run(&mut shell, b"");
        let mut said = normal.apply(&out.stdout);
        if !said.is_empty() && !said.ends_with('\n') {
            said += "\\\n";
        }
        if out.code != 0 {
            let _ = writeln!(said, "[{}]", out.code);
        }
        said
    };
    blocks.iter().map(&mut one).collect()
}

/// Whether docker's CLI is the one that the transcripts were recorded with.
fn is_recorded_client() -> bool {
    let said = run(Command::new(oracle().join("usr/bin/docker")).arg("--version"), b"").ok();
    let same = said.starts_with(CLIENT);
    if !same {
        eprintln!("the transcripts are of {CLIENT}x, this is {said}: not compared");
    }
    same
}

#[track_caller]
fn hull_answers_as_recorded(name: &str, registry: bool) {
    if !is_recorded_client() {
        return;
    }
    let host = Host::new();
    let registry = registry.then(|| host.registry(&RegistrySettings::default()));
    let stage = Hull { watch: host.watch(), host, registry };
    let blocks = blocks(&fs::read_to_string(transcript(name)).expect("the transcript"));
    let played = play(&stage, &blocks);
    drop(stage.registry);
    stage.host.hull(&["ps", "-aq"]).ok().lines().for_each(|id| drop(stage.host.hull(&["rm", "-fv", id])));
    stage.host.hull(&["volume", "prune", "-af"]).ok();
    stage.host.hull(&["network", "prune", "-f"]).ok();
    if let Some(dir) = std::env::var_os("HULL_TEST_GOLDENS") {
        // To be looked at beside the recorded ones.
        let all = blocks.iter().zip(&played).map(|(block, said)| format!("$ {}\n{said}", block.command));
        fs::write(Path::new(&dir).join(name).with_extension("txt"), all.collect::<String>()).expect("write");
    }
    let mut differences = String::new();
    for (block, said) in blocks.iter().zip(&played).filter(|(block, said)| block.expected() != *said) {
        let _ = write!(differences, "$ {}\n--- expected\n{}--- said\n{said}", block.command, block.expected());
    }
    assert!(differences.is_empty(), "{differences}");
    stage.watch.is_content(3);
}

/// What is different on purpose is said to users.
#[test]
fn docs_list_what_hull_prints_otherwise_than_docker() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/docker.md");
    let page = fs::read_to_string(page).expect("docs/docker.md");
    for name in NAMES {
        for block in blocks(&fs::read_to_string(transcript(name)).expect("the transcript")) {
            let Some((reason, _)) = block.hull else { continue };
            assert!(page.contains(&reason), "{name}: `{}` differs: {reason}", block.command);
        }
    }
}

macro_rules! transcripts {
    ($($name:ident $test:ident $registry:literal;)*) => {
        $(#[test]
        fn $test() {
            hull_answers_as_recorded(stringify!($name), $registry);
        })*

        const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Asks Docker's engine; `cargo xtask goldens` runs it. `HULL_TEST_ONLY` names one of them.
        #[test]
        #[ignore = "it writes the transcripts"]
        fn record() {
            let only = std::env::var("HULL_TEST_ONLY").ok();
            for (name, registry) in [$((stringify!($name), $registry)),*] {
                if only.as_deref().is_none_or(|only| only == name) {
                    let docker = Docker::up(Runtime::Runc);
                    if registry {
                        docker.serve_registry();
                    }
                    let file = transcript(name);
                    let mut blocks = blocks(&fs::read_to_string(&file).expect("the transcript"));
                    for (block, said) in play(&docker, &blocks).into_iter().enumerate() {
                        blocks[block].docker = said;
                    }
                    fs::write(&file, blocks.iter().map(Block::write).collect::<String>()).expect("write");
                }
            }
        }
    };
}

transcripts! {
    containers docker_prints_of_containers_what_it_prints_of_dockers false;
    details docker_inspects_containers_as_dockers false;
    exec docker_execs_as_into_dockers false;
    files docker_copies_as_with_docker false;
    images docker_prints_of_images_what_it_prints_of_dockers false;
    registry docker_pulls_and_pushes_as_with_docker true;
    volumes docker_prints_of_volumes_what_it_prints_of_dockers false;
    networks docker_prints_of_networks_what_it_prints_of_dockers false;
    system docker_prints_of_the_system_what_it_prints_of_dockers false;
    events docker_tells_events_as_dockers false;
    errors docker_fails_as_with_docker false;
}
