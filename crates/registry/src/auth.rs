//! Meeting a challenge: basic credentials, or an access token fetched from the registry's realm.
//!
//! Credentials are shown to the registry itself and to a realm that is its kin ([`crate::place::is_own_realm`]).
//! A foreign realm is asked without credentials only.

use std::sync::PoisonError;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::place::{authority, forbidden, is_own_realm};
use crate::request::{bounded, transport};
use crate::{Credentials, Error, Repository, Result};

const MAX_TOKEN: usize = 256 * 1024;
const CLIENT: &str = "hull";

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
}

/// What a realm gave.
pub(crate) struct Token {
    pub access: String,
    pub identity: Option<String>,
}

impl Repository {
    /// The `Authorization` of requests to the registry itself.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Meets the first challenge that can be met.
    pub(crate) async fn meet(&self, challenges: &[Challenge], what: &str) -> Result<()> {
        let denied = |why: &str| Error::Denied { what: what.to_owned(), why: why.to_owned() };
        let challenge = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let value = match challenge.or(challenges.first()) {
            Some(Challenge::Bearer { realm, service, scope }) => match &self.credentials {
                Credentials::Bearer(token) => format!("Bearer {token}"),
                _ => {
                    let scope = self.scope.clone().or_else(|| scope.clone());
                    let token = self.token(realm, service.as_deref(), scope.as_deref(), false).await?;
                    format!("Bearer {}", token.access)
                }
            },
            Some(Challenge::Basic) => {
                self.credentials.basic_header().ok_or_else(|| denied("authentication required"))?
            }
            None => return Err(denied("the registry asks for a kind of authentication that hull does not know")),
        };
        if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(denied("the access token is malformed"));
        }
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    /// Asks a realm for a token; with `offline` for an identity token, too.
    pub(crate) async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        offline: bool,
    ) -> Result<Token> {
        let origin = self.base().await?;
        let config = &self.client.inner.config;
        let malformed = |why: &str| Error::malformed(self.authority(), "the authentication realm", why);
        let url = Url::parse(realm).map_err(|error| malformed(&error.to_string()))?;
        if let Some(why) = forbidden(config, origin, &url) {
            return Err(self.elsewhere(&url, why));
        }
        let trusted = is_own_realm(config, origin, &url);
        if !trusted && self.credentials != Credentials::Anonymous {
            let why = "that host is no kin of the registry, so it gets no credentials (`auth-realms` can name it)";
            return Err(self.elsewhere(&url, why));
        }
        let http = config_client(self, &url)?;
        let request = match &self.credentials {
            Credentials::Identity(token) => {
                let mut form = vec![("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)];
                form.extend(service.map(|service| ("service", service)));
                form.extend(scope.map(|scope| ("scope", scope)));
                let form = query(&form);
                http.request(Method::POST, url.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form)
            }
            credentials => {
                let mut url = url.clone();
                {
                    let mut pairs = url.query_pairs_mut();
                    service.iter().for_each(|service| _ = pairs.append_pair("service", service));
                    scope.iter().flat_map(|all| all.split(' ')).for_each(|one| _ = pairs.append_pair("scope", one));
                    if let Credentials::Basic { user, .. } = credentials {
                        pairs.append_pair("account", user);
                    }
                    if offline {
                        pairs.append_pair("offline_token", "true").append_pair("client_id", CLIENT);
                    }
                }
                let request = http.request(Method::GET, url);
                match credentials.basic_header() {
                    Some(value) => request.header(AUTHORIZATION, value),
                    None => request,
                }
            }
        };
        let registry = authority(&url);
        let response = request.header(ACCEPT, "application/json").send().await;
        let response = response.map_err(|error| transport(&registry, "an access token", &error))?;
        let status = response.status();
        let after = crate::request::after(response.headers());
        let text = bounded(response, MAX_TOKEN, &registry, "the access token").await?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                let why = match self.credentials {
                    Credentials::Anonymous => "authentication required",
                    _ => "incorrect username or password",
                };
                Err(Error::Login { registry: self.authority().to_owned(), why: why.to_owned() })
            }
            StatusCode::TOO_MANY_REQUESTS => {
                Err(Error::RateLimit { registry, why: "too many requests for access tokens".to_owned(), after })
            }
            status if !status.is_success() => Err(Error::Status {
                registry,
                what: "an access token".to_owned(),
                status: status.as_u16(),
                why: status.canonical_reason().unwrap_or_default().to_ascii_lowercase(),
            }),
            _ => {
                let answer: Answer = serde_json::from_slice(&text)
                    .map_err(|error| Error::malformed(&registry, "the access token", error))?;
                let access = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
                let access = access.ok_or_else(|| Error::malformed(&registry, "the access token", "it is empty"))?;
                Ok(Token { access, identity: answer.refresh_token })
            }
        }
    }
}

fn config_client(repository: &Repository, url: &Url) -> Result<reqwest::Client> {
    repository.client.inner.http(&authority(url))
}

fn query(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x/").unwrap_or_else(|_| unreachable!("it is a constant"));
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
