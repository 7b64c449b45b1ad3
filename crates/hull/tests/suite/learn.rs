//! The chapters of docs/learn: every command is run, and what the page shows is what comes.
//!
//! A block that is called `console` has commands after `$ `, each followed by its output. `…` stands for anything on a line, a
//! line of `…` for any lines. Each chapter has a host of its own; its commands follow each other there.

use std::fs;
use std::path::Path;
use std::process::Command;

use hull_testkit::{Host, hull_binary, run};

/// A command and the output that the page shows.
struct Step {
    command: String,
    shown: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().expect("a command comes first").shown.push(line.trim_end().to_owned()),
            },
            _ => {}
        }
    }
    steps
}

/// Whether a line is as the page has it.
fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn all_fit(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|skipped| all_fit(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, after)| fits(first, line) && all_fit(rest, after))
        }
    }
}

/// Runs a chapter's commands on a host of its own.
#[track_caller]
fn chapter(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/learn").join(name);
    let steps = steps(&fs::read_to_string(&path).expect("the chapter"));
    assert!(steps.len() >= 4, "{name} has commands");
    let host = Host::new();
    let words = host.path().join("bin");
    fs::create_dir(&words).unwrap();
    std::os::unix::fs::symlink(hull_binary(), words.join("hull")).unwrap();
    let search = format!("{}:{}", words.display(), std::env::var("PATH").unwrap_or_default());
    for step in steps {
        let mut command: Command = host.command("nsenter");
        command.args([
            "-t",
            &host.engine_pid().to_string(),
            // The host of a chapter is the engine's: its mounts are those that the engine sees.
            "-m",
            "-n",
            "--",
            "sh",
            "-c",
            &format!("cd {}; {} 2>&1", host.path().display(), group(&step.command)),
        ]);
        command.env("PATH", &search);
        let out = run(&mut command, b"");
        let lines: Vec<&str> = out.stdout.lines().map(str::trim_end).collect();
        let shown: Vec<String> = step.shown;
        assert!(
            all_fit(&shown, &lines),
            "{name}: $ {}\nthe page shows\n{}\nand there came\n{}",
            step.command,
            shown.join("\n"),
            lines.join("\n")
        );
    }
    host.hull(&["volume", "prune", "--all", "--force"]).ok();
}

/// All of a line's output goes the same way.
fn group(command: &str) -> String {
    format!("{{ {command}\n}}")
}

#[test]
fn the_page_is_compared_strictly() {
    let texts = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(all_fit(&texts(&["a … c", "…", "end"]), &["a b c", "x", "y", "end"]));
    assert!(!all_fit(&texts(&["a … c"]), &["a b d"]));
    assert!(!all_fit(&texts(&["a"]), &["a", "b"]));
    assert!(!all_fit(&texts(&["a", "b"]), &["a"]));
    assert!(!all_fit(&texts(&["ab…"]), &["a b"]));
}

#[test]
fn chapter_one_a_process() {
    chapter("1-process.md");
}

#[test]
fn chapter_two_namespaces() {
    chapter("2-namespaces.md");
}

#[test]
fn chapter_three_the_root_file_system() {
    chapter("3-root-file-system.md");
}

#[test]
fn chapter_four_cgroups() {
    chapter("4-cgroups.md");
}

#[test]
fn chapter_five_images_and_layers() {
    chapter("5-images-and-layers.md");
}

#[test]
fn chapter_six_bridge_and_ports() {
    chapter("6-bridge-and-ports.md");
}

#[test]
fn chapter_seven_confinement() {
    chapter("7-confinement.md");
}
