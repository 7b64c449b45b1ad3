//! `hull version`: of the client and of the engine.

use hull_types::Fault;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;
use crate::output::format;

/// Flags of `version`.
#[derive(clap::Args, Debug)]
pub(crate) struct Version {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
}

impl Spoken for Version {
    const NAME: &'static str = "version";
    const ABOUT: &'static str = "Show the version information of client and engine";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let server = client.version().map_err(Fault::from)?;
        let (major, minor) = hull_wire::API_VERSION;
        let own = json!({
            "Platform": {"Name": "hull"},
            "Version": super::VERSION,
            "ApiVersion": format!("{major}.{minor}"),
            "DefaultAPIVersion": format!("{major}.{minor}"),
            "Os": std::env::consts::OS,
            "Arch": architecture(),
            "Context": "default",
        });
        let server = serde_json::to_value(&server).map_err(|e| Fault::internal("cannot print the answer").cause(e))?;
        let whole = json!({"Client": own, "Server": server});
        match self.format.as_deref() {
            None | Some("") => io::print(&page(&whole))?,
            Some(format) => io::say(format::object(format, &whole).map_err(format::refused)?)?,
        }
        Ok(0)
    }
}

/// Go's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn page(whole: &Value) -> String {
    let text = |side: &str, field: &str| whole[side][field].as_str().unwrap_or_default().to_owned();
    let mut out = String::from("Client:\n");
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!(" {:<18}{value}\n", format!("{name}:")));
        }
    };
    line("Version", text("Client", "Version"));
    line("API version", text("Client", "ApiVersion"));
    line("OS/Arch", format!("{}/{}", text("Client", "Os"), text("Client", "Arch")));
    out.push_str("\nServer:\n");
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!(" {:<18}{value}\n", format!("{name}:")));
        }
    };
    line("Version", text("Server", "Version"));
    line(
        "API version",
        format!("{} (minimum version {})", text("Server", "ApiVersion"), text("Server", "MinAPIVersion")),
    );
    line("Git commit", text("Server", "GitCommit"));
    line("Built", text("Server", "BuildTime"));
    line("OS/Arch", format!("{}/{}", text("Server", "Os"), text("Server", "Arch")));
    line("Kernel", text("Server", "KernelVersion"));
    out
}
