//! docker's contexts: named engines with their certificates, in docker's own files.
//!
//! ```text
//! $DOCKER_CONFIG/config.json                    currentContext
//! $DOCKER_CONFIG/contexts/meta/<sha256>/meta.json   name, description, host
//! $DOCKER_CONFIG/contexts/tls/<sha256>/docker/      ca.pem, cert.pem, key.pem
//! ```

mod asked;
mod bundle;
pub(super) mod choose;
pub(super) mod create;
pub(super) mod show;
pub(super) mod transfer;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hull_types::{Digest, Fault, Kind};
use serde_json::{Map, Value, json};

use super::reach::Tls;

/// The one that always is: whatever flags and environment say.
pub(crate) const DEFAULT: &str = "default";
/// Files of TLS, and what they are called in `--docker`.
pub(crate) const FILES: [(&str, &str); 3] = [("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")];

/// Where they lie.
pub(crate) struct Store {
    directory: PathBuf,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Named {
    pub name: String,
    pub description: String,
    pub host: String,
    pub skip_verify: bool,
}

impl Store {
    /// docker's directory.
    pub(crate) fn open() -> Self {
        let directory = match std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".docker"),
        };
        Self { directory }
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.directory.join("contexts/meta").join(Digest::of(name.as_bytes()).hex())
    }

    /// Where its certificates are.
    pub(crate) fn material(&self, name: &str) -> PathBuf {
        self.directory.join("contexts/tls").join(Digest::of(name.as_bytes()).hex()).join("docker")
    }

    /// The one that `context use` chose; empty if none.
    pub(crate) fn chosen(&self) -> Result<String, Fault> {
        let config = self.config()?;
        Ok(config.get("currentContext").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Chooses one.
    pub(crate) fn choose(&self, name: &str) -> Result<(), Fault> {
        let mut config = self.config()?;
        if name == DEFAULT {
            config.remove("currentContext");
        } else {
            self.get(name)?;
            config.insert("currentContext".to_owned(), name.into());
        }
        write(&self.directory.join("config.json"), &pretty(&Value::Object(config)))
    }

    fn config(&self) -> Result<Map<String, Value>, Fault> {
        let path = self.directory.join("config.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| broken(&path, &error)),
            Err(error) if is_missing(&error) => Ok(Map::new()),
            Err(error) => Err(broken(&path, &error)),
        }
    }

    /// The one of this name.
    pub(crate) fn get(&self, name: &str) -> Result<Named, Fault> {
        check(name)?;
        let path = self.meta(name).join("meta.json");
        match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|why| broken(&path, &why)),
            Err(error) if is_missing(&error) => {
                let fault = Fault::new(Kind::NotFound, format!("context \"{name}\": context not found"));
                Err(fault.hint("`hull context ls` lists all of them"))
            }
            Err(error) => Err(broken(&path, &error)),
        }
    }

    /// All of them, by name. What cannot be read is left out.
    pub(crate) fn all(&self) -> Vec<Named> {
        let entries = fs::read_dir(self.directory.join("contexts/meta")).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| parse(&fs::read(entry.path().join("meta.json")).ok()?).ok();
        let mut all: Vec<Named> = entries.filter_map(read).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Writes it; a file that is not named keeps what it was.
    pub(crate) fn put(&self, named: &Named, files: &[(&'static str, Vec<u8>)]) -> Result<(), Fault> {
        check(&named.name)?;
        let material = self.material(&named.name);
        for (file, bytes) in files {
            write(&material.join(file), bytes)?;
        }
        write(&self.meta(&named.name).join("meta.json"), &pretty(&named.document()))
    }

    /// Takes it away.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Fault> {
        self.get(name)?;
        let tls = self.material(name);
        let gone = |path: &Path| match fs::remove_dir_all(path) {
            Err(error) if !is_missing(&error) => Err(broken(path, &error)),
            _ => Ok(()),
        };
        gone(tls.parent().unwrap_or(&tls))?;
        gone(&self.meta(name))
    }

    /// What its host needs of TLS.
    pub(crate) fn tls(&self, named: &Named) -> Tls {
        let found = Tls::default().with_directory(&self.material(&named.name));
        let on = found.authority.is_some() || found.certificate.is_some() || named.skip_verify;
        Tls { on, blind: named.skip_verify, ..found }
    }
}

impl Named {
    /// As docker writes it.
    pub(crate) fn document(&self) -> Value {
        let mut metadata = json!({});
        if !self.description.is_empty() {
            metadata["Description"] = self.description.clone().into();
        }
        let endpoint = json!({"Host": self.host, "SkipTLSVerify": self.skip_verify});
        json!({"Name": self.name, "Metadata": metadata, "Endpoints": {"docker": endpoint}})
    }
}

fn parse(bytes: &[u8]) -> Result<Named, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let endpoint = &document["Endpoints"]["docker"];
    let named = Named {
        name: text(&document["Name"]),
        description: text(&document["Metadata"]["Description"]),
        host: text(&endpoint["Host"]),
        skip_verify: endpoint["SkipTLSVerify"].as_bool().unwrap_or(false),
    };
    if named.name.is_empty() || named.host.is_empty() { Err("it has no name or no host".to_owned()) } else { Ok(named) }
}

/// COMPAT(docker 28): its rule for names.
pub(crate) fn check(name: &str) -> Result<(), Fault> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() > 1 && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte)) {
        return Ok(());
    }
    let shown = super::parse::shortened(name);
    Err(Fault::invalid(format!(
        "context name \"{shown}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
    )))
}

fn pretty(document: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(document).unwrap_or_default()
}

/// Written beside and renamed; for this user alone.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let done = || -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let part = path.with_extension(format!("part{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        std::io::Write::write_all(&mut file, bytes)?;
        fs::rename(part, path)
    };
    done().map_err(|error| Fault::internal(format!("cannot write {}", path.display())).cause(error))
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn broken(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::invalid(format!("{} cannot be used", path.display())).cause(why)
}
