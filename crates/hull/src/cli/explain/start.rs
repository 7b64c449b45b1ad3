//! The story of a start as text: a line for each step, and where the time went.

use std::time::Duration;

use hull_client::Client;
use hull_types::Fault;
use hull_wire::{StartStep, StartStory};

use super::clean;
use super::paint::Paint;
use crate::output::table::layout_with;

/// Widest bar, in characters.
const WIDTH: usize = 30;

/// What the command line measured itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Until the container was created.
    pub create: Duration,
    /// From the request to start it to the answer.
    pub start: Duration,
}

/// Tells the story of `run`'s start on stderr.
pub(crate) fn tell(client: &Client, id: &str, asked: Asked) -> Result<(), Fault> {
    let story = client.container_start_story(id)?;
    eprint!("{}", page(&story, super::colour(&std::io::stderr())));
    let (create, start) = (micros(nanos(asked.create)), micros(nanos(asked.start)));
    eprintln!("\nthe command line waited {create} µs for the container to be created, {start} µs for it to start");
    Ok(())
}

/// The whole page.
pub(super) fn page(of: &StartStory, colour: bool) -> String {
    let brush = Paint::new(colour);
    let id: String = of.id.chars().take(12).collect();
    let (name, image, took) = (clean(&of.name), clean(&of.image), micros(of.took));
    let steps = of
        .steps
        .iter()
        .map(|step| format!("{}\t{}\t{}\t{}\n", aligned(step.at), aligned(step.took), step.by, words(step)));
    let titles = "     at µs\t   took µs\tby\tstep\n".to_owned();
    let lines = layout_with(&std::iter::once(titles).chain(steps).collect::<String>(), 2);
    let came = match of.error.as_str() {
        "" => format!("started in {took} µs"),
        error => format!("did not start, failed after {took} µs: {}", brush.wrong(&clean(error))),
    };
    // What failed is the last.
    let lines = match lines.trim_end().rsplit_once('\n') {
        Some((before, last)) if !of.error.is_empty() => format!("{before}\n{}\n", brush.wrong(last)),
        _ => lines,
    };
    let (name, spent) = (brush.heading(&name), brush.heading("where the time went"));
    format!("{name} ({id}) of {image}: {came}\n\n{lines}\n{spent}\n{}", layout_with(&shares(of), 2))
}

fn words(step: &StartStep) -> String {
    if step.failed { format!("{}: this failed", clean(&step.what)) } else { clean(&step.what) }
}

/// The parts of the boundary, the longest first.
fn shares(of: &StartStory) -> String {
    let mut parts: Vec<(&str, i64)> = Vec::new();
    for step in &of.steps {
        match parts.iter_mut().find(|(part, _)| *part == step.part) {
            Some((_, sum)) => *sum += step.took,
            None => parts.push((&step.part, step.took)),
        }
    }
    parts.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let whole: i64 = parts.iter().map(|(_, sum)| sum).sum::<i64>().max(1);
    let share = |(part, sum): &(&str, i64)| {
        let (percent, bar) = (sum * 100 / whole, sum * WIDTH as i64 / whole);
        let bar = "▇".repeat(usize::try_from(bar).unwrap_or(0));
        format!("  {part}\t{}\t{percent:>3} %\t{bar}\n", aligned(*sum))
    };
    parts.iter().map(share).collect()
}

fn nanos(of: Duration) -> i64 {
    i64::try_from(of.as_nanos()).unwrap_or(i64::MAX)
}

fn micros(nanos: i64) -> String {
    format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100)
}

fn aligned(nanos: i64) -> String {
    format!("{:>10}", micros(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(at: i64, took: i64, part: &str) -> StartStep {
        StartStep { at, took, by: "child".into(), part: part.into(), what: "do\u{1b}it".into(), failed: false }
    }

    #[test]
    fn parts_are_summed_and_the_longest_comes_first() {
        let steps = vec![step(0, 1_500, "mounts"), step(1_500, 7_000, "command"), step(8_500, 1_500, "mounts")];
        let story = StartStory { name: "web".into(), took: 10_000, steps, ..StartStory::default() };
        let page = page(&story, false);
        assert!(page.contains("started in 10.0 µs"), "{page}");
        let shares = page.split("where the time went\n").nth(1).unwrap();
        let lines: Vec<&str> = shares.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("command") && lines[0].contains("7.0 ") && lines[0].contains(" 70 %"), "{shares}");
        assert!(lines[1].starts_with("mounts") && lines[1].contains("3.0 ") && lines[1].contains(" 30 %"), "{shares}");
        assert!(!page.contains('\u{1b}'), "what a container chose moves no cursor");
    }

    #[test]
    fn what_failed_is_told_and_red() {
        let steps = vec![step(0, 10, "mounts"), StartStep { failed: true, ..step(10, 10, "mounts") }];
        let story =
            StartStory { name: "web".into(), error: "no\u{1b} such thing".into(), steps, ..StartStory::default() };
        let plain = page(&story, false);
        assert!(plain.contains(": did not start, failed after 0.0 µs: no? such thing\n"), "{plain}");
        assert!(plain.contains("do?it: this failed\n") && !plain.contains('\u{1b}'), "{plain}");
        let red = page(&story, true);
        assert!(red.contains("\u{1b}[31mno? such thing\u{1b}[0m") && red.contains("this failed\u{1b}[0m\n"), "{red}");
    }
}
