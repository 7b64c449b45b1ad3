//! A socket that is limited to a label: what does not bear it is not there.

use hull_engine::Engine;
use hull_types::{Fault, Kind};
use hull_wire as wire;

use super::{Call, confined};
use crate::http::Method;

/// Labels as objects bear them.
type Labels = std::collections::BTreeMap<String, String>;

/// `key` or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(String);

impl Label {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Narrows a request down to what bears the label, or refuses it. What the path names is named by its id from then on, so
    /// that it is the one that was looked at. The access has been checked.
    pub fn narrow(&self, engine: &Engine, call: &mut Call, path: &mut [String]) -> Result<(), Fault> {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let id = match (call.head.method, &words[..]) {
            (_, ["_ping" | "version" | "info"]) => None,
            (_, ["containers", "json"] | ["events" | "volumes" | "networks"]) => {
                let mut filters = call.target.query.filters()?;
                filters.add("label", self.0.as_str());
                call.target.query.set("filters", filters.to_json());
                None
            }
            (Method::Post, ["containers", "create"]) => {
                confined::creation(self, engine, call)?;
                None
            }
            (Method::Post, ["volumes", "create"]) => {
                confined::volume(self, engine, call)?;
                None
            }
            (_, ["containers", who, verb @ ..]) => {
                let found = self.container(engine, who)?;
                confined::inside(engine, &found, call, verb)?;
                if let (["rename"], Some(name)) = (verb, call.target.query.get("name")) {
                    self.name_is_free(engine, name)?;
                }
                Some(found.id)
            }
            (_, ["exec", id, ..]) => {
                let missing = || Fault::not_found(format!("No such exec instance: {id}"));
                let exec = engine.exec_inspect(id).map_err(|_| missing())?;
                let found = self.container(engine, &exec.container_id).map_err(|_| missing())?;
                if call.head.method == Method::Post {
                    confined::is_confined(engine, &found)?;
                    if exec.process_config.privileged == Some(true) {
                        return Err(confined::refused("`Privileged`"));
                    }
                }
                None
            }
            (_, ["volumes", name]) => match engine.volume_inspect(name) {
                Ok(volume) if self.is_of(&volume.labels) => None,
                _ => return Err(Fault::not_found(format!("get {name}: no such volume"))),
            },
            (_, path) => {
                let shown: String = path.join("/").chars().take(128).flat_map(char::escape_debug).collect();
                let why = format!("this socket is limited to the label {}: /{shown} is not allowed", self.0);
                return Err(Fault::new(Kind::Forbidden, why));
            }
        };
        if let (Some(id), Some(named)) = (id, path.get_mut(1)) {
            *named = id;
        }
        Ok(())
    }

    /// One that does not bear the label, and none at all, are the same.
    pub(super) fn container(&self, engine: &Engine, who: &str) -> Result<wire::ContainerInspectResponse, Fault> {
        match engine.inspect(who, false) {
            Ok(found) if self.is_of(&found.config.labels) => Ok(found),
            _ => Err(Fault::not_found(format!("No such container: {who}"))),
        }
    }

    pub(super) fn is_of(&self, labels: &Labels) -> bool {
        match self.0.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(&self.0),
        }
    }

    /// Adds it to what is to be made, unless that says something else.
    pub(super) fn put_on(&self, labels: &mut Labels) -> Result<(), Fault> {
        let (key, value) = self.0.split_once('=').unwrap_or((&self.0, ""));
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        if self.is_of(labels) {
            return Ok(());
        }
        let why =
            format!("this socket is limited to the label {}: what is made through it bears that and no other", self.0);
        Err(Fault::new(Kind::Forbidden, why))
    }

    /// Whether no container that is not to be seen has the name.
    pub(super) fn name_is_free(&self, engine: &Engine, name: &str) -> Result<(), Fault> {
        let name = name.trim_start_matches('/');
        match engine.inspect(name, false) {
            Ok(found) if found.name.trim_start_matches('/') == name && !self.is_of(&found.config.labels) => {
                Err(Fault::conflict("a container of this name cannot be had through this socket: the name is taken"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn has_volume(&self, engine: &Engine, name: &str) -> Result<(), Fault> {
        if engine.volume_inspect(name).is_ok_and(|volume| self.is_of(&volume.labels)) {
            return Ok(());
        }
        let name: String = name.chars().take(128).flat_map(char::escape_debug).collect();
        let fault = Fault::invalid(format!("there is no volume {name} with the label {}", self.0));
        Err(fault.hint("make it first; directories of the host cannot be had through this socket"))
    }

    /// The default network is everybody's, as is none.
    pub(super) fn has_network(&self, engine: &Engine, name: &str) -> Result<(), Fault> {
        if matches!(name, "" | "default" | "bridge" | "none") {
            return Ok(());
        }
        if name != "host" && engine.network_inspect(name).is_ok_and(|network| self.is_of(&network.labels)) {
            return Ok(());
        }
        let name: String = name.chars().take(128).flat_map(char::escape_debug).collect();
        Err(Fault::invalid(format!("there is no network {name} with the label {}", self.0)))
    }
}
