//! `commit`: what a container changed becomes a layer, and with it an image.

use std::io::{self, Write};

use hull_archive::{Gzip, Hasher};
use hull_types::{Digest, Timestamp};
use serde_json::Value;

use crate::images::tag_of;
use crate::session::{LayerSource, Session, Wanted};
use crate::{Error, HOST_IMAGE, History, Image, ImageConfig, Images, Result, RunConfig, changes};

/// What `commit` is asked for.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// The name to give, `name[:tag]`; none if empty.
    pub reference: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Dockerfile instructions, as of [`crate::ImportOptions`].
    pub changes: Vec<String>,
    /// What the container was run with: the image's configuration unless something below says otherwise.
    pub config: RunConfig,
    /// Replaces and extends `config`, before the instructions do.
    pub over: RunConfig,
    /// The container's command, for the history.
    pub created_by: String,
}

/// A request to commit that has been checked.
pub struct Commit {
    names: Vec<hull_types::ImageRef>,
    config: RunConfig,
    options: CommitOptions,
}

impl CommitOptions {
    /// Checks everything that can be wrong with the options.
    ///
    /// # Errors
    /// [`Error::Change`], or what is wrong with the name.
    pub fn check(self) -> Result<Commit> {
        let names = match self.reference.as_str() {
            "" => Vec::new(),
            name => vec![tag_of(name)?],
        };
        let config = changes::apply_to(merged(&self.config, &self.over)?, &self.changes)?;
        Ok(Commit { names, config, options: self })
    }
}

impl Images {
    /// Makes an image of `base` and a layer that `pack` writes; `pack` says how many entries that has.
    /// Without any, the image has no further layer.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`] if the container's image is gone; whatever `pack` answers.
    pub fn commit(
        &self,
        base: &Digest,
        commit: Commit,
        pack: impl FnOnce(&mut dyn Write) -> Result<u64>,
    ) -> Result<Image> {
        let Commit { names, config, options } = commit;
        let (image, _hold) = self.resolve_held(base.as_str())?;
        if image.is_host() {
            return Err(Error::BuiltIn(HOST_IMAGE));
        }
        let below = self.index().images.get(base).map(|known| known.row.layers.clone()).unwrap_or_default();
        let mut session = Session::new(self)?;
        let mut to = Packed { to: Gzip::new(self.inner.content.ingest()?), hasher: Hasher::default() };
        let entries = pack(&mut to)?;
        let diff_id = to.hasher.digest();
        let blob = to.to.finish().map_err(hull_archive::Error::Write)?.finish(None)?;
        let mut layers = below;
        if entries > 0 {
            let wanted = |layer: &crate::records::LayerRow| Wanted {
                diff_id: layer.diff_id,
                blob: layer.blob,
                size: None,
                exact: true,
            };
            let mut all: Vec<Wanted> = layers.iter().map(wanted).collect();
            all.push(Wanted { diff_id, blob: blob.digest(), size: None, exact: false });
            session.keep(blob);
            layers = session.layers(&all, &Nothing)?;
        }
        let now = Timestamp::now().to_string();
        let mut full = ImageConfig::clone(&image.config);
        full.created.clone_from(&now);
        full.author.clone_from(&options.author);
        full.comment.clone_from(&options.message);
        full.config = config;
        full.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        full.history.push(History {
            created: now,
            created_by: options.created_by,
            author: options.author,
            comment: options.message,
            empty_layer: entries == 0,
        });
        let bytes = serde_json::to_vec(&full).map_err(|error| Error::document("the image's configuration", error))?;
        let id = session.image(full, &bytes, layers, None, names)?;
        session.commit()?;
        self.get(&id).ok_or_else(|| Error::NoSuchImage(id.to_string()))
    }
}

/// COMPAT(docker 28): what is given replaces, but environment, labels, ports and volumes are united.
fn merged(below: &RunConfig, over: &RunConfig) -> Result<RunConfig> {
    let fail = |error| Error::document("the container's configuration", error);
    let (mut out, over) = (serde_json::to_value(below).map_err(fail)?, serde_json::to_value(over).map_err(fail)?);
    let (Value::Object(out_members), Value::Object(over)) = (&mut out, over) else { return Ok(below.clone()) };
    for (key, value) in over {
        match (out_members.get_mut(&key), value) {
            (Some(Value::Object(own)), Value::Object(more)) if key != "Healthcheck" => own.extend(more),
            (Some(Value::Array(own)), Value::Array(more)) if key == "Env" => {
                let name = |line: &Value| line.as_str().and_then(|line| line.split('=').next()).map(str::to_owned);
                own.retain(|line| !more.iter().any(|other| name(other) == name(line)));
                own.extend(more);
            }
            (_, value) => _ = out_members.insert(key, value),
        }
    }
    serde_json::from_value(out).map_err(fail)
}

/// Layers that are all there.
struct Nothing;

impl LayerSource for Nothing {
    fn open(&self, _: usize) -> Result<Box<dyn io::Read + Send + '_>> {
        Err(Error::Read(io::ErrorKind::NotFound.into()))
    }

    fn progress(&self, _: usize, _: u64) {}
}

/// Compresses, and hashes what is compressed.
struct Packed<W: Write> {
    to: Gzip<W>,
    hasher: Hasher,
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.to.write(bytes)?;
        self.hasher.update(&bytes[..wrote]);
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_configuration_replaces_and_unites() {
        let run = |text: &str| serde_json::from_str::<RunConfig>(text).unwrap();
        let below =
            run(r#"{"Env":["A=1","B=2"],"Cmd":["sh"],"User":"app","Labels":{"a":"1","b":"2"},"Volumes":{"/v":{}}}"#);
        let over = run(r#"{"Env":["B=3","C=4"],"Cmd":["cat"],"Labels":{"b":"3"},"Volumes":{"/w":{}}}"#);
        let expected = run(
            r#"{"Env":["A=1","B=3","C=4"],"Cmd":["cat"],"User":"app","Labels":{"a":"1","b":"3"},"Volumes":{"/v":{},"/w":{}}}"#,
        );
        assert_eq!(merged(&below, &over).unwrap(), expected);
        assert_eq!(merged(&below, &RunConfig::default()).unwrap(), below);
    }
}
