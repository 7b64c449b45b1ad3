//! One exchange with a registry: authorization, redirects by hand, retries, and answers with a limit.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::error::chain;
use crate::place::{authority, forbidden, same_origin};
use crate::{Error, Repository, Result};

/// Redirects of one request.
const HOPS: usize = 5;
/// Attempts of one request.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Error documents are read up to this size.
const MAX_ERROR: usize = 64 * 1024;

/// A request whose body, if any, can be made again.
pub(crate) struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Option<(u64, &'a (dyn Fn() -> Body + Send + Sync))>,
    /// For errors: `manifest for busybox:1`.
    pub what: String,
    /// How often it is tried.
    pub attempts: u32,
}

impl Request<'_> {
    pub fn new(method: Method, url: Url, what: impl Into<String>) -> Self {
        Self { method, url, headers: Vec::new(), body: None, what: what.into(), attempts: ATTEMPTS }
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The pause before the attempt after `failed` failures: doubled each time, with a bound.
pub(crate) fn pause(failed: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failed.min(8)).min(LONGEST_PAUSE)
}

impl Repository {
    /// Sends a request until it is answered with success, or an error that trying again does not mend.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Response> {
        let mut failed = 0;
        loop {
            let error = match self.exchange(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            failed += 1;
            if failed >= request.attempts || !error.is_transient() {
                return Err(error);
            }
            let wait = match &error {
                Error::RateLimit { after: Some(seconds), .. } => Duration::from_secs(*seconds),
                _ => pause(failed - 1),
            };
            tracing::debug!(registry = self.authority(), %error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt: redirects are followed, a challenge is met once.
    async fn exchange(&self, request: &Request<'_>) -> Result<Response> {
        let origin = self.base().await?.clone();
        let mut url = request.url.clone();
        let mut challenged = false;
        for _ in 0..=HOPS {
            let own = same_origin(&origin, &url);
            let response = self.once(request, &url, own).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && own && !challenged {
                challenged = true;
                let challenges: Vec<Challenge> = challenges(response.headers());
                self.meet(&challenges, &request.what).await?;
                continue;
            }
            if status.is_redirection() && matches!(request.method, Method::GET | Method::HEAD) {
                let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let to = to
                    .and_then(|to| url.join(to).ok())
                    .ok_or_else(|| Error::malformed(self.authority(), "a redirect", "it has no usable address"))?;
                if let Some(why) = forbidden(&self.client.inner.config, &url, &to) {
                    return Err(self.elsewhere(&to, why));
                }
                url = to;
                continue;
            }
            if status.is_success() {
                return Ok(response);
            }
            return Err(self.refusal(response, &request.what).await);
        }
        Err(self.elsewhere(&url, "it redirects in a circle"))
    }

    async fn once(&self, request: &Request<'_>, url: &Url, own: bool) -> Result<Response> {
        let http = self.client.inner.http(&authority(url))?;
        let mut builder = http.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        // CVE-2020-15157: only the registry itself sees what proves us to it.
        if let Some(value) = self.authorization().filter(|_| own) {
            builder = builder.header(AUTHORIZATION, value);
        }
        if let Some((length, body)) = &request.body {
            builder = builder.header(CONTENT_LENGTH, *length).body(body());
        }
        builder.send().await.map_err(|error| transport(&authority(url), &request.what, &error))
    }

    pub(crate) fn elsewhere(&self, to: &Url, why: &'static str) -> Error {
        let mut to = to.clone();
        to.set_query(None);
        let _ = to.set_password(None);
        let _ = to.set_username("");
        let to = to.as_str().chars().take(200).collect();
        Error::Elsewhere { registry: self.authority().to_owned(), to, why }
    }

    /// What a status that is no success means.
    async fn refusal(&self, response: Response, what: &str) -> Error {
        let status = response.status();
        let after = after(response.headers());
        let registry = authority(response.url());
        let what = what.to_owned();
        let text = bounded(response, MAX_ERROR, &registry, "an error").await.unwrap_or_default();
        let (code, why) = sentence(&text, status);
        match status.as_u16() {
            404 => Error::NotFound { what, why },
            401 | 403 => Error::Denied { what, why },
            429 => Error::RateLimit { registry, why, after },
            _ if code == "TOOMANYREQUESTS" => Error::RateLimit { registry, why, after },
            status => Error::Status { registry, what, status, why },
        }
    }
}

/// Seconds until it may be tried again: `Retry-After`, of which some make the moment, or Docker Hub's `X-Retry-After`, which is
/// one (seconds since 1970). A date (RFC 9110, 10.2.3) is what no registry is known to send.
pub(crate) fn after(headers: &HeaderMap) -> Option<u64> {
    const MOMENT: u64 = 1_000_000_000;
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let said = number(RETRY_AFTER.as_str()).or_else(|| number("x-retry-after"))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Some(if said > MOMENT { said.saturating_sub(now) } else { said })
}

pub(crate) fn transport(registry: &str, what: &str, error: &reqwest::Error) -> Error {
    let (registry, why) = (registry.to_owned(), chain(&error.without_url_ref()));
    if error.is_connect() {
        return Error::Connect { registry, why };
    }
    let why = if error.is_timeout() { "it was silent for too long".to_owned() } else { why };
    Error::Broken { registry, what: what.to_owned(), why }
}

/// Addresses of blobs may bear signatures; they do not belong into messages.
trait WithoutUrl {
    fn without_url_ref(&self) -> Causes;
}

#[derive(Debug)]
struct Causes(String);

impl std::fmt::Display for Causes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Causes {}

impl WithoutUrl for reqwest::Error {
    fn without_url_ref(&self) -> Causes {
        use std::error::Error as _;
        Causes(self.source().map_or_else(|| "the request failed".to_owned(), chain))
    }
}

pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect()
}

/// A whole body of at most `max` bytes.
pub(crate) async fn bounded(mut response: Response, max: usize, registry: &str, what: &str) -> Result<Vec<u8>> {
    let too_large = || Error::malformed(registry, what, format!("it has more than {max} bytes"));
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| transport(registry, what, &error))? {
        if bytes.len() + piece.len() > max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Item>,
    #[serde(default)]
    details: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The first code and the sentence of an error document.
fn sentence(text: &[u8], status: StatusCode) -> (String, String) {
    let plain = || status.canonical_reason().unwrap_or("no reason given").to_ascii_lowercase();
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let Ok(found) = serde_json::from_slice::<Errors>(text) else { return (String::new(), plain()) };
    match (found.errors.first(), found.details) {
        // COMPAT(docker 28): `manifest unknown: manifest unknown`.
        (Some(first), _) => {
            let code = first.code.replace('_', " ").to_ascii_lowercase();
            let message = if first.message.is_empty() { plain() } else { clean(&first.message) };
            let why = if message.to_ascii_lowercase().starts_with(&code) {
                message
            } else {
                format!("{}: {message}", clean(&code))
            };
            (first.code.clone(), why)
        }
        (None, Some(details)) => (String::new(), clean(&details)),
        (None, None) => (String::new(), plain()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents_become_one_clean_sentence() {
        let rows: [(&[u8], &str); 5] = [
            (br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#, "manifest unknown"),
            (br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way\n"}]}"#, "denied: no[31m way"),
            (br#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (b"<html>", "forbidden"),
            (b"{}", "forbidden"),
        ];
        for (text, expected) in rows {
            assert_eq!(sentence(text, StatusCode::FORBIDDEN).1, expected);
        }
        assert!(sentence(&[b'['; 100_000], StatusCode::FORBIDDEN).1 == "forbidden");
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert!(pause(1) > pause(0) && pause(100) == LONGEST_PAUSE);
    }
}
