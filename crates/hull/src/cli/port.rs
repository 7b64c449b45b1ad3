//! `hull port`: where a container's ports are published.

use hull_types::Fault;
use hull_wire::PortMap;

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::{Spoken, shortened};

/// Flags of `port`.
#[derive(clap::Args, Debug)]
pub(crate) struct Port {
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
    #[arg(value_name = "PRIVATE_PORT[/PROTO]", hide = true)]
    port: Option<String>,
}

impl Spoken for Port {
    const NAME: &'static str = "port";
    const ABOUT: &'static str = "List port mappings or a specific mapping for the container";
    const USAGE: &'static str = "CONTAINER [PRIVATE_PORT[/PROTO]]";

    fn run(self, context: &Context) -> Outcome {
        let inspected = context.client()?.container_inspect(&self.container, false).map_err(Fault::from)?;
        let ports = inspected.network_settings.ports;
        match &self.port {
            Some(port) => {
                let key = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
                let lines = lines(&ports, |name| name == key).map(|(_, at)| format!("{at}\n")).collect::<String>();
                if lines.is_empty() {
                    let (port, who) = (shortened(port), shortened(&self.container));
                    return Err(Fault::not_found(format!("no public port '{port}' published for {who}")).into());
                }
                io::print(&lines).map(|()| 0)
            }
            None => {
                let lines = lines(&ports, |_| true).map(|(name, at)| format!("{name} -> {at}\n"));
                io::print(&lines.collect::<String>()).map(|()| 0)
            }
        }
    }
}

/// Each published port with its place on the host.
fn lines(ports: &PortMap, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, String)> {
    let chosen = ports.iter().filter(move |(name, _)| wanted(name));
    chosen.flat_map(|(name, bindings)| {
        bindings.iter().flatten().map(move |binding| {
            let (ip, port) = (&binding.host_ip, &binding.host_port);
            (name.as_str(), if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
        })
    })
}
