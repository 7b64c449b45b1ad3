//! What hull aims at, and whether a run meets it.

/// What was measured, by name; whatever a run left out is not there.
#[derive(Default)]
pub struct Figures(Vec<(&'static str, f64)>);

/// One aim: what it is about, the figure's name, how it is bounded.
struct Aim {
    what: &'static str,
    figure: &'static str,
    bound: Bound,
}

enum Bound {
    /// At most so many, in this unit.
    AtMost(f64, &'static str),
    /// At least so many, in this unit.
    AtLeast(f64, &'static str),
    /// At most one part in so many of docker's: the figure is how many times docker takes it.
    PartOfDocker(f64),
}

use Bound::{AtLeast, AtMost, PartOfDocker};

const AIMS: &[Aim] = &[
    aim("`hull run`, back to back", "run/floor", AtMost(3.5, "x floor")),
    aim("`hull run`, 100 ms apart", "run/floor apart", AtMost(3.5, "x floor")),
    aim("`hull run` beside `crun run`, back to back", "run/crun", AtMost(1.0, "x crun")),
    aim("`hull run` beside `crun run`, 100 ms apart", "run/crun apart", AtMost(1.0, "x crun")),
    aim("`hull run` beside docker, back to back", "docker/run", PartOfDocker(25.0)),
    aim("`hull run` beside docker, 100 ms apart", "docker/run apart", PartOfDocker(25.0)),
    aim("API: create, start, wait, remove, back to back", "api/floor", AtMost(2.5, "x floor")),
    aim("API: create, start, wait, remove, 100 ms apart", "api/floor apart", AtMost(2.5, "x floor")),
    aim("`hull exec` beside docker", "docker/exec", PartOfDocker(10.0)),
    aim("50 started in sequence beside docker", "docker/sequence", PartOfDocker(15.0)),
    aim("200 at once: how many failed", "failed", AtMost(0.0, "")),
    aim("keeper and engine, idle", "idle", AtMost(15.0, "MiB PSS")),
    aim("each further idle container", "container", AtMost(100.0, "KiB PSS")),
    aim("the binary", "binary", AtMost(15.0, "MiB")),
    aim("pull of one large layer beside `curl | zcat | tar x`", "pull/floor", AtMost(0.8, "x that")),
    aim("pull of one large layer beside docker", "docker/pull", PartOfDocker(2.0)),
    aim("pull of ten layers beside podman", "ten/podman", AtMost(0.5, "x podman")),
    aim("load of one large layer beside docker", "docker/load", PartOfDocker(2.0)),
    aim("rmi", "rmi", AtMost(50.0, "ms")),
    aim("rmi beside docker", "docker/rmi", PartOfDocker(20.0)),
    aim("what a network adds to a start, with pools", "attach", AtMost(1.0, "ms")),
    aim("what a network adds to a start, without pools", "attach cold", AtMost(3.0, "ms")),
    aim("`hull run` with a network beside docker", "docker/bridge", PartOfDocker(30.0)),
    aim("`hull run` with a network beside podman", "podman/bridge", AtLeast(15.0, "times podman's speed")),
    aim("what 200 published ports add to a start", "ports", AtMost(20.0, "ms")),
    aim("a start with one port after 5,000 others", "port 5000", AtMost(1.5, "x the first")),
    aim("200 at once on a network: how many failed", "failed on a bridge", AtMost(0.0, "")),
    aim("connections to a port on 127.0.0.1", "connections/loopback", AtLeast(0.9, "x loopback")),
    aim("connections to a port beside docker", "connections/docker", AtLeast(4.0, "x docker")),
    aim("a stream from container to container", "stream/docker", AtLeast(1.0, "x docker")),
    aim("names: answers per second", "answers", AtLeast(20_000.0, "")),
    aim("names: 99th percentile with 32 in flight", "answers p99", AtMost(1.0, "ms")),
    aim("API calls other than start, 500 containers: 99th percentile of the worst", "calls p99", AtMost(5.0, "ms")),
    aim("`hull explain` of a container", "explain", AtMost(30.0, "ms")),
    aim("`hull explain` of one of 500 that run", "explain of 500", AtMost(30.0, "ms")),
    aim("the engine with 500 containers that have ended", "500 ended", AtMost(40.0, "MiB PSS")),
    aim("events: changes a second, each told to a reader", "events", AtLeast(1000.0, "")),
    aim("events that the reader was not told", "events lost", AtMost(0.0, "")),
    aim("a container that prints 1 GiB beside docker", "docker/log", PartOfDocker(2.0)),
    aim("`docker version` beside docker", "docker/version", PartOfDocker(1.0)),
    aim("`docker ps -a` of 500 beside docker", "docker/ps", PartOfDocker(1.0)),
    aim("`docker cp` of 200 MB in beside docker", "docker/cp in", PartOfDocker(1.0)),
    aim("`docker cp` of 200 MB out beside docker", "docker/cp out", PartOfDocker(1.0)),
    aim("`docker exec` beside docker", "docker/exec by docker", PartOfDocker(3.0)),
    aim("the engine's memory at its peak: load", "load peak", AtMost(128.0, "MiB")),
    aim("the engine's memory at its peak: pull of one layer", "pull peak", AtMost(128.0, "MiB")),
    aim("the engine's memory at its peak: pull of ten layers", "ten peak", AtMost(128.0, "MiB")),
];

const fn aim(what: &'static str, figure: &'static str, bound: Bound) -> Aim {
    Aim { what, figure, bound }
}

impl Figures {
    /// Notes a figure.
    pub fn note(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    /// Prints each aim and whether it is met; an aim that nothing was measured for is left out.
    pub fn print(&self) {
        println!("\n### aims\n\n| | aim | here | |\n|---|---|---|---|");
        for aim in AIMS {
            if let Some((_, value)) = self.0.iter().find(|(name, _)| *name == aim.figure) {
                println!("| {} | {} |", aim.what, aim.bound.judged(*value));
            }
        }
    }
}

impl Bound {
    fn judged(&self, value: f64) -> String {
        let (aim, here, met) = match self {
            AtMost(most, unit) => (format!("at most {most} {unit}"), format!("{value:.1}"), value <= *most),
            AtLeast(least, unit) => (format!("at least {least} {unit}"), format!("{value:.2}"), value >= *least),
            PartOfDocker(parts) => (format!("at most 1/{parts} of docker's"), format!("1/{value:.1}"), value >= *parts),
        };
        format!("{} | {here} | {}", aim.trim_end(), if met { "met" } else { "**missed**" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_judged() {
        for (bound, value, want) in [
            (AtMost(3.5, "x floor"), 3.5, "at most 3.5 x floor | 3.5 | met"),
            (AtMost(0.0, ""), 1.0, "at most 0 | 1.0 | **missed**"),
            (AtLeast(0.9, "x loopback"), 0.85, "at least 0.9 x loopback | 0.85 | **missed**"),
            (PartOfDocker(25.0), 25.1, "at most 1/25 of docker's | 1/25.1 | met"),
            (PartOfDocker(25.0), 24.6, "at most 1/25 of docker's | 1/24.6 | **missed**"),
        ] {
            assert_eq!(bound.judged(value), want);
        }
    }

    #[test]
    fn each_figure_has_one_aim() {
        let mut names: Vec<_> = AIMS.iter().map(|aim| aim.figure).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AIMS.len());
    }
}
