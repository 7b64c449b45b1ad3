//! The documents: no dead relative link, no dead path in ARCHITECTURE.md's table, and every test that a
//! page names exists.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::sh;

/// Checks every tracked Markdown page.
pub fn run() -> Result<()> {
    let root = sh::root();
    let list =
        sh::read(&mut sh::cmd("git", &["ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.rs"]))?;
    let (pages, code): (Vec<&str>, Vec<&str>) = list.lines().partition(|f| f.ends_with(".md"));
    let sources: String = code.iter().filter_map(|f| fs::read_to_string(root.join(f)).ok()).collect();
    let mut dead = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(root.join(page))?;
        let dir = root.join(page).parent().map(Path::to_path_buf).unwrap_or_default();
        dead.extend(links(&text).into_iter().filter(|l| !exists(&dir, l)).map(|l| format!("{page}: link {l}")));
        dead.extend(paths(&text).into_iter().filter(|p| !root.join(p).exists()).map(|p| format!("{page}: path {p}")));
        dead.extend(
            tests(&text)
                .into_iter()
                .filter(|t| !sources.contains(&format!("fn {t}(")))
                .map(|t| format!("{page}: test {t}")),
        );
    }
    if !dead.is_empty() {
        bail!("named but not there:\n  {}", dead.join("\n  "));
    }
    eprintln!("{} pages", pages.len());
    Ok(())
}

fn exists(dir: &Path, link: &str) -> bool {
    let path = link.split('#').next().unwrap_or_default();
    path.is_empty() || dir.join(PathBuf::from(path)).exists()
}

/// Targets of `[text](target)` that are not URLs.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split(')').next())
        .filter(|l| !l.contains("://") && !l.starts_with('#') && !l.starts_with("mailto:"))
        .collect()
}

/// Words in backticks that are paths of this repository.
fn paths(text: &str) -> Vec<&str> {
    ticked(text)
        .filter(|w| ["crates/", "docs/", "xtask/", "contrib/"].iter().any(|p| w.starts_with(p)))
        .filter(|w| !w.contains(['*', ' ', '{', '<', '…']))
        .map(|w| w.split(':').next().unwrap_or(w))
        .collect()
}

/// Words in backticks of the form `test:name`.
fn tests(text: &str) -> Vec<&str> {
    ticked(text).filter_map(|w| w.strip_prefix("test:")).collect()
}

fn ticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|w| !w.contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_paths_and_test_names_are_found() {
        let text =
            "see [a](docs/a.md#x), [b](https://x.y/) and `crates/sys/src/lib.rs:12`, `test:it_works`, `crates/*`";
        assert_eq!(links(text), ["docs/a.md#x"]);
        assert_eq!(paths(text), ["crates/sys/src/lib.rs"]);
        assert_eq!(tests(text), ["it_works"]);
    }
}
