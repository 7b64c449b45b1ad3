//! `ps`: which containers, in which order.

use std::sync::Arc;

use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::step::Phase;
use crate::container::{Container, View};
use crate::core::Core;
use crate::inspect;
use crate::networks::show;
use crate::options::ListOptions;

const FILTERS: [&str; 17] = [
    "ancestor",
    "annotation",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "label!",
];

const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

const HEALTH: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// A container's row as a document: all of it but its `Status`, which tells how long ago something was.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    text: Box<[u8]>,
    /// Where the status belongs.
    at: usize,
}

impl Row {
    fn new(core: &Core, view: &View, health: bool) -> Result<Self, Fault> {
        let mut summary = inspect::summary(core, view, false)?;
        summary.health = summary.health.filter(|_| health);
        let encoded = |status: &str| {
            let row = wire::ContainerSummary { status: status.to_owned(), ..summary.clone() };
            serde_json::to_vec(&row).map_err(|error| Fault::internal("cannot encode a row").cause(error))
        };
        // What differs between two of them is where it stands: labels may bear any name.
        let (text, other) = (encoded("")?, encoded("x")?);
        let at = text.iter().zip(&other).take_while(|(one, two)| one == two).count();
        Ok(Self { text: text.into(), at })
    }
}

/// `GET /containers/json`: the document.
pub(crate) fn list(core: &Core, options: &ListOptions) -> Result<Vec<u8>, Fault> {
    let views = chosen(core, options)?;
    if !options.size {
        return document(core, &views, options.health);
    }
    let mut rows = summaries(core, &views, true)?;
    rows.iter_mut().filter(|_| !options.health).for_each(|row| row.health = None);
    // COMPAT(docker 28): a document ends in a line end.
    let encoded = serde_json::to_vec(&rows);
    let mut all = encoded.map_err(|error| Fault::internal("cannot encode the answer").cause(error))?;
    all.push(b'\n');
    Ok(all)
}

/// All containers with their sizes.
pub(crate) fn all(core: &Core) -> Result<Vec<wire::ContainerSummary>, Fault> {
    let options = ListOptions { all: true, size: true, ..ListOptions::default() };
    summaries(core, &chosen(core, &options)?, true)
}

fn summaries(core: &Core, views: &[Arc<View>], size: bool) -> Result<Vec<wire::ContainerSummary>, Fault> {
    views.iter().map(|view| inspect::summary(core, view, size)).collect()
}

fn chosen(core: &Core, options: &ListOptions) -> Result<Vec<Arc<View>>, Fault> {
    let filters = &options.filters;
    filters.check(&FILTERS)?;
    check_values(filters)?;
    let mut views: Vec<Arc<View>> = core.registry.all().iter().map(|c: &Arc<Container>| c.view()).collect();
    views.sort_by_key(|view| std::cmp::Reverse(view.definition.created));
    let before = bound(core, filters, "before")?;
    let since = bound(core, filters, "since")?;
    // COMPAT(docker 28): naming a state, or a number of rows, asks for stopped ones as well.
    let all = options.all || options.limit.is_some() || filters.has("status") || filters.has("exited");
    let chosen = views.iter().filter(|view| {
        let created = view.definition.created;
        (all || is_up(view))
            && before.is_none_or(|before| created < before)
            && since.is_none_or(|since| created > since)
            && matches(core, filters, view)
    });
    Ok(chosen.take(options.limit.unwrap_or(usize::MAX)).cloned().collect())
}

/// The rows without sizes, kept as long as their view is: many clients ask again and again.
fn document(core: &Core, views: &[Arc<View>], health: bool) -> Result<Vec<u8>, Fault> {
    const STATUS: usize = 64;
    let rows = views
        .iter()
        .map(|view| view.row(health, || Row::new(core, view, health)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let mut all = Vec::with_capacity(rows.iter().map(|row| row.text.len() + STATUS).sum::<usize>() + 3);
    let now = Timestamp::now();
    for (view, row) in views.iter().zip(rows) {
        all.push(if all.is_empty() { b'[' } else { b',' });
        let (before, behind) = row.text.split_at(row.at);
        all.extend_from_slice(before);
        // Words, digits and brackets: nothing that JSON would escape.
        all.extend_from_slice(inspect::status_text(view, now).as_bytes());
        all.extend_from_slice(behind);
    }
    if all.is_empty() {
        all.push(b'[');
    }
    all.extend_from_slice(b"]\n");
    Ok(all)
}

/// By its whole name, or the beginning of its id. COMPAT(docker 28): by any of the container's networks.
fn on_network(core: &Core, view: &View, wanted: &str) -> bool {
    let networks = show::settings(&core.networks, view).networks;
    networks.iter().any(|(name, end)| name == wanted || end.network_id.starts_with(wanted))
}

fn is_up(view: &View) -> bool {
    let phase = view.state.phase;
    phase.is_live() && phase != Phase::Starting || phase == Phase::Backoff
}

fn check_values(filters: &wire::Filters) -> Result<(), Fault> {
    for status in filters.get("status") {
        if !STATUSES.contains(&status.as_str()) {
            return Err(Fault::invalid(format!(
                "invalid filter 'status={status}': invalid value for state ({status}): must be one of {}",
                STATUSES.join(", ")
            )));
        }
    }
    for health in filters.get("health") {
        if !HEALTH.contains(&health.as_str()) {
            let shown: String = health.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(Fault::invalid(format!(
                "invalid filter 'health={shown}': invalid value for health ({shown}): must be one of {}",
                HEALTH.join(", ")
            )));
        }
    }
    for value in filters.get("is-task") {
        if !["0", "1", "f", "t", "false", "true"].contains(&value.to_lowercase().as_str()) {
            return Err(Fault::invalid(format!("invalid filter 'is-task=[{value}]'")));
        }
    }
    for code in filters.get("exited") {
        if code.parse::<i64>().is_err() {
            return Err(Fault::invalid(format!("invalid filter 'exited={code}': it must be a number")));
        }
    }
    Ok(())
}

fn bound(core: &Core, filters: &wire::Filters, key: &str) -> Result<Option<Timestamp>, Fault> {
    match filters.get(key).first() {
        None => Ok(None),
        Some(who) => Ok(Some(core.resolve(who)?.view().definition.created)),
    }
}

fn matches(core: &Core, filters: &wire::Filters, view: &View) -> bool {
    let definition = &view.definition;
    let any = |key: &str, test: &dyn Fn(&str) -> bool| {
        let values = filters.get(key);
        values.is_empty() || values.iter().any(|value| test(value))
    };
    any("id", &|id| definition.id.as_str().starts_with(id))
        && any("name", &|name| {
            definition.name.as_str().contains(name.trim_start_matches('/').trim_matches(['^', '$']))
                && anchors_hold(&definition.name, name)
        })
        && filters.matches_labels("label", &definition.config.labels)
        && filters.matches_labels("annotation", &definition.host_config.annotations)
        && any("status", &|status| view.state.phase.status() == status)
        && any("exited", &|code| {
            view.state.phase == Phase::Exited && view.state.ever_started && view.state.exit_code.to_string() == *code
        })
        && any("ancestor", &|image| is_ancestor(core, image, view))
        && any("network", &|wanted| on_network(core, view, wanted))
        && any("volume", &|wanted| {
            definition.spec.mounts.iter().any(|mount| {
                let name = match &mount.kind {
                    hull_launch::spec::MountKind::Volume { name, .. } => name.as_str(),
                    hull_launch::spec::MountKind::Bind { source, .. } => source.to_str().unwrap_or_default(),
                    hull_launch::spec::MountKind::Image { .. } | hull_launch::spec::MountKind::Tmpfs { .. } => "",
                };
                name == wanted || mount.target.as_os_str() == wanted
            })
        })
        && any("health", &|wanted| view.state.health.as_ref().map_or("none", |health| health.status.word()) == wanted)
        && filters.get("publish").is_empty()
        && any("expose", &|port| {
            let exposed = &definition.config.exposed_ports;
            exposed.contains_key(port) || exposed.contains_key(&format!("{port}/tcp"))
        })
        && any("is-task", &|value| matches!(value.to_lowercase().as_str(), "0" | "f" | "false"))
}

/// `^` and `$`, the only operators of docker's name patterns that are in use.
fn anchors_hold(name: &str, pattern: &str) -> bool {
    let word = pattern.trim_start_matches('^').trim_start_matches('/').trim_end_matches('$');
    (!pattern.starts_with('^') || name.starts_with(word)) && (!pattern.ends_with('$') || name.ends_with(word))
}

fn is_ancestor(core: &Core, image: &str, view: &View) -> bool {
    let definition = &view.definition;
    if definition.config.image == image {
        return true;
    }
    let Ok(ancestor) = core.images.resolve(image) else { return false };
    let layers = ancestor.layers();
    let below = match &definition.base {
        crate::container::record::Base::Layers(own) => !layers.is_empty() && own.starts_with(layers),
        crate::container::record::Base::Host => ancestor.is_host(),
    };
    definition.image == ancestor.id.to_string() || below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_patterns_may_be_anchored() {
        for (pattern, expected) in
            [("we", true), ("^we", true), ("^/web", true), ("^eb", false), ("eb$", true), ("^web$", true)]
        {
            assert_eq!(anchors_hold("web", pattern), expected, "{pattern}");
        }
    }
}
