//! `--sysctl key=value`: only what a namespace of the container confines.
//!
//! Owns which keys are namespaced. Must not write anything.
//! Invariant: an accepted key, as a path beneath `/proc/sys`, has no empty, `.` or `..` component.

use crate::Error;

/// Namespaced by ipc, besides `fs.mqueue.*`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Which namespaces are the container's own (or another container's), not the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Private {
    /// The ipc namespace.
    pub ipc: bool,
    /// The network namespace.
    pub net: bool,
}

/// Parses `key=value`, as `--sysctl` has it.
pub fn parse(text: &str) -> Result<(&str, &str), Error> {
    text.split_once('=').ok_or_else(|| Error::SysctlForbidden(text.to_owned()))
}

/// Checks one sysctl and returns its path beneath `/proc/sys` (`net/ipv4/ip_forward`).
///
/// As in sysctl(8) the first separator decides: after a `.`, a `/` stands for a literal dot
/// (`net.ipv4.conf.eth0/1.rp_filter`); after a `/`, dots are literal.
pub fn check(key: &str, value: &str, private: Private) -> Result<String, Error> {
    let path = path_of(key).ok_or_else(|| Error::SysctlForbidden(key.to_owned()))?;
    if value.len() > 4095 || value.contains(['\0', '\n']) {
        return Err(Error::SysctlValue(key.to_owned()));
    }
    let dotted = path.replace('/', ".");
    if IPC.contains(&dotted.as_str()) || path.starts_with("fs/mqueue/") {
        return match private.ipc {
            true => Ok(path),
            false => Err(Error::SysctlHostIpc(dotted)),
        };
    }
    if path.starts_with("net/") {
        return match private.net {
            true => Ok(path),
            false => Err(Error::SysctlHostNetwork(dotted)),
        };
    }
    let flag = match dotted.as_str() {
        "kernel.hostname" => "--hostname",
        "kernel.domainname" => "--domainname",
        _ => return Err(Error::SysctlForbidden(key.to_owned())),
    };
    Err(Error::SysctlConflict { key: dotted, flag })
}

fn path_of(key: &str) -> Option<String> {
    let separator = key.find(['.', '/']).map(|at| key.as_bytes()[at])?;
    let path: String = match separator {
        b'/' => key.to_owned(),
        _ => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    };
    let sound = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:@+".contains(&b))
    };
    (path.len() <= 255 && path.split('/').all(sound)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Private = Private { ipc: true, net: true };
    const HOST: Private = Private { ipc: false, net: false };

    #[test]
    fn accepted() {
        let table = [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
            ("net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
            ("kernel.shmmax", "kernel/shmmax"),
            ("kernel/sem", "kernel/sem"),
            ("fs.mqueue.msg_max", "fs/mqueue/msg_max"),
        ];
        for (key, path) in table {
            assert_eq!(check(key, "1", OWN).as_deref(), Ok(path), "{key}");
        }
    }

    #[test]
    fn refused_in_the_hosts_namespaces() {
        let table = [
            ("net.core.somaxconn", "sysctl \"net.core.somaxconn\" not allowed in host network namespace"),
            ("kernel.shmmax", "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace"),
            ("fs/mqueue/msg_max", "sysctl \"fs.mqueue.msg_max\" is not allowed in the hosts ipc namespace"),
        ];
        for (key, message) in table {
            assert_eq!(check(key, "1", HOST).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn refused_always() {
        let keys = [
            "kernel.core_pattern",
            "kernel.modprobe",
            "kernel.msgmax2",
            "kernel",
            "",
            "net",
            "net.",
            ".net.x",
            "net..x",
            "net/../kernel/core_pattern",
            "net/ipv4/../../kernel/core_pattern",
            "net.ipv4.//.x",
            "net././kernel/core_pattern",
            "net/./x",
            "net.\0",
            "net.a b",
            "net.ipv4\n.x",
            "/net/ipv4/ip_forward",
            "fs.mqueue./../../kernel/core_pattern",
            "fs.file-max",
            "user.max_user_namespaces",
            "vm.overcommit_memory",
        ];
        for key in keys {
            let error = check(key, "1", OWN).expect_err(key);
            assert_eq!(error, Error::SysctlForbidden(key.to_owned()), "{key:?}");
        }
        let hostname = check("kernel.hostname", "x", OWN).unwrap_err();
        assert_eq!(
            hostname.to_string(),
            "sysctl \"kernel.hostname\" is not allowed as it conflicts with the `--hostname` option"
        );
        assert!(matches!(check("kernel/domainname", "x", OWN), Err(Error::SysctlConflict { .. })));
    }

    #[test]
    fn values_are_one_line() {
        for value in ["1\n2", "a\0", &"9".repeat(4096)] {
            let error = check("net.x", value, OWN).unwrap_err();
            assert_eq!(error, Error::SysctlValue("net.x".into()));
        }
        assert_eq!(parse("net.x=1=2"), Ok(("net.x", "1=2")));
        assert_eq!(parse("net.x").unwrap_err().to_string(), "sysctl 'net.x' is not allowed");
    }
}
