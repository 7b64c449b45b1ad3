//! Creating: admission, volumes, the record; then the container's task.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use hull_image::{Hold, Image};
use hull_launch::spec::{MountKind, MountWish, Spec};
use hull_logs::Keep;
use hull_types::{ContainerId, Fault, Kind, Name, Timestamp};
use hull_volume::{Filling, NewVolume};
use hull_wire as wire;
use rustix::fs::OFlags;
use tokio::sync::mpsc;

use crate::admit::{self, Admitted};
use crate::container::record::{Definition, State};
use crate::container::task::Task;
use crate::container::{Container, View};
use crate::core::{Core, blocking};
use crate::names;
use crate::networks::links;
use crate::volumes::settle_soon;

/// Makes a container, or says why not; then nothing was made.
pub(crate) async fn create(
    core: &Arc<Core>,
    name: Option<String>,
    platform: Option<String>,
    mut request: wire::ContainerCreateRequest,
) -> Result<wire::ContainerCreateResponse, Fault> {
    let settings = core.settings.for_creation()?;
    let name = name.filter(|n| !n.is_empty()).map(|n| admit::name(&n)).transpose()?;
    let id = ContainerId::new_random();
    // Held until the record says who uses it: a removal meanwhile leaves the layers.
    let (image, _held) = image(core, &request.config.image, platform.as_deref())?;
    settings.fill(&mut request);
    let named = request.host_config.security_opt.clone();
    let more = settings.security(&request.host_config);
    request.host_config.security_opt.extend(more);
    let mut admitted = admit::create(&core.admission(), &id, &image.config, &request).map_err(not_the_image)?;
    admitted.host_config.security_opt = named;
    settings.finish(&mut admitted);
    let _held_too = image_mounts(core, &mut admitted.spec)?;
    links::resolve(core, &mut admitted.network)?;
    let name = reserve(core, name, id)?;
    // Everything from here on is undone if it fails.
    let made = make(core, id, name.clone(), &image, admitted);
    if made.is_err() {
        core.registry.release(&name);
    }
    made
}

/// A network or another container that is missing. COMPAT(docker 28): its CLI pulls the image when a creation answers 404.
fn not_the_image(fault: Fault) -> Fault {
    if fault.kind != Kind::NotFound {
        return fault;
    }
    let networks = fault.summary.starts_with("network ");
    let before = if networks { "failed to set up container networking: " } else { "" };
    Fault { kind: Kind::Invalid, summary: format!("{before}{}", fault.summary), ..fault }
}

/// Finds the images that are mounted. Not with the answer for a container's own that is missing, which clients would pull.
fn image_mounts(core: &Core, spec: &mut Spec) -> Result<Vec<Hold>, Fault> {
    let mut held = Vec::new();
    for mount in &mut spec.mounts {
        let MountKind::Image { reference, id, layers, .. } = &mut mount.kind else { continue };
        let shown: String = reference.chars().take(200).flat_map(char::escape_debug).collect();
        let refused = |why: String| Fault::invalid(format!("invalid mount config for type \"image\": {why}"));
        let (image, hold) = core.images.resolve_held(reference).map_err(|error| match Fault::from(error) {
            fault if fault.kind == Kind::NotFound => {
                refused(format!("no such image: {shown}")).hint(format!("`hull pull {shown}` brings it"))
            }
            fault => fault,
        })?;
        let hull_snapshot::Base::Layers(chain) = image.base() else {
            return Err(refused(format!("`{shown}` is the machine itself and cannot be mounted")));
        };
        *id = image.id.to_string();
        *layers = chain;
        held.push(hold);
    }
    Ok(held)
}

fn image(core: &Core, reference: &str, platform: Option<&str>) -> Result<(Image, Hold), Fault> {
    if reference.is_empty() {
        return Err(Fault::invalid("no image was named").hint("`hull images` lists those that are here"));
    }
    let (image, held) = core.images.resolve_held(reference)?;
    if let Some(platform) = platform.filter(|p| !p.is_empty()) {
        let wanted: hull_types::Platform = platform.parse()?;
        if !admit::platform_matches(&wanted, &image.config) {
            return Err(Fault::new(
                Kind::NotFound,
                format!(
                    "image with reference {reference} was found but its platform ({}/{}) does not match the specified platform ({platform})",
                    image.config.os, image.config.architecture
                ),
            ));
        }
    }
    Ok((image, held))
}

fn reserve(core: &Core, name: Option<Name>, id: ContainerId) -> Result<Name, Fault> {
    if let Some(name) = name {
        core.registry.reserve(&name, id)?;
        return Ok(name);
    }
    for attempt in 0_u32.. {
        let name = names::random(attempt);
        match core.registry.reserve(&name, id) {
            Ok(()) => return Ok(name),
            Err(error) if attempt >= 100 => return Err(error.into()),
            Err(_) => {}
        }
    }
    unreachable!("the loop returns")
}

fn make(
    core: &Arc<Core>,
    id: ContainerId,
    name: Name,
    image: &Image,
    admitted: Admitted,
) -> Result<wire::ContainerCreateResponse, Fault> {
    // Held until the record says who uses them.
    let _using = (!admitted.spec.mounts.is_empty()).then(|| core.parts.volumes.using());
    let base = image.base();
    let made = make_volumes(core, &admitted)?;
    if let Err(fault) = blocking(|| fill_volumes(core, &admitted, &base)) {
        undo_volumes(core, &made);
        return Err(fault);
    }
    let definition = Arc::new(Definition {
        id,
        name,
        created: Timestamp::now(),
        image: image.id.to_string(),
        architecture: image.config.architecture.clone(),
        base: base.into(),
        config: admitted.config,
        host_config: admitted.host_config,
        network: admitted.network,
        spec: Arc::new(admitted.spec),
    });
    let [rows, columns] = definition.host_config.console_size;
    let mut state = State::created(&core.facts.boot);
    state.terminal = (u16::try_from(rows).unwrap_or(0), u16::try_from(columns).unwrap_or(0));
    let written = core.write(&definition, |tx| {
        tx.put(id.as_str(), &*definition)?;
        tx.put(id.as_str(), &state)
    });
    if let Err(error) = written {
        undo_volumes(core, &made);
        return Err(error.into());
    }
    let spool = hull_logs::Spool::new(core.container_dir(&id).join("log"), log_kept(&definition));
    let (mailbox, inbox) = mpsc::unbounded_channel();
    let container = Arc::new(Container::new(View::new(definition.clone(), state), spool, mailbox));
    core.registry.insert(Arc::clone(&container));
    tokio::spawn(Task::new(Arc::clone(core), container, inbox).run(None));
    core.announce(&definition, "create", &[]);
    Ok(wire::ContainerCreateResponse { id: id.to_string(), warnings: admitted.warnings })
}

/// With the driver `none` only as much is kept as an attached client may be behind.
pub(crate) fn log_kept(definition: &Definition) -> Keep {
    const UNKEPT: u64 = 256 * 1024;
    let log = &definition.spec.log;
    match log.keeps() {
        true => Keep { bytes: log.max_bytes, packed_after: log.packed_after },
        false => Some(UNKEPT).into(),
    }
}

fn make_volumes(core: &Core, admitted: &Admitted) -> Result<Vec<String>, Fault> {
    let mut made = Vec::new();
    for wish in &admitted.volumes {
        // What goes with an ephemeral container need not outlive the boot.
        let lasting = !(wish.anonymous && admitted.host_config.auto_remove);
        let new = NewVolume {
            name: &wish.name,
            anonymous: wish.anonymous,
            labels: &wish.labels,
            options: &wish.options,
            lasting,
        };
        let result = blocking(|| core.parts.volumes.create(&new));
        match result {
            Ok(new) => {
                if new {
                    core.events.volume("create", &wish.name, Default::default());
                    made.push(wish.name.clone());
                }
            }
            Err(error) => {
                undo_volumes(core, &made);
                return Err(error.into());
            }
        }
    }
    if !made.is_empty() {
        settle_soon(core);
    }
    Ok(made)
}

/// Empty volumes get what the image has where they are mounted. COMPAT(docker 28): at the creation, so that others find
/// it before the container's first start.
fn fill_volumes(core: &Core, admitted: &Admitted, base: &hull_snapshot::Base) -> Result<(), Fault> {
    let filled = admitted
        .spec
        .mounts
        .iter()
        .try_for_each(|wish| fill_volume(core, wish, base, admitted.host_config.auto_remove));
    crate::volumes::release(core, &admitted.spec, None);
    filled.map_err(|fault| Fault { summary: format!("failed to populate volume: {}", fault.summary), ..fault })
}

fn fill_volume(core: &Core, wish: &MountWish, base: &hull_snapshot::Base, ephemeral: bool) -> Result<(), Fault> {
    let MountKind::Volume { name, nocopy: false, anonymous, subpath, .. } = &wish.kind else { return Ok(()) };
    let (volumes, subpath) = (&core.parts.volumes, subpath.as_deref());
    if !volumes.may_be_filled(name, subpath)? {
        return Ok(());
    }
    let fill = |root: BorrowedFd<'_>| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK;
        match hull_sys::resolve::open_in_root(root, &wish.target, flags) {
            Ok(image) => {
                let lasting = !(*anonymous && ephemeral);
                volumes.fill(name, &Filling { image: image.as_fd(), subpath, lasting }).map(drop)
            }
            // Nothing there, or no directory: nothing to copy.
            Err(_) => Ok(()),
        }
    };
    Ok(core.parts.snapshots.look(base, ephemeral, fill)??)
}

fn undo_volumes(core: &Core, made: &[String]) {
    for name in made.iter().rev() {
        if let Err(error) = core.parts.volumes.remove(name) {
            tracing::warn!(volume = %name, %error, "volume of a failed create not removed");
        }
    }
}
