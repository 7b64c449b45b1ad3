//! `hull info`: the engine, its host, and what does not work here.

use hull_types::{ByteSize, Fault};
use hull_wire::SystemInfo;

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;
use crate::output::format;

/// Flags of `info`.
#[derive(clap::Args, Debug)]
pub(crate) struct Info {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
}

impl Spoken for Info {
    const NAME: &'static str = "info";
    const ABOUT: &'static str = "Display system-wide information";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let info = client.info().map_err(Fault::from)?;
        match self.format.as_deref() {
            None | Some("") => io::print(&page(&info, context))?,
            Some(format) => {
                let value =
                    serde_json::to_value(&info).map_err(|e| Fault::internal("cannot print the answer").cause(e))?;
                io::say(format::object(format, &value).map_err(format::refused)?)?;
            }
        }
        Ok(0)
    }
}

fn page(info: &SystemInfo, context: &Context) -> String {
    let mut out = format!("Client:\n Version: {}\n Host: {}\n\nServer:\n", super::VERSION, context.host);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let value = value.to_string();
        if !value.is_empty() {
            out.push_str(&format!(" {name}: {value}\n"));
        }
    };
    line("Containers", &info.containers);
    line(" Running", &info.containers_running);
    line(" Paused", &info.containers_paused);
    line(" Stopped", &info.containers_stopped);
    line("Images", &info.images);
    line("Server Version", &info.server_version);
    line("Storage Driver", &info.driver);
    for [name, value] in &info.driver_status {
        line(&format!(" {name}"), value);
    }
    line("Logging Driver", &info.logging_driver);
    line("Cgroup Driver", &info.cgroup_driver);
    line("Cgroup Version", &info.cgroup_version);
    line("Networks", &info.plugins.network.join(" "));
    line("Volumes", &info.plugins.volume.join(" "));
    line("Runtimes", &info.runtimes.keys().cloned().collect::<Vec<_>>().join(" "));
    line("Security Options", &info.security_options.join(", "));
    line("Kernel Version", &info.kernel_version);
    line("Operating System", &info.operating_system);
    line("OSType", &info.os_type);
    line("Architecture", &info.architecture);
    line("CPUs", &info.ncpu);
    line("Total Memory", &ByteSize(info.mem_total).human_binary());
    line("Name", &info.name);
    line("ID", &info.id);
    line("Root Dir", &info.docker_root_dir);
    line("Live Restore Enabled", &info.live_restore_enabled);
    if !info.labels.is_empty() {
        line("Labels", &info.labels.join(" "));
    }
    for warning in &info.warnings {
        out.push_str(&format!("\nWARNING: {}", warning.trim_start_matches("WARNING: ")));
    }
    if !info.warnings.is_empty() {
        out.push('\n');
    }
    out
}
