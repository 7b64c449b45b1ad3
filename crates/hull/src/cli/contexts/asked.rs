//! `--docker host=…,ca=…,cert=…,key=…,skip-tls-verify=…` of `context create` and `context update`.

use std::fs;

use hull_types::Fault;

use super::{FILES, Named, Store};
use crate::cli::reach::Reach;

/// The parts that were given.
#[derive(Debug, Default)]
pub(super) struct Asked {
    host: Option<String>,
    skip_verify: Option<bool>,
    from: Option<String>,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Asked {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut asked = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(Fault::invalid(format!("`{part}` of --docker is not key=value")));
            };
            match key {
                "host" => asked.host = Some(value.to_owned()),
                "from" => asked.from = Some(value.to_owned()),
                "skip-tls-verify" => {
                    let on = value.parse().map_err(|_| Fault::invalid("`skip-tls-verify` is true or false"))?;
                    asked.skip_verify = Some(on);
                }
                _ => {
                    let known = FILES.iter().find(|(name, _)| *name == key);
                    let (_, file) = known.ok_or_else(|| {
                        let fault = Fault::invalid(format!("unrecognized config key: {key}"));
                        fault.hint("--docker has host, ca, cert, key, skip-tls-verify and from")
                    })?;
                    let bytes =
                        fs::read(value).map_err(|error| Fault::invalid(format!("cannot read {value}")).cause(error))?;
                    asked.files.push((file, bytes));
                }
            }
        }
        Ok(asked)
    }

    /// Puts it into the context and writes that; nothing is written that could not be used.
    pub(super) fn write(self, store: &Store, mut named: Named) -> Result<(), Fault> {
        let mut files = self.files;
        if let Some(from) = &self.from {
            let other = store.get(from)?;
            (named.host, named.skip_verify) = (other.host, other.skip_verify);
            copy(store, from, &mut files)?;
        }
        named.host = self.host.unwrap_or(named.host);
        named.skip_verify = self.skip_verify.unwrap_or(named.skip_verify);
        if named.host.is_empty() {
            return Err(Fault::invalid("--docker needs a host").hint("as in --docker host=tcp://box:2376,ca=ca.pem"));
        }
        // Looks at the address only; the files are used when it is.
        Reach::of(&named.host, &crate::cli::reach::Tls::default())?;
        store.put(&named, &files)
    }
}

/// The files of another context, where none are given.
pub(super) fn copy(store: &Store, from: &str, files: &mut Vec<(&'static str, Vec<u8>)>) -> Result<(), Fault> {
    for (_, file) in FILES {
        let path = store.material(from).join(file);
        if path.exists() && !files.iter().any(|(given, _)| *given == file) {
            let bytes = fs::read(&path)
                .map_err(|error| Fault::invalid(format!("cannot read {}", path.display())).cause(error))?;
            files.push((file, bytes));
        }
    }
    Ok(())
}
