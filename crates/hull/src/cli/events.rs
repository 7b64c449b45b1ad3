//! `hull events`: what happens, as it happens.

use hull_types::{Fault, Timestamp};
use hull_wire::EventMessage;

use super::context::Context;
use super::failure::Outcome;
use super::filters::filters;
use super::io;
use super::moments::moment;
use super::parse::Spoken;
use crate::output::format;
use crate::template::Template;

/// Flags of `events`.
#[derive(clap::Args, Debug)]
pub(crate) struct Events {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "string")]
    until: Option<String>,
}

impl Spoken for Events {
    const NAME: &'static str = "events";
    const ABOUT: &'static str = "Get real time events from the server";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let format = self.format.as_deref().unwrap_or_default();
        let template = match format {
            "" | "json" => None,
            text => Some(Template::parse(&format::unescaped(text)).map_err(format::refused)?),
        };
        let time = |flag: &str, value: &Option<String>| value.as_deref().map(|text| moment(flag, text)).transpose();
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        let wanted = filters(&self.filter)?;
        let client = context.client()?;
        for event in client.events(since.as_deref(), until.as_deref(), &wanted).map_err(Fault::from)? {
            let event = event.map_err(Fault::from)?;
            if format.is_empty() {
                io::say(line(&event))?;
                continue;
            }
            let value = serde_json::to_value(&event).map_err(|e| Fault::internal("cannot print an event").cause(e))?;
            match &template {
                None => io::say(value)?,
                Some(template) => io::say(template.render(&value).map_err(format::refused)?)?,
            }
        }
        Ok(0)
    }
}

/// `TIME TYPE ACTION ID (key=value, …)`.
fn line(event: &EventMessage) -> String {
    let nanos = if event.time_nano != 0 { event.time_nano } else { event.time.saturating_mul(1_000_000_000) };
    let mut out =
        format!("{} {} {} {}", Timestamp::from_nanos(nanos).fixed(), event.kind, event.action, event.actor.id);
    if !event.actor.attributes.is_empty() {
        let pairs: Vec<String> = event.actor.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
        out.push_str(&format!(" ({})", pairs.join(", ")));
    }
    out
}
