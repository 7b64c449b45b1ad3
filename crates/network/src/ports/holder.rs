//! Who holds a port: from the kernel's tables of sockets to the process that has the descriptor.

use std::fs;

use super::Protocol;

/// The process with a socket on this port, as `nginx (pid 512)`. `None` if none can be found.
pub(super) fn of(protocol: Protocol, port: u16) -> Option<String> {
    let inodes = inodes(protocol, port);
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let has = fds.flatten().any(|fd| {
            let link = fs::read_link(fd.path()).unwrap_or_default();
            let link = link.to_string_lossy();
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            inode.is_some_and(|inode| inodes.iter().any(|one| one == inode))
        });
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        has.then(|| format!("{} (pid {pid})", name.trim_end()))
    })
}

/// Inodes of the sockets that listen (of UDP: are bound) on this port.
fn inodes(protocol: Protocol, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for table in [protocol.name().to_owned(), format!("{}6", protocol.name())] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (words.get(1), words.get(3), words.get(9)) else { continue };
            let is_port = local.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok()) == Some(port);
            if is_port && (protocol != Protocol::Tcp || *state == LISTEN) {
                found.push((*inode).to_owned());
            }
        }
    }
    found
}
