//! What happened: the last events, and the clients that listen.
//!
//! A listener that does not keep up is dropped alone; nothing waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hull_types::{Fault, Timestamp};
use hull_wire::{Actor, EventMessage, Filters};
use tokio::sync::broadcast;

/// How many events `since` can reach back to. COMPAT(docker 28).
const REMEMBERED: usize = 256;

/// How many events a listener may lag behind: a busy machine takes the processor away for longer than a few
/// hundred events take.
const UNREAD: usize = 2048;

/// The keys that `events --filter` knows.
const FILTERS: [&str; 15] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
    "status",
];

/// The engine's events.
pub(crate) struct Events {
    past: Mutex<VecDeque<Arc<EventMessage>>>,
    live: broadcast::Sender<Arc<EventMessage>>,
}

impl Events {
    pub fn new() -> Self {
        Self { past: Mutex::default(), live: broadcast::channel(UNREAD).0 }
    }

    /// An event of a container.
    pub fn container(&self, action: impl Into<String>, id: &str, attributes: BTreeMap<String, String>) {
        let from = attributes.get("image").cloned().unwrap_or_default();
        self.tell("container", action.into(), id, from, attributes);
    }

    /// An event of an image.
    pub fn image(&self, action: &str, id: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.tell("image", action.to_owned(), id, String::new(), attributes);
    }

    /// An event of a volume, with more attributes than its driver.
    pub fn volume(&self, action: &str, name: &str, mut attributes: BTreeMap<String, String>) {
        attributes.insert("driver".to_owned(), "local".to_owned());
        self.tell("volume", action.to_owned(), name, String::new(), attributes);
    }

    /// An event of a network, or of a container on it.
    pub fn network(&self, action: &str, id: &str, name: &str, container: Option<&str>) {
        let mut attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        attributes.insert("type".to_owned(), if matches!(name, "host" | "none") { name } else { "bridge" }.to_owned());
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.tell("network", action.to_owned(), id, String::new(), attributes);
    }

    /// An event of the engine itself.
    pub fn daemon(&self, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        self.tell("daemon", action.to_owned(), id, String::new(), attributes);
    }

    fn tell(&self, kind: &str, action: String, id: &str, from: String, attributes: BTreeMap<String, String>) {
        let now = Timestamp::now();
        let old_style = kind == "container" || kind == "image";
        let event = Arc::new(EventMessage {
            status: if old_style { action.clone() } else { String::new() },
            id: if old_style { id.to_owned() } else { String::new() },
            from,
            kind: kind.to_owned(),
            action,
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            time: now.secs(),
            time_nano: now.nanos(),
        });
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(Arc::clone(&event));
        // ORDER: under the lock, so that a listener gets each event from exactly one of the two.
        let _ = self.live.send(event);
    }

    /// How many clients listen.
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// What is remembered since `since`, then what comes, until `until`.
    pub fn listen(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> Result<BoxStream<'static, EventMessage>, Fault> {
        filters.check(&FILTERS)?;
        let (past, live) = {
            let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = |e: &&Arc<EventMessage>| {
                let from = since.map_or(until.is_some(), |since| e.time_nano >= since.nanos());
                from && until.is_none_or(|until| e.time_nano <= until.nanos())
            };
            (past.iter().filter(wanted).cloned().collect::<Vec<_>>(), self.live.subscribe())
        };
        let deadline = until.map(|until| {
            let left = u64::try_from(until.nanos().saturating_sub(Timestamp::now().nanos())).unwrap_or(0);
            tokio::time::Instant::now() + std::time::Duration::from_nanos(left.min(u64::MAX / 4))
        });
        let coming = stream::unfold(live, move |mut live| async move {
            let next = async {
                // Lagged: the client did not read for [`UNREAD`] events. It is dropped, and sees that it was.
                live.recv().await.ok()
            };
            let event = match deadline {
                Some(at) => tokio::time::timeout_at(at, next).await.ok().flatten(),
                None => next.await,
            }?;
            Some((event, live))
        });
        let all = stream::iter(past).chain(coming);
        Ok(all.filter_map(move |e| std::future::ready(matches(&filters, &e).then(|| (*e).clone()))).boxed())
    }
}

/// Whether an event passes `--filter`. COMPAT(docker 28): daemon/events/filter.go.
fn matches(filters: &Filters, event: &EventMessage) -> bool {
    let object = |key: &str| {
        if !filters.has(key) {
            return true;
        }
        let name = event.actor.attributes.get("name").map_or("", String::as_str);
        let image = event.actor.attributes.get("image").map_or("", String::as_str);
        filters.get(key).iter().any(|wanted| {
            if key == "image" && event.kind == "container" {
                return without_tag(image) == wanted || image == wanted;
            }
            let own = event.kind == key;
            own && (event.actor.id == *wanted
                || name == wanted
                || (key == "container" && event.actor.id.starts_with(wanted.as_str()))
                || (key == "image" && without_tag(name) == wanted))
        })
    };
    // `exec_create: sh` matches `exec_create`.
    let action = event.action.split(':').next().unwrap_or_default();
    let action_ok = |key| {
        let wanted = filters.get(key);
        wanted.is_empty() || wanted.iter().any(|w| *w == event.action || w == action)
    };
    action_ok("event")
        && action_ok("status")
        && filters.matches("type", &event.kind)
        && filters.matches("scope", &event.scope)
        && filters.matches_labels("label", &event.actor.attributes)
        && object("container")
        && object("image")
        && object("volume")
        && object("network")
        && object("daemon")
}

fn without_tag(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(pairs: &[(&str, &str)]) -> Filters {
        let mut filters = Filters::new();
        for (key, value) in pairs {
            filters.add(*key, *value);
        }
        filters
    }

    #[test]
    fn filters_choose_events() {
        let events = Events::new();
        let attributes = BTreeMap::from([
            ("image".to_owned(), "busybox:latest".to_owned()),
            ("name".to_owned(), "web".to_owned()),
            ("tier".to_owned(), "front".to_owned()),
        ]);
        events.container("exec_create: sh", "abcdef", attributes);
        let event = events.past.lock().unwrap()[0].clone();
        for (pairs, expected) in [
            (&[][..], true),
            (&[("event", "exec_create")], true),
            (&[("event", "start")], false),
            (&[("event", "start"), ("event", "exec_create")], true),
            (&[("container", "web")], true),
            (&[("container", "abc")], true),
            (&[("container", "db")], false),
            (&[("image", "busybox")], true),
            (&[("image", "alpine")], false),
            (&[("label", "tier=front")], true),
            (&[("label", "tier=back")], false),
            (&[("type", "image")], false),
            (&[("type", "container"), ("label", "tier")], true),
        ] {
            assert_eq!(matches(&filters(pairs), &event), expected, "{pairs:?}");
        }
    }

    #[tokio::test]
    async fn a_listener_gets_past_and_coming_events_once() {
        let events = Events::new();
        events.container("create", "a", BTreeMap::new());
        let mut all = events.listen(Some(Timestamp::from_secs(0)), None, Filters::new()).unwrap();
        let mut only_new = events.listen(None, None, Filters::new()).unwrap();
        events.container("start", "a", BTreeMap::new());
        assert_eq!(all.next().await.unwrap().action, "create");
        assert_eq!(all.next().await.unwrap().action, "start");
        assert_eq!(only_new.next().await.unwrap().action, "start");
    }

    #[tokio::test]
    async fn until_in_the_past_ends_at_once_and_a_slow_listener_is_dropped() {
        let events = Events::new();
        events.container("create", "a", BTreeMap::new());
        let until = Timestamp::now();
        let past = events.listen(None, Some(until), Filters::new()).unwrap();
        assert_eq!(past.count().await, 1);
        let slow = events.listen(None, None, Filters::new()).unwrap();
        for _ in 0..UNREAD + 1 {
            events.container("start", "a", BTreeMap::new());
        }
        assert_eq!(slow.count().await, 0);
        assert!(events.listen(None, None, filters(&[("nonsense", "x")])).is_err());
    }
}
