//! Traffic: connections through a published port, a stream between two containers, questions for names.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::aims::Figures;
use crate::bench::peers;
use crate::bench::stats::median;
use crate::engine::Engine;
use crate::{oracle, sh};

/// How often each rate is measured, in turn with the others, and for how many seconds.
const ROUNDS: usize = 5;
const SECONDS: &str = "1";

/// Where the host's own server listens, and where containers' servers do, inside and published.
const HOST_PORT: &str = "7100";
const PORT: &str = "7001";
const PUBLISHED: &str = "7101";
const SINK: &str = "7002";

/// A network that nothing leaves.
const INNER: &str = "bench-inner";

/// The program that makes traffic.
pub struct Traffic(PathBuf);

impl Traffic {
    /// Compiles it beneath `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        let program = dir.join("traffic");
        peers::compile("xtask/bench/traffic.c", &program)?;
        Ok(Self(program))
    }

    /// What mounts it into a container.
    fn mount(&self) -> String {
        format!("{}:/traffic:ro", self.0.display())
    }

    fn command(&self, words: &[&str]) -> Command {
        sh::cmd(&self.0, words)
    }
}

/// An engine's command line with these words.
type Call = Box<dyn Fn(&[&str]) -> Command>;

/// An engine with two containers that wait for traffic, `serve` and `sink`, and one that makes it, `client`.
pub struct Side {
    name: &'static str,
    engine: Call,
    /// What enters the engine's network namespace.
    enter: Vec<String>,
    sink: String,
}

impl Side {
    /// hull in this namespace.
    pub fn hull(engine: &Engine, traffic: &Traffic) -> Result<Self> {
        let (binary, environment) = engine.access();
        let call = move |words: &[&str]| {
            let mut command = sh::cmd(&binary, words);
            command.envs(environment.iter().cloned());
            command
        };
        Self::new("hull", Box::new(call), Vec::new(), traffic)
    }

    /// Docker's engine, in the namespace in which it runs.
    pub fn docker(host: String, traffic: &Traffic) -> Result<Self> {
        let pid = oracle::pid().context("docker's engine runs, but not as the oracle: its namespace is not known")?;
        let enter = ["nsenter", "--net", "--target", &pid].map(str::to_owned).to_vec();
        let call = move |words: &[&str]| sh::cmd("docker", &[&["-H", &host][..], words].concat());
        Self::new("docker", Box::new(call), enter, traffic)
    }

    fn new(name: &'static str, engine: Call, enter: Vec<String>, traffic: &Traffic) -> Result<Self> {
        let mut side = Self { name, engine, enter, sink: String::new() };
        let (mount, publish) = (traffic.mount(), format!("127.0.0.1:{PUBLISHED}:{PORT}"));
        side.start("serve", &["-v", &mount, "-p", &publish], &["/traffic", "serve", PORT])?;
        side.start("sink", &["-v", &mount], &["/traffic", "sink", SINK])?;
        side.start("client", &["-v", &mount], &["sleep", "1000"])?;
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        side.sink = side.read(&["inspect", "--format", address, "bench-sink"])?;
        Ok(side)
    }

    fn start(&self, name: &str, flags: &[&str], command: &[&str]) -> Result<()> {
        let name = format!("bench-{name}");
        self.read(&[&["run", "-d", "--name", &name][..], flags, &["busybox"], command].concat()).map(drop)
    }

    fn read(&self, words: &[&str]) -> Result<String> {
        sh::read(&mut (self.engine)(words))
    }

    /// Connections per second from the host to the published port.
    fn connections(&self, traffic: &Traffic) -> Result<f64> {
        let words = ["connect", "127.0.0.1", PUBLISHED, SECONDS];
        let mut command = match self.enter.split_first() {
            None => traffic.command(&words),
            Some((program, rest)) => {
                let mut command = sh::cmd(program, &[]);
                command.args(rest).arg(&traffic.0).args(words);
                command
            }
        };
        number(&sh::read(&mut command)?)
    }

    /// MiB per second from one container to another, at its address on the default network.
    fn stream(&self) -> Result<f64> {
        self.stream_to(&self.sink)
    }

    fn stream_to(&self, address: &str) -> Result<f64> {
        number(&self.read(&["exec", "bench-client", "/traffic", "send", address, SINK, SECONDS])?)
    }

    /// Puts both ends on an internal network as well; the address there.
    fn inner(&self) -> Result<String> {
        self.read(&["network", "create", "--internal", INNER])?;
        self.read(&["network", "connect", INNER, "bench-client"])?;
        self.read(&["network", "connect", INNER, "bench-sink"])?;
        let address = format!("{{{{(index .NetworkSettings.Networks {INNER:?}).IPAddress}}}}");
        self.read(&["inspect", "--format", &address, "bench-sink"])
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Err(error) = self.read(&["rm", "-f", "bench-serve", "bench-sink", "bench-client"]) {
            eprintln!("{error:#}");
        }
    }
}

/// A server on the host itself, ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connections per second: the host's loopback, hull's published port, docker's.
pub fn connections(traffic: &Traffic, hull: &Side, docker: Option<&Side>, figures: &mut Figures) -> Result<()> {
    let _server = Server(traffic.command(&["serve", HOST_PORT]).stdin(Stdio::null()).spawn()?);
    std::thread::sleep(Duration::from_millis(200));
    let (mut plain, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(number(&sh::read(&mut traffic.command(&["connect", "127.0.0.1", HOST_PORT, SECONDS]))?)?);
        ours.push(hull.connections(traffic)?);
        if let Some(docker) = docker {
            theirs.push(docker.connections(traffic)?);
        }
    }
    println!("\n### connections per second to 127.0.0.1\n\n| | |\n|---|---|");
    println!("| a server on the host | {:.0} |\n| published by hull | {:.0} |", median(&plain), median(&ours));
    figures.note("connections/loopback", median(&ours) / median(&plain));
    if docker.is_some() {
        println!("| published by docker | {:.0} |", median(&theirs));
        figures.note("connections/docker", median(&ours) / median(&theirs));
        // What no forwarding at all would reach: the bound of the aim.
        println!("| the server on the host, beside docker's | {:.2} × |", median(&plain) / median(&theirs));
    }
    Ok(())
}

/// One stream from container to container, on the default network and on hull's internal one.
pub fn between(hull: &Side, docker: Option<&Side>, figures: &mut Figures) -> Result<()> {
    let (mut ours, mut inner, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let address = hull.inner()?;
    for _ in 0..ROUNDS {
        ours.push(hull.stream()?);
        inner.push(hull.stream_to(&address)?);
        if let Some(docker) = docker {
            theirs.push(docker.stream()?);
        }
    }
    println!(
        "\n### MiB per second from container to container\n\n| | |\n|---|---|\n| {0} | {1:.0} |\n| {0}, an internal network | {2:.0} |",
        hull.name,
        median(&ours),
        median(&inner)
    );
    if let Some(docker) = docker {
        println!("| {} | {:.0} |", docker.name, median(&theirs));
        figures.note("stream/docker", median(&ours) / median(&theirs));
    }
    Ok(())
}

/// Questions for the name of a container, 32 in flight.
pub fn names(engine: &Engine, traffic: &Traffic, figures: &mut Figures) -> Result<()> {
    engine.read(&["network", "create", "bench"])?;
    for name in ["web", "asks"] {
        let mount = traffic.mount();
        engine.read(&["run", "-d", "--name", name, "--network", "bench", "-v", &mount, "busybox", "sleep", "1000"])?;
    }
    let (mut rates, mut late) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let text = engine.read(&["exec", "asks", "/traffic", "dns", "127.0.0.11", "web", "32", SECONDS])?;
        let (rate, p99) = text.split_once(' ').context("the traffic program prints two numbers")?;
        rates.push(number(rate)?);
        late.push(number(p99)?);
    }
    println!("\n### names, 32 questions in flight\n\n| answers per second | 99th percentile, us |\n|---|---|");
    println!("| {:.0} | {:.0} |", median(&rates), median(&late));
    figures.note("answers", median(&rates));
    figures.note("answers p99", median(&late) / 1e3);
    engine.read(&["rm", "-f", "web", "asks"])?;
    engine.read(&["network", "rm", "bench"]).map(drop)
}

fn number(text: &str) -> Result<f64> {
    text.trim().parse().with_context(|| format!("not a number: `{text}`"))
}
