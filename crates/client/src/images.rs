//! `/images`: one method per endpoint. An image is named by reference, id or unique prefix of its id.

use std::io::Read;

use hull_wire::{
    Filters, HistoryItem, IdResponse, ImageDeleteItem, ImageInspect, ImageSummary, ImagesCheckReport,
    ImagesPruneReport, JsonMessage,
};

use crate::Client;
use crate::containers::filtered;
use crate::error::Error;
use crate::request::Request;
use crate::streams::JsonStream;

/// How to make an image of a root file system's tar.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// `repository[:tag]`.
    pub reference: Option<String>,
    /// A line for the history.
    pub message: Option<String>,
    /// Dockerfile instructions such as `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// `linux/arm64`; the host's by default.
    pub platform: Option<String>,
}

/// How to make an image of a container.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// The container.
    pub container: String,
    /// `repository[:tag]`.
    pub reference: Option<String>,
    /// Who makes it.
    pub author: Option<String>,
    /// A line for the history.
    pub message: Option<String>,
    /// Whether the container stands still meanwhile.
    pub pause: bool,
    /// Dockerfile instructions such as `CMD ["sh"]`.
    pub changes: Vec<String>,
}

/// The repository and the tag of `repository[:tag]`; a colon before the last slash belongs to a port.
fn split_tag(reference: &str) -> (&str, &str) {
    let start = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference[start..].find(':') {
        Some(colon) => (&reference[..start + colon], &reference[start + colon + 1..]),
        None => (reference, ""),
    }
}

/// Each method's errors are those of [`Error`].
#[allow(clippy::missing_errors_doc, reason = "said once above for all of them")]
impl Client {
    /// Lists images.
    pub fn images(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>, Error> {
        self.call(filtered(Request::new("GET", &["images", "json"]).flag("all", all), filters))?.json()
    }

    /// Everything about one image.
    pub fn image_inspect(&self, name: &str) -> Result<ImageInspect, Error> {
        self.call(image("GET", name, Some("json")))?.json()
    }

    /// The same as the engine sent it, for `--format`.
    pub fn image_inspect_raw(&self, name: &str) -> Result<serde_json::Value, Error> {
        self.call(image("GET", name, Some("json")))?.json()
    }

    /// The steps that made an image.
    pub fn image_history(&self, name: &str) -> Result<Vec<HistoryItem>, Error> {
        self.call(image("GET", name, Some("history")))?.json()
    }

    /// Removes a name, and the image with its last one.
    pub fn image_remove(&self, name: &str, force: bool, no_prune: bool) -> Result<Vec<ImageDeleteItem>, Error> {
        self.call(image("DELETE", name, None).flag("force", force).flag("noprune", no_prune))?.json()
    }

    /// Gives an image another name.
    pub fn image_tag(&self, name: &str, repository: &str, tag: &str) -> Result<(), Error> {
        self.call(image("POST", name, Some("tag")).query("repo", repository).query("tag", tag))?.done()
    }

    /// Loads the images of an archive made by `docker save` or in the OCI layout.
    pub fn image_load(&self, archive: &mut dyn Read, quiet: bool) -> Result<JsonStream<'_, JsonMessage>, Error> {
        let request = Request::new("POST", &["images", "load"]).query("quiet", if quiet { "1" } else { "0" });
        self.upload(request, archive).map(JsonStream::new)
    }

    /// An archive of images.
    pub fn image_save(&self, names: &[String]) -> Result<impl Read + '_, Error> {
        let request = names.iter().fold(Request::new("GET", &["images", "get"]), |to, name| to.query("names", name));
        Ok(self.call(request)?.body)
    }

    /// Removes images that nothing uses.
    pub fn image_prune(&self, filters: &Filters) -> Result<ImagesPruneReport, Error> {
        self.call(filtered(Request::new("POST", &["images", "prune"]), filters))?.json()
    }

    /// Reads every blob and layer.
    pub fn image_check(&self, repair: bool) -> Result<ImagesCheckReport, Error> {
        self.call(Request::new("POST", &["images", "check"]).flag("repair", repair))?.json()
    }

    /// Makes an image of a container; its id.
    pub fn commit(&self, options: &CommitOptions) -> Result<IdResponse, Error> {
        let (repository, tag) = split_tag(options.reference.as_deref().unwrap_or_default());
        let mut request = Request::new("POST", &["commit"]).query("container", &options.container);
        request = request.query("repo", repository).query("tag", tag);
        request = request.query("pause", if options.pause { "1" } else { "0" });
        request = request.query_some("author", options.author.as_deref());
        request = request.query_some("comment", options.message.as_deref());
        for change in &options.changes {
            request = request.query("changes", change);
        }
        self.call(request)?.json()
    }

    /// Makes an image of a root file system's tar.
    pub fn image_import(
        &self,
        options: &ImportOptions,
        archive: &mut dyn Read,
    ) -> Result<JsonStream<'_, JsonMessage>, Error> {
        let (repository, tag) = split_tag(options.reference.as_deref().unwrap_or_default());
        let mut request = Request::new("POST", &["images", "create"]).query("fromSrc", "-").query("repo", repository);
        if !tag.is_empty() {
            request = request.query("tag", tag);
        }
        request = request.query_some("message", options.message.as_deref());
        request = request.query_some("platform", options.platform.as_deref());
        for change in &options.changes {
            request = request.query("changes", change);
        }
        self.upload(request, archive).map(JsonStream::new)
    }
}

/// An image's name may hold slashes; docker's routes take them as they are.
fn image(method: &'static str, name: &str, verb: Option<&str>) -> Request {
    let mut segments = vec!["images"];
    segments.extend(name.split('/'));
    segments.extend(verb);
    Request::new(method, &segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_split_off_behind_the_last_slash() {
        for (text, parts) in
            [("a", ("a", "")), ("a:b", ("a", "b")), ("h:5/a", ("h:5/a", "")), ("h:5/a:b", ("h:5/a", "b"))]
        {
            assert_eq!(split_tag(text), parts);
        }
    }
}
