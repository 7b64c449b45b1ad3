//! `ssh://[user@]host[:port][/socket]`: `system dial-stdio` at the other end, by the system's ssh.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use hull_client::Dial;
use hull_types::Fault;

/// A host that ssh knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ssh {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: Option<String>,
}

impl Ssh {
    pub(super) fn parse(rest: &str) -> Result<Self, Fault> {
        let bad = |why: &str| {
            let shown = crate::cli::parse::shortened(rest);
            Fault::invalid(format!("cannot use host `ssh://{shown}`: {why}"))
        };
        let (place, path) = rest.split_once('/').map_or((rest, None), |(place, path)| (place, Some(path)));
        let (user, address) = place.rsplit_once('@').map_or((None, place), |(user, address)| (Some(user), address));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(bad("a password cannot be given"));
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| bad("its port is no number"))?))
            }
            _ => (address, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // What a shell or ssh itself would take for something else is no name.
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:%/".contains(&b))
        };
        if !plain(host) || user.is_some_and(|user| !plain(user)) {
            return Err(bad("write ssh://user@host:port"));
        }
        let socket = path.filter(|path| !path.is_empty()).map(|path| format!("/{path}"));
        if socket.as_deref().is_some_and(|path| !plain(path)) {
            return Err(bad("the socket's path has characters that a shell reads"));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port, socket })
    }

    /// ssh's arguments. Over there it is hull if there is one, else docker's client.
    fn arguments(&self) -> Vec<String> {
        let mut args = vec!["-T".to_owned(), "-o".to_owned(), "ConnectTimeout=30".to_owned()];
        for (flag, value) in [("-l", self.user.clone()), ("-p", self.port.map(|port| port.to_string()))] {
            args.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        let host = self.socket.as_ref().map_or_else(String::new, |path| format!(" --host unix://{path}"));
        args.extend(["--".to_owned(), self.host.clone()]);
        args.push(format!(
            "if command -v hull >/dev/null 2>&1; then exec hull{host} system dial-stdio; \
             else exec docker{host} system dial-stdio; fi"
        ));
        args
    }
}

impl Dial for Ssh {
    fn dial(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let input = OwnedFd::from(theirs.try_clone()?);
        // It ends when this side closes; what it says of itself goes to the user.
        Command::new("ssh")
            .args(self.arguments())
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run ssh: {error}")))?;
        Ok(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_nothing_that_a_shell_reads() {
        let host = Ssh::parse("me@box.lan:2222/run/docker.sock").unwrap();
        assert_eq!(
            host,
            Ssh {
                user: Some("me".into()),
                host: "box.lan".into(),
                port: Some(2222),
                socket: Some("/run/docker.sock".into()),
            }
        );
        let args = host.arguments();
        assert_eq!(&args[3..9], ["-l", "me", "-p", "2222", "--", "box.lan"]);
        assert!(args[9].contains("hull --host unix:///run/docker.sock system dial-stdio"));
        assert_eq!(Ssh::parse("[fe80::1%eth0]").unwrap().host, "fe80::1%eth0");
        for bad in ["", "-oProxyCommand=x", "a b", "me:pw@host", "host:x", "host/a;b", "host/$(x)", "-x@host"] {
            assert!(Ssh::parse(bad).is_err(), "{bad}");
        }
    }
}
