//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`: written beneath the container's directory,
//! bound over the image's.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_launch::compile::EtcFile;
use hull_launch::spec::{NamespaceWish, Spec};
use hull_network::Endpoint;
use hull_network::etc::{self, Dns, ExtraHost, Network};
use hull_types::{ContainerId, Fault};
use rustix::fs::{Gid, Uid};

use super::fds::Fds;
use super::files;
use super::mounts::outside_root;
use super::namespaces::User;
use super::{Parts, StartInput};

/// Where a container's files lie; inspect shows the paths.
pub fn directory(root: &Path, id: &str) -> PathBuf {
    root.join("containers").join(id)
}

/// A container's `/etc/hosts`.
pub fn hosts_file(root: &Path, id: &ContainerId) -> PathBuf {
    directory(root, id.as_str()).join("hosts")
}

/// Writes and binds the three files. With another container's network, its names are shared too.
pub(super) fn gather(
    parts: &Parts,
    input: &StartInput<'_>,
    user: Option<&User>,
    fds: &mut Fds,
) -> Result<Vec<EtcFile>, Fault> {
    let own = directory(&parts.root, input.id.as_str());
    fs::create_dir_all(&own).map_err(|error| failed(&own, error))?;
    let (hosts, resolv) = match &input.spec.namespaces.net {
        NamespaceWish::Container(id) => {
            let theirs = directory(&parts.root, id);
            (theirs.join("hosts"), theirs.join("resolv.conf"))
        }
        _ => {
            let (hosts, resolv) = texts(input.spec, input.endpoints, input.gateway)?;
            (write(&own, "hosts", &hosts, user)?, write(&own, "resolv.conf", &resolv, user)?)
        }
    };
    let hostname = write(&own, "hostname", &etc::hostname(&input.spec.hostname), user)?;
    let mut all = Vec::with_capacity(3);
    for (path, file) in [("/etc/resolv.conf", resolv), ("/etc/hostname", hostname), ("/etc/hosts", hosts)] {
        let (mount, _) = files::bind_host(&file, false)?;
        all.push(EtcFile { path: path.into(), mount: fds.push(mount.into_fd())? });
    }
    Ok(all)
}

/// What `hosts` and `resolv.conf` of a container with a network of its own say.
pub(crate) fn texts(spec: &Spec, endpoints: &[Endpoint], gateway: &[IpAddr]) -> Result<(String, String), Fault> {
    let hosts = hosts(spec, gateway)? + &own_addresses(spec, endpoints);
    Ok((hosts, resolv_conf(spec, endpoints)?))
}

/// Has the files of a running container follow its networks: its addresses in `hosts`, and in `resolv.conf` the
/// name service. Written in place, since they are bound inside.
///
/// # Errors
/// They cannot be read or written.
pub fn follow_networks(root: &Path, id: &ContainerId, spec: &Spec, endpoints: &[Endpoint]) -> Result<(), Fault> {
    let own = directory(root, id.as_str());
    let hosts = own.join("hosts");
    let text = fs::read_to_string(&hosts).map_err(|error| failed(&hosts, error))?;
    let name = own_names(spec);
    let kept = text.lines().filter(|line| line.split_once('\t').is_none_or(|(_, names)| names != name));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text.push_str(&own_addresses(spec, endpoints));
    fs::write(&hosts, text).map_err(|error| failed(&hosts, error))?;
    let path = own.join("resolv.conf");
    let old = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
    let new = resolv_conf(spec, endpoints)?;
    // One that somebody has replaced stays.
    if endpoints.iter().any(|endpoint| !endpoint.names.is_empty()) && old.lines().next() == new.lines().next() {
        fs::write(&path, new).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The container's own name, at each of its addresses.
fn own_addresses(spec: &Spec, endpoints: &[Endpoint]) -> String {
    let name = own_names(spec);
    let addresses = endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    addresses.map(|net| format!("{}\t{name}\n", net.address)).collect()
}

fn own_names(spec: &Spec) -> String {
    match &spec.domainname {
        Some(domain) => format!("{0}.{domain} {0}", spec.hostname),
        None => spec.hostname.clone(),
    }
}

fn hosts(spec: &Spec, gateway: &[IpAddr]) -> Result<String, Fault> {
    let mut extra: Vec<ExtraHost> = Vec::new();
    for (name, address) in &spec.resolver.hosts {
        if address != "host-gateway" {
            extra.push(format!("{name}={address}").parse()?);
        } else if gateway.is_empty() {
            return Err(hull_network::Error::HostGateway.into());
        } else {
            extra.extend(gateway.iter().map(|address| ExtraHost { name: name.clone(), address: *address }));
        }
    }
    let network = relation(spec, &[]);
    let theirs = if network == Network::Host { text("/etc/hosts") } else { String::new() };
    Ok(etc::hosts(network, &theirs, &extra))
}

fn resolv_conf(spec: &Spec, endpoints: &[Endpoint]) -> Result<String, Fault> {
    let network = relation(spec, endpoints);
    let wish = &spec.resolver;
    let dns = Dns::parse(&wish.servers, &wish.search, &wish.options)?;
    let mut resolv = text("/etc/resolv.conf");
    if network == Network::Own && etc::wants_systemd_resolv_conf(&resolv) {
        resolv = text(etc::SYSTEMD_RESOLV_CONF);
    }
    Ok(etc::resolv_conf(network, &resolv, &dns))
}

fn relation(spec: &Spec, endpoints: &[Endpoint]) -> Network {
    match spec.namespaces.net {
        NamespaceWish::Host => Network::Host,
        _ if endpoints.iter().any(|endpoint| !endpoint.names.is_empty()) => Network::Named,
        _ => Network::Own,
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Whole or not at all for whoever opens it: a new file each time, so that a stopped container's
/// changes end with it (as docker's do for hosts and resolv.conf).
fn write(directory: &Path, name: &str, text: &str, user: Option<&User>) -> Result<PathBuf, Fault> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = directory.join(name);
    let attempt = || -> io::Result<()> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        // Whatever the engine's umask is.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
        if let Some((uid, gid)) = user.and_then(|user| outside_root(&user.maps)) {
            rustix::fs::fchown(file.as_fd(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        io::Write::write_all(&mut file, text.as_bytes())
    };
    match attempt() {
        Ok(()) => Ok(path),
        Err(error) => Err(failed(&path, error)),
    }
}

fn failed(path: &Path, error: io::Error) -> Fault {
    Fault::internal(format!("cannot write `{}`", path.display())).cause(error)
}
