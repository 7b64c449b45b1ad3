//! From a bundle to the launch's typed wish and its descriptors.
//!
//! `read` parses and refuses; `Prepared` opens what the plan needs: roots, binds, namespaces. Everything is opened
//! before the child is cloned, so the host's table of mounts never shows any of it.

mod devices;
mod fds;
mod mounts;
mod namespaces;
mod options;
mod process;

use std::path::{Path, PathBuf};

use hull_launch::compile::{BundleFacts, CgroupJoin, Streams};
use hull_launch::plan::Point;
use hull_launch::spec::Bundle;
use serde_json::value::RawValue;

pub use fds::Fds;
pub use options::words as mount_options;
pub use process::{
    Listener, apparmor_active, check as check_process, cpus, personality, process, seccomp, selinux_active, streams,
    who,
};

use crate::cgroups::Group;
use crate::config::{self, Config, Hooks, Linux};
use crate::container::SpecState;
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::refusals;

/// A bundle that was read and is worth trying.
#[derive(Debug)]
pub struct Read {
    /// Its directory, absolute.
    pub path: PathBuf,
    /// What it says.
    pub config: Config,
    /// The same, as written.
    pub text: Box<RawValue>,
}

impl Read {
    /// Reads and checks; the working directory becomes the bundle, as runc's does.
    pub fn open(path: Option<&str>) -> Result<Self> {
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            rustix::process::chdir(path).doing(|| format!("chdir {path:?}"))?;
        }
        let path = std::env::current_dir().doing(|| "getcwd".to_owned())?;
        let text = match std::fs::read_to_string("config.json") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoConfig { bundle: path }),
            text => text.doing(|| format!("read {:?}", path.join("config.json")))?,
        };
        let (config, text) =
            parse(text).map_err(|reason| Error::Unreadable { path: path.join("config.json"), reason })?;
        let read = Self { path, config, text };
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<()> {
        let process = self.config.process.as_ref().ok_or_else(|| Error::invalid("process", "is missing"))?;
        check_process(process)?;
        refusals::check(&self.config)?;
        if self.config.root.as_ref().is_none_or(|root| root.path.is_empty()) {
            return Err(Error::invalid("root.path", "is missing"));
        }
        if let Some(linux) = &self.config.linux {
            crate::netdev::check(&linux.net_devices)?;
        }
        if let Some(hooks) = &self.config.hooks {
            hooks::check(hooks)?;
        }
        Ok(())
    }

    /// The root, absolute.
    pub fn rootfs(&self) -> PathBuf {
        let root = self.config.root.as_ref().map(|root| root.path.as_str()).unwrap_or_default();
        self.path.join(root)
    }

    /// `linux`, present or not.
    pub fn linux(&self) -> Linux {
        self.config.linux.clone().unwrap_or_default()
    }

    /// Its hooks, present or not.
    pub fn hooks(&self) -> Hooks {
        self.config.hooks.clone().unwrap_or_default()
    }
}

/// Go writes `null` for what is empty; here it is as if it were absent.
fn parse(text: String) -> Result<(Config, Box<RawValue>), String> {
    let named = |text: &str, error: serde_json::Error| config::named(text, &error);
    let text = if text.contains("null") {
        let mut value: serde_json::Value = serde_json::from_str(&text).map_err(|error| named(&text, error))?;
        drop_nulls(&mut value);
        value.to_string()
    } else {
        text
    };
    let config = serde_json::from_str(&text).map_err(|error| named(&text, error))?;
    let text = RawValue::from_string(text).map_err(|error| error.to_string())?;
    Ok((config, text))
}

/// Takes every null out.
pub fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(list) => {
            list.retain(|value| !value.is_null());
            list.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

/// What a launch of the bundle takes.
pub struct Prepared {
    /// The wish.
    pub bundle: Bundle,
    /// The facts.
    pub facts: BundleFacts,
    /// The descriptors that the facts speak of.
    pub fds: Fds,
    /// `CLONE_NEW*` of the namespaces that are not the host's.
    pub namespaces: u32,
    /// Who answers what its filter asks.
    pub listener: Option<Listener>,
}

/// How the command wants the container.
#[derive(Clone, Copy)]
pub struct Wishes<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `pivot_root`, not `chroot`.
    pub pivot: bool,
    /// A new session keyring.
    pub keyring: bool,
    /// What the log is told of.
    pub log: &'a crate::log::Log,
    /// It has a cgroup.
    pub group: Option<&'a Group>,
    /// The cgroups are the unified ones, mounted here.
    pub unified: Option<&'a Path>,
}

/// Opens everything.
pub fn prepare(read: &Read, wishes: &Wishes<'_>) -> Result<Prepared> {
    let config = &read.config;
    let linux = read.linux();
    let mut fds = Fds::default();
    let spaces = namespaces::open(&linux, &mut fds)?;
    let rootfs = read.rootfs();
    let (root, root_attrs) = mounts::root(&rootfs, &linux, &mut fds)?;
    let context = mounts::Context { read, linux: &linux, spaces: &spaces, wishes, selinux: selinux_active() };
    let mounted = mounts::all(&context, &mut fds)?;
    let given = config.process.as_ref().ok_or_else(|| Error::invalid("process", "is missing"))?;
    for name in process::unknown_capabilities(given) {
        wishes.log.warning(&format!("ignoring unknown or unavailable capability {name}"));
    }
    let who = who(given, fds.get(root));
    let seccomp = match &linux.seccomp {
        Some(profile) => seccomp(profile.get(), given)?,
        None => None,
    };
    let listener = seccomp.as_ref().and_then(|filter| filter.listener.clone());
    let hooks = read.hooks();
    let state = |status| SpecState {
        version: &config.oci_version,
        id: wishes.id,
        status,
        bundle: &read.path,
        annotations: &config.annotations,
    };
    let bundle = Bundle {
        process: process(given, wishes.keyring.then_some(wishes.id))?,
        hostname: config.hostname.clone().filter(|name| !name.is_empty()),
        domainname: config.domainname.clone().filter(|name| !name.is_empty()),
        namespaces: spaces.wishes.clone(),
        mounts: mounted.steps,
        own_dev: !mounted.dev_is_bound,
        masked_paths: linux.masked_paths.iter().map(PathBuf::from).collect(),
        readonly_paths: linux.readonly_paths.iter().map(PathBuf::from).collect(),
        root: mounts::shared_root(&linux)?,
        readonly_root: config.root.as_ref().is_some_and(|root| root.readonly),
        pivot: wishes.pivot,
        sysctls: namespaces::sysctls(&linux, &spaces)?,
        personality: linux.personality.as_ref().map(personality).transpose()?,
        create_container: hooks::planned("createContainer", &hooks.create_container, &state("creating")),
        start_container: hooks::planned("startContainer", &hooks.start_container, &state("created")),
    };
    namespaces::check_names(&bundle, &spaces)?;
    let mut hold = Vec::new();
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        hold.push(Point::Mounted);
    }
    if !linux.net_devices.is_empty() {
        hold.push(Point::Namespaces);
    }
    let cgroup = wishes.group.map(|group| join(group, &mut fds)).transpose()?;
    let facts = BundleFacts {
        key: wishes.id.to_owned(),
        who,
        root,
        root_attrs,
        joined: spaces.joined.clone(),
        cgroup,
        devices: devices::all(&linux, &spaces, &mut fds)?,
        streams: streams(given),
        listener: listener.is_some(),
        seccomp: seccomp.map(|filter| filter.program),
        apparmor: given.apparmor_profile.is_some(),
        selinux: given.selinux_label.is_some(),
        hold,
        fifo: None,
    };
    let namespaces = spaces.bits;
    Ok(Prepared { bundle, facts, fds, namespaces, listener })
}

/// How the process enters its cgroup.
pub fn join(group: &Group, fds: &mut Fds) -> Result<CgroupJoin> {
    Ok(match group.join()? {
        hull_cgroup::Join::V2(directory) => CgroupJoin::V2(fds.push(directory)),
        hull_cgroup::Join::V1(tasks) => CgroupJoin::V1(tasks.into_iter().map(|fd| fds.push(fd)).collect()),
    })
}

/// Whether the process has a terminal.
pub fn is_terminal(streams: Streams) -> bool {
    matches!(streams, Streams::Terminal { .. })
}

/// The path of a mount's source: relative ones are the bundle's.
fn source(bundle: &Path, source: &str) -> PathBuf {
    bundle.join(source)
}
