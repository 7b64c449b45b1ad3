//! What the user has proved to registries: docker's `config.json` and its credential helpers.
//!
//! Owns `$DOCKER_CONFIG/config.json` (`~/.docker`), of which it changes `auths` only, and the helpers' protocol.
//! Source: docker's documentation of `docker login`, and of docker-credential-helpers.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hull_types::{Fault, ImageRef};
use serde_json::{Map, Value, json};

/// How docker.io is called in the file.
const HUB: &str = "https://index.docker.io/v1/";
/// The user name under which helpers keep identity tokens.
const TOKEN: &str = "<token>";

/// The members of `proxies`, and the variables that they are in containers, which are set in small letters, too.
const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// docker's config.json.
pub(crate) struct Credentials {
    path: PathBuf,
    config: Map<String, Value>,
}

/// A user's proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub user: String,
    pub password: String,
    pub identity: String,
}

/// The key of a registry in config.json and in helpers.
pub(crate) fn key(domain: &str) -> &str {
    match domain {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB,
        other => other,
    }
}

/// The registry that an argument of `login` means.
pub(crate) fn domain(argument: Option<&str>) -> Result<String, Fault> {
    let text = argument.unwrap_or("docker.io");
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match format!("{host}/x").parse::<ImageRef>() {
        Ok(name) if name.domain() == host => Ok(host.to_owned()),
        Ok(_) if matches!(host, "docker.io" | "index.docker.io") => Ok("docker.io".to_owned()),
        _ => Err(Fault::invalid(format!("`{}` is no registry", super::cli::parse::shortened(text)))),
    }
}

impl Credentials {
    /// Reads the file, which may be absent.
    pub(crate) fn read() -> Result<Self, Fault> {
        let dir = match std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".docker"),
        };
        let path = dir.join("config.json");
        let wrong = |why: String| Fault::invalid(format!("cannot use `{}`", path.display())).cause(why);
        let config = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Map::new()
            }
            Err(error) => return Err(wrong(error.to_string())),
        };
        Ok(Self { path, config })
    }

    /// The proxies that containers of the engine at `host` are to use, as `NAME=value`, where `own` does not name them.
    pub(crate) fn proxies(&self, host: &str, own: &[String]) -> Vec<String> {
        let all = self.config.get("proxies");
        let Some(wanted) = all.and_then(|all| all.get(host).or_else(|| all.get("default"))) else { return Vec::new() };
        let is_own = |name: &str| own.iter().any(|pair| pair.split('=').next() == Some(name));
        let set = PROXIES.iter().filter_map(|(key, name)| Some((*name, wanted.get(key)?.as_str()?)));
        let set = set.filter(|(_, value)| !value.is_empty());
        let both = set.flat_map(|(name, value)| [(name.to_owned(), value), (name.to_ascii_lowercase(), value)]);
        both.filter(|(name, _)| !is_own(name)).map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// docker's `X-Registry-Auth` for the registry of an image; empty for a user who is not logged in.
    pub(crate) fn header(&self, image: &ImageRef) -> Result<String, Fault> {
        let Some(login) = self.get(image.domain())? else { return Ok(String::new()) };
        Ok(URL_SAFE.encode(login.document(image.domain()).to_string()))
    }

    /// The login at a registry.
    pub(crate) fn get(&self, domain: &str) -> Result<Option<Login>, Fault> {
        match self.helper(domain) {
            Some(helper) => helper_get(&helper, key(domain)),
            None => Ok(self.auth(domain).and_then(login_of)),
        }
    }

    /// Keeps a login; the warning that it is not encrypted, if it is not.
    pub(crate) fn store(&mut self, domain: &str, login: &Login) -> Result<Option<String>, Fault> {
        let key = key(domain);
        let entry = match self.helper(domain) {
            Some(helper) => {
                let (user, secret) = match login.identity.is_empty() {
                    true => (login.user.as_str(), login.password.as_str()),
                    false => (TOKEN, login.identity.as_str()),
                };
                let document = json!({ "ServerURL": key, "Username": user, "Secret": secret }).to_string();
                call(&helper, "store", &document)?;
                json!({})
            }
            None if login.identity.is_empty() => {
                json!({ "auth": STANDARD.encode(format!("{}:{}", login.user, login.password)) })
            }
            None => json!({ "auth": STANDARD.encode(format!("{}:", login.user)), "identitytoken": login.identity }),
        };
        let plain = self.helper(domain).is_none();
        let auths = self.config.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else {
            return Err(Fault::invalid(format!("`auths` of `{}` is no object", self.path.display())));
        };
        auths.insert(key.to_owned(), entry);
        self.write()?;
        Ok(plain.then(|| format!("the credentials are stored unencrypted in {}", self.path.display())))
    }

    /// Forgets a login; whether there was one.
    pub(crate) fn erase(&mut self, domain: &str) -> Result<bool, Fault> {
        let key = key(domain).to_owned();
        let mut known = false;
        if let Some(helper) = self.helper(domain) {
            known = helper_get(&helper, &key)?.is_some();
            if known {
                call(&helper, "erase", &key)?;
            }
        }
        let auths = self.config.get_mut("auths").and_then(Value::as_object_mut);
        if auths.is_some_and(|auths| auths.remove(&key).is_some()) {
            known = true;
            self.write()?;
        }
        Ok(known)
    }

    fn auth(&self, domain: &str) -> Option<&Value> {
        let auths = self.config.get("auths")?.as_object()?;
        // COMPAT(docker 28): old files name registries by address.
        let same = |known: &str| {
            let rest = known.split_once("://").map_or(known, |(_, rest)| rest);
            rest.split('/').next() == Some(domain)
        };
        auths.get(key(domain)).or_else(|| auths.iter().find(|(known, _)| same(known)).map(|(_, auth)| auth))
    }

    fn helper(&self, domain: &str) -> Option<String> {
        let own = self.config.get("credHelpers").and_then(|helpers| helpers.get(key(domain))).and_then(Value::as_str);
        let all = self.config.get("credsStore").and_then(Value::as_str);
        let name = own.or(all).filter(|name| !name.is_empty() && !name.contains('/'))?;
        Some(format!("docker-credential-{name}"))
    }

    /// Replaces the file: whole, and for its owner only.
    fn write(&self) -> Result<(), Fault> {
        let wrong =
            |error: std::io::Error| Fault::internal(format!("cannot write `{}`", self.path.display())).cause(error);
        let dir = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(dir).map_err(wrong)?;
        // A file that is linked from elsewhere stays where it is.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let new = target.with_extension(format!("json.{}", std::process::id()));
        let text = serde_json::to_string_pretty(&self.config).unwrap_or_default();
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(wrong)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&new, &target)).map_err(|error| {
            let _ = fs::remove_file(&new);
            wrong(error)
        })
    }
}

impl Login {
    /// docker's AuthConfig.
    pub(crate) fn document(&self, domain: &str) -> Value {
        match self.identity.is_empty() {
            true => json!({ "username": self.user, "password": self.password, "serveraddress": key(domain) }),
            false => json!({ "identitytoken": self.identity, "serveraddress": key(domain) }),
        }
    }
}

fn login_of(auth: &Value) -> Option<Login> {
    let text = |key: &str| auth.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pair = STANDARD.decode(text("auth")).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (user, password) = match pair.split_once(':') {
        Some((user, password)) => (user.to_owned(), password.trim_end_matches('\0').to_owned()),
        None => (text("username"), text("password")),
    };
    let identity = text("identitytoken");
    (!user.is_empty() || !identity.is_empty()).then_some(Login { user, password, identity })
}

fn helper_get(helper: &str, key: &str) -> Result<Option<Login>, Fault> {
    let answer = match call(helper, "get", key) {
        Ok(answer) => answer,
        // What helpers say where there is nothing.
        Err(fault) if fault.cause.as_deref().is_some_and(|why| why.contains("credentials not found")) => {
            return Ok(None);
        }
        Err(fault) => return Err(fault),
    };
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|error| Fault::invalid(format!("the answer of `{helper}` is malformed")).cause(error))?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(match text("Username").as_str() {
        TOKEN => Login { identity: text("Secret"), ..Login::default() },
        user => Login { user: user.to_owned(), password: text("Secret"), identity: String::new() },
    }))
}

/// Runs a helper: the verb as its argument, the rest on its standard input.
fn call(helper: &str, verb: &str, input: &str) -> Result<String, Fault> {
    let failed = |why: String| Fault::internal(format!("the credential helper `{helper}` failed")).cause(why);
    let spawned =
        Command::new(helper).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why by its exit.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(failed(format!("{}{}", text.trim(), String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_as_docker_writes_them() {
        let config: Value = json!({ "auths": {
            "https://index.docker.io/v1/": { "auth": "dTpw" },
            "r.example:5000": { "auth": "dTo=", "identitytoken": "t" },
            "https://old.example/v2/": { "username": "u", "password": "p" },
            "empty.example": {},
        }});
        let Value::Object(config) = config else { panic!("an object") };
        let credentials = Credentials { path: PathBuf::new(), config };
        let login = |user: &str, password: &str, identity: &str| {
            Some(Login { user: user.into(), password: password.into(), identity: identity.into() })
        };
        for (domain, expected) in [
            ("docker.io", login("u", "p", "")),
            ("r.example:5000", login("u", "", "t")),
            ("old.example", login("u", "p", "")),
            ("empty.example", None),
            ("other.example", None),
        ] {
            assert_eq!(credentials.get(domain).unwrap(), expected, "{domain}");
        }
        let header = credentials.header(&"r.example:5000/a".parse().unwrap()).unwrap();
        let document: Value = serde_json::from_slice(&URL_SAFE.decode(header).unwrap()).unwrap();
        assert_eq!(document, json!({ "identitytoken": "t", "serveraddress": "r.example:5000" }));
    }

    #[test]
    fn arguments_of_login_name_a_registry() {
        for (argument, expected) in [
            (None, Some("docker.io")),
            (Some("https://index.docker.io/v1/"), Some("docker.io")),
            (Some("r.example:1/v2/"), Some("r.example:1")),
            (Some("127.0.0.1:5000"), Some("127.0.0.1:5000")),
            (Some("a b"), None),
        ] {
            assert_eq!(domain(argument).ok().as_deref(), expected, "{argument:?}");
        }
    }
}
