//! The tags of a repository, page by page.

use hull_types::ImageRef;
use reqwest::header::{ACCEPT, HeaderMap, LINK};
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::place::{authority, forbidden};
use crate::request::{Request, bounded};
use crate::{Error, Repository, Result};

/// The size of one page.
const MAX_PAGE: usize = 4 << 20;
/// The tags of one repository: each is a manifest to fetch.
const MAX_TAGS: usize = 10_000;
const PAGE: &str = "1000";

#[derive(Deserialize)]
struct Page {
    /// `null` if the repository is empty.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Malformed`] for what can be no tag, an endless list or one of more than
    /// 10,000, and what a connection may meet.
    pub async fn tags(&self, name: &ImageRef) -> Result<Vec<String>> {
        let what = format!("the tags of {}", name.familiar_name());
        let malformed = |why: String| Error::malformed(self.authority(), &what, why);
        let mut url = self.url("tags/list").await?;
        url.query_pairs_mut().append_pair("n", PAGE);
        let mut tags = Vec::new();
        loop {
            let request = Request::new(Method::GET, url.clone(), &what).header(ACCEPT, "application/json");
            let response = self.send(&request).await?;
            let next = next(&url, response.headers());
            let text = bounded(response, MAX_PAGE, self.authority(), &what).await?;
            let page: Page = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
            let found = page.tags.unwrap_or_default();
            if let Some(wrong) = found.iter().find(|tag| name.with_tag(tag).is_err()) {
                return Err(malformed(format!("`{}` is no tag", wrong.escape_debug())));
            }
            let empty = found.is_empty();
            tags.extend(found);
            if tags.len() > MAX_TAGS {
                return Err(malformed(format!("there are more than {MAX_TAGS}")));
            }
            match next {
                // A page without a tag leads nowhere.
                Some(next) if !empty => url = self.allowed(&url, next)?,
                _ => return Ok(tags),
            }
        }
    }

    /// A next page is at the registry itself.
    fn allowed(&self, from: &Url, to: Url) -> Result<Url> {
        match forbidden(&self.client.inner.config, from, &to) {
            Some(why) => Err(self.elsewhere(&to, why)),
            None if authority(from) != authority(&to) => Err(self.elsewhere(&to, "the next page is elsewhere")),
            None => Ok(to),
        }
    }
}

/// RFC 8288: `</v2/a/tags/list?last=x&n=1>; rel="next"`.
fn next(at: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let mut parameters = parameters.split(';').map(|text| text.trim().replace('"', "").to_ascii_lowercase());
        parameters.any(|text| text == "rel=next").then(|| at.join(target).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_the_link() {
        let at = Url::parse("https://r.example/v2/a/tags/list?n=2").unwrap();
        for (value, expected) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("https://r.example/v2/a/tags/list?last=b&n=2")),
            ("<?last=b>;rel=next", Some("https://r.example/v2/a/tags/list?last=b")),
            (r#"</x>; rel="prev", </y>; title=z; rel="next""#, Some("https://r.example/y")),
            (r#"</x>; rel="prev""#, None),
            ("/x; rel=next", None),
            ("<", None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, value.parse().unwrap())]);
            assert_eq!(next(&at, &headers).as_ref().map(Url::as_str), expected, "{value}");
        }
    }
}
