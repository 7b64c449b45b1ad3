//! Proving credentials to a registry without transferring anything.

use reqwest::{Method, StatusCode, Url};

use crate::challenge::Challenge;
use crate::place::Place;
use crate::request::{challenges, transport};
use crate::{Client, Credentials, Error, Repository, Result};

/// What a login gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedIn {
    /// A token to keep instead of the password, where the registry gives one.
    pub identity: Option<String>,
}

impl Client {
    /// Checks credentials with the registry of `domain`.
    ///
    /// # Errors
    /// [`Error::Login`] if they are wrong.
    pub async fn login(&self, domain: &str, credentials: &Credentials) -> Result<LoggedIn> {
        let registry = Repository::bare(self.clone(), Place::origin(domain), credentials.clone());
        let url = registry.base().await?.join("v2/");
        let url = url.map_err(|error| Error::malformed(domain, "the address", error))?;
        let (status, challenges) = registry.ping(&url).await?;
        if status.is_success() {
            return Ok(LoggedIn::default());
        }
        if status != StatusCode::UNAUTHORIZED {
            return Err(registry.unwelcome(status));
        }
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, .. } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let mut logged_in = LoggedIn::default();
        if let Some((realm, service)) = bearer {
            let token = registry.token(realm, service.as_deref(), None, true).await?;
            logged_in.identity = token.identity.filter(|_| !matches!(credentials, Credentials::Identity(_)));
        }
        registry.meet(&challenges, domain).await?;
        match registry.ping(&url).await?.0 {
            status if status.is_success() => Ok(logged_in),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Error::Login { registry: domain.to_owned(), why: "incorrect username or password".to_owned() })
            }
            status => Err(registry.unwelcome(status)),
        }
    }
}

impl Repository {
    async fn ping(&self, url: &Url) -> Result<(StatusCode, Vec<Challenge>)> {
        let http = self.client.inner.http(self.authority())?;
        let mut request = http.request(Method::GET, url.clone());
        if let Some(value) = self.authorization() {
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let response = request.send().await;
        let response = response.map_err(|error| transport(self.authority(), "its first answer", &error))?;
        Ok((response.status(), challenges(response.headers())))
    }

    fn unwelcome(&self, status: StatusCode) -> Error {
        Error::Status {
            registry: self.authority().to_owned(),
            what: "/v2/".to_owned(),
            status: status.as_u16(),
            why: "it does not look like a registry".to_owned(),
        }
    }
}
