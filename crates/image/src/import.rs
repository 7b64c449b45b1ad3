//! `import`: the tar of a root file system becomes an image of one layer.

use std::io::{self, Read};

use hull_content::Tee;
use hull_types::{Platform, Timestamp};

use crate::images::tag_of;
use crate::session::Session;
use crate::{Error, History, Image, ImageConfig, Images, Result, RootFs, changes};

/// What `import` is asked for.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The name to give, `name[:tag]`; none if empty.
    pub reference: String,
    /// Dockerfile instructions: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL,
    /// USER, VOLUME, WORKDIR.
    pub changes: Vec<String>,
    /// The comment; docker's `Imported from <source>` if empty.
    pub message: String,
    /// Where the archive came from: `-` for a stream.
    pub source: String,
    /// The platform; this host's if empty.
    pub platform: String,
}

impl Images {
    /// Makes an image of a root file system's archive: tar, plain or compressed with gzip or zstd.
    ///
    /// # Errors
    /// Whatever is wrong with the options is said before anything is read.
    pub fn import(&self, from: impl Read + Send, options: &ImportOptions) -> Result<Image> {
        let names = match options.reference.as_str() {
            "" => Vec::new(),
            name => vec![tag_of(name)?],
        };
        let platform = match options.platform.as_str() {
            "" => Platform::host(),
            text => text.parse()?,
        };
        let config = changes::apply(&options.changes)?;
        let mut session = Session::new(self)?;
        let tee = Tee::new(from, self.inner.content.ingest()?);
        let mut blob = None;
        let layer = session.layer(&[], tee, None, |mut tee| {
            // A decompressor may leave bytes behind its end.
            io::copy(&mut tee, &mut io::sink()).map_err(Error::Read)?;
            let whole = tee.into_ingest().finish(None)?;
            let digest = whole.digest();
            blob = Some(whole);
            Ok(digest)
        })?;
        blob.into_iter().for_each(|blob| session.keep(blob));
        let created = Timestamp::now().to_string();
        let comment = match (options.message.as_str(), options.source.as_str()) {
            ("", "") => "Imported from -".to_owned(),
            ("", source) => format!("Imported from {source}"),
            (message, _) => message.to_owned(),
        };
        let config = ImageConfig {
            architecture: platform.architecture,
            variant: platform.variant.unwrap_or_default(),
            os: platform.os,
            created: created.clone(),
            comment: comment.clone(),
            config,
            rootfs: RootFs { diff_ids: vec![layer.diff_id], ..RootFs::default() },
            history: vec![History { created, comment, ..History::default() }],
            ..ImageConfig::default()
        };
        let bytes = serde_json::to_vec(&config).map_err(|error| Error::document("the image's configuration", error))?;
        let id = session.image(config, &bytes, vec![layer], None, names)?;
        session.commit()?;
        self.get(&id).ok_or_else(|| Error::NoSuchImage(id.to_string()))
    }
}
