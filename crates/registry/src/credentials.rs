//! [`Credentials`]: what a user proves to a registry.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Who asks. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// An identity token, which is exchanged for access tokens.
    Identity(String),
    /// An access token for the registry itself.
    Bearer(String),
}

/// docker's `AuthConfig`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthConfig {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Credentials {
    /// The credentials of a decoded `X-Registry-Auth` header: base64 of docker's AuthConfig; an empty text and
    /// an empty object are nobody. `None` if it is malformed.
    pub fn of_header(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::Anonymous);
        }
        let bytes = URL_SAFE.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).or_else(|_| STANDARD.decode(text));
        Self::of_document(&bytes.ok()?)
    }

    /// The credentials of docker's AuthConfig; `None` if it is malformed.
    pub fn of_document(document: &[u8]) -> Option<Self> {
        let config: AuthConfig = serde_json::from_slice(document).ok()?;
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = some(config.registrytoken) {
            return Some(Self::Bearer(token));
        }
        if let Some(token) = some(config.identitytoken) {
            return Some(Self::Identity(token));
        }
        if let Some(user) = some(config.username) {
            return Some(Self::Basic { user, password: config.password.unwrap_or_default() });
        }
        match some(config.auth) {
            Some(pair) => {
                let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
                let (user, password) = pair.split_once(':')?;
                Some(Self::Basic { user: user.to_owned(), password: password.trim_matches('\0').to_owned() })
            }
            None => Some(Self::Anonymous),
        }
    }

    pub(crate) fn basic_header(&self) -> Option<String> {
        match self {
            Self::Basic { user, password } => Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
            Self::Identity(_) => "Identity(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_header_is_read_in_all_its_spellings() {
        let basic = || Credentials::Basic { user: "u".into(), password: "p:1".into() };
        let rows = [
            (r#"{}"#, Some(Credentials::Anonymous)),
            (r#"{"username":"u","password":"p:1","serveraddress":"x"}"#, Some(basic())),
            (r#"{"auth":"dTpwOjE="}"#, Some(basic())),
            (r#"{"username":"<token>","identitytoken":"t"}"#, Some(Credentials::Identity("t".into()))),
            (r#"{"registrytoken":"t","username":"u"}"#, Some(Credentials::Bearer("t".into()))),
            (r#"{"auth":"!"}"#, None),
            (r#"[]x"#, None),
        ];
        for (document, expected) in rows {
            for encoded in [URL_SAFE.encode(document), URL_SAFE_NO_PAD.encode(document), STANDARD.encode(document)] {
                assert_eq!(Credentials::of_header(&encoded), expected, "{document}");
            }
        }
        assert_eq!(Credentials::of_header(""), Some(Credentials::Anonymous));
        assert_eq!(Credentials::of_header("%%%"), None);
        assert!(!format!("{:?}", basic()).contains("p:1"));
    }
}
