//! Searching, where a registry has docker's old search.

use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::place::Place;
use crate::request::{Request, bounded};
use crate::{Client, Credentials, Error, Repository, Result};

const HUB: &str = "index.docker.io";
const MAX: usize = 4 << 20;

/// One repository that fits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What its owner says of it.
    pub description: Option<String>,
    /// How many like it.
    pub star_count: i64,
    /// Whether it is one of docker's own.
    pub is_official: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

impl Client {
    /// Repositories of the registry `domain` that fit `term`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::NoSearch`] if the registry has none.
    pub async fn search(&self, domain: &str, term: &str, limit: u64, credentials: &Credentials) -> Result<Vec<Found>> {
        let mut place = Place::origin(domain);
        if domain == "docker.io" {
            place.authority = HUB.to_owned();
        }
        let registry = Repository::bare(self.clone(), place, credentials.clone());

        let mut url: Url =
            registry.base().await?.join("v1/search").map_err(|error| Error::malformed(domain, "the address", error))?;
        url.query_pairs_mut().append_pair("q", term).append_pair("n", &limit.to_string());
        let request = Request::new(Method::GET, url, "the search").header(ACCEPT, "application/json");
        let response = match registry.send(&request).await {
            Err(Error::NotFound { .. } | Error::Status { status: 400..=499, .. }) => {
                return Err(Error::NoSearch(domain.to_owned()));
            }
            other => other?,
        };
        let text = bounded(response, MAX, domain, "the search's answer").await?;
        let answer: Answer = serde_json::from_slice(&text).map_err(|_| Error::NoSearch(domain.to_owned()))?;
        Ok(answer.results.into_iter().take(usize::try_from(limit).unwrap_or(100)).collect())
    }
}
