//! The log service that a driver hands lines on to, and whether it is there.

use std::path::{Path, PathBuf};

use hull_logs::forward::{Format, JOURNAL, Server, Syslog, Target, Tls, facility};
use hull_types::Fault;
use hull_wire as wire;

use super::Options;

/// Where a local syslog daemon listens.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// The port of a server that names none.
const PORT: &str = "514";
/// The same within TLS.
const TLS_PORT: &str = "6514";

/// Whom the driver tells; `None`: nobody.
///
/// # Errors
/// It is not here, or is not named as docker names it.
pub(crate) fn target(asked: &wire::LogConfig) -> Result<Option<Target>, Fault> {
    match asked.kind.as_str() {
        "syslog" => {}
        "journald" if Path::new(JOURNAL).exists() => return Ok(Some(Target::Journal)),
        "journald" => return Err(Fault::invalid("journald is not enabled on this host")),
        _ => return Ok(None),
    }
    let text = |key: &str| asked.config.get(key).map_or("", String::as_str);
    let server = match text("syslog-address").strip_prefix("tcp+tls://") {
        Some(address) => over_tls(address, &asked.config)?,
        None => server(text("syslog-address"))?,
    };
    let facility = facility(text("syslog-facility")).ok_or_else(|| Fault::invalid("invalid syslog facility"))?;
    let format = Format::parse(text("syslog-format")).ok_or_else(|| Fault::invalid("Invalid syslog format"))?;
    Ok(Some(Target::Syslog(Syslog { server, facility, format })))
}

fn server(address: &str) -> Result<Server, Fault> {
    if address.is_empty() {
        let found = LOCAL.iter().map(Path::new).find(|path| path.exists());
        return found.map(|path| Server::Unix(path.to_owned())).ok_or_else(|| {
            Fault::invalid("Unix syslog delivery error: no syslog daemon listens here")
                .hint("name a server: `--log-opt syslog-address=udp://host:514`")
        });
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    match scheme {
        "unix" | "unixgram" => {
            let path = PathBuf::from(rest);
            if path.exists() {
                return Ok(Server::Unix(path));
            }
            let shown: String = rest.chars().take(200).flat_map(char::escape_debug).collect();
            Err(Fault::invalid(format!("stat {shown}: no such file or directory")))
        }
        "udp" if !rest.is_empty() => Ok(Server::Udp(with_port(rest, PORT))),
        "tcp" if !rest.is_empty() => Ok(Server::Tcp(with_port(rest, PORT))),
        "udp" | "tcp" => Err(Fault::invalid("the log option `syslog-address` names no host")),
        other => {
            let other: String = other.chars().take(64).flat_map(char::escape_debug).collect();
            Err(Fault::invalid(format!("unsupported scheme: '{other}'")))
        }
    }
}

fn with_port(address: &str, port: &str) -> String {
    let bare = address.rsplit_once(':').is_none_or(|(host, port)| host.ends_with(':') || port.ends_with(']'));
    if bare { format!("{address}:{port}") } else { address.to_owned() }
}

/// An authority must be named, unless anybody is to be believed: whom to believe is not guessed.
fn over_tls(address: &str, options: &Options) -> Result<Server, Fault> {
    let text = |key: &str| options.get(key).map_or("", String::as_str);
    if address.is_empty() {
        return Err(Fault::invalid("the log option `syslog-address` names no host"));
    }
    let file = |key: &str| Some(PathBuf::from(text(key))).filter(|path| !path.as_os_str().is_empty());
    let authority = match (super::flag(options, "syslog-tls-skip-verify")?, file("syslog-tls-ca-cert")) {
        (Some(true), _) => None,
        (_, Some(authority)) => Some(authority),
        (_, None) => {
            let why = "syslog over TLS needs the log option `syslog-tls-ca-cert`: who vouches for the server";
            return Err(
                Fault::invalid(why).hint("with `syslog-tls-skip-verify=true` nobody does: whoever answers is told")
            );
        }
    };
    let own = match (file("syslog-tls-cert"), file("syslog-tls-key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(Fault::invalid("the log options `syslog-tls-cert` and `syslog-tls-key` belong together")),
    };
    let tls = Tls { address: with_port(address, TLS_PORT), authority, own };
    tls.check().map_err(|error| Fault::invalid(error.to_string()))?;
    Ok(Server::Tls(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_none_is() {
        for (address, wanted) in [
            ("udp://host", Server::Udp("host:514".into())),
            ("udp://host:1514", Server::Udp("host:1514".into())),
            ("tcp://[::1]", Server::Tcp("[::1]:514".into())),
            ("tcp://[::1]:6514", Server::Tcp("[::1]:6514".into())),
        ] {
            assert_eq!(server(address), Ok(wanted), "{address}");
        }
        assert!(server("udp://").is_err());
    }
}
