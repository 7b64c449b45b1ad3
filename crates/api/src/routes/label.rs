//! A socket that is limited to a label: what does not bear it is not there.

use hull_engine::Engine;
use hull_types::{Fault, Kind};

use super::Call;

/// `key` or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(String);

impl Label {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Narrows a request down to what bears the label, or refuses it. The path is that of a socket for reading.
    pub fn narrow(&self, engine: &Engine, call: &mut Call, path: &[&str]) -> Result<(), Fault> {
        match path {
            ["_ping" | "version" | "info"] => Ok(()),
            ["containers", "json"] | ["events" | "volumes" | "networks"] => {
                let mut filters = call.target.query.filters()?;
                filters.add("label", self.0.as_str());
                call.target.query.set("filters", filters.to_json());
                Ok(())
            }
            ["containers", who, ..] => self.container(engine, who),
            ["exec", id, ..] => {
                let missing = || Fault::not_found(format!("No such exec instance: {id}"));
                let exec = engine.exec_inspect(id).map_err(|_| missing())?;
                self.container(engine, &exec.container_id).map_err(|_| missing())
            }
            ["volumes", name] => match engine.volume_inspect(name) {
                Ok(volume) if self.is_of(&volume.labels) => Ok(()),
                _ => Err(Fault::not_found(format!("get {name}: no such volume"))),
            },
            _ => {
                let shown: String = path.join("/").chars().take(128).flat_map(char::escape_debug).collect();
                let why = format!("this socket is limited to the label {}: /{shown} is not allowed", self.0);
                Err(Fault::new(Kind::Forbidden, why))
            }
        }
    }

    /// One that does not bear the label, and none at all, are the same.
    fn container(&self, engine: &Engine, who: &str) -> Result<(), Fault> {
        match engine.inspect(who, false) {
            Ok(found) if self.is_of(&found.config.labels) => Ok(()),
            _ => Err(Fault::not_found(format!("No such container: {who}"))),
        }
    }

    fn is_of(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        match self.0.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(&self.0),
        }
    }
}
