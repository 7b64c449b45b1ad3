//! [`Remembered`]: why the latest removed containers ended. A row each, written and deleted in the transaction that removes a
//! container: an engine that ends, however it does, forgets none. Of a `--rm` container it lies in `<run>`, as all of it.
//!
//! A row that cannot be read is set aside as any other, and is missed by nobody: nothing else depends on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_records::{Db, Record, Tx};
use hull_types::Timestamp;
use hull_wire as wire;
use serde::{Deserialize, Serialize};

/// Removed containers that are remembered, of each of the two kinds.
pub(super) const REMEMBERED: usize = 200;

/// A row. Its key begins with the time of the removal, so that the order of keys is that of removals.
#[derive(Debug, Serialize, Deserialize)]
struct Row(wire::Postmortem);

impl Record for Row {
    const TABLE: &'static str = "postmortems";
}

/// One that is remembered.
#[derive(Clone, Debug)]
struct Kept {
    key: String,
    found: Arc<wire::Postmortem>,
}

/// The latest of each kind, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    durable: Mutex<VecDeque<Kept>>,
    fleeting: Mutex<VecDeque<Kept>>,
}

/// One that is about to be remembered, and the keys of those that make room for it.
pub(crate) struct Coming {
    kept: Kept,
    ephemeral: bool,
    forgotten: Vec<String>,
}

impl Coming {
    /// Writes it, in the transaction of the removal.
    pub fn write(&self, tx: &Tx<'_>) -> hull_records::Result<()> {
        tx.put(&self.kept.key, &Row((*self.kept.found).clone()))?;
        self.forgotten.iter().try_for_each(|key| tx.delete::<Row>(key).map(drop))
    }
}

impl Remembered {
    /// What earlier engines wrote.
    pub fn load(durable: &Db, fleeting: &Db) -> Self {
        Self { durable: Mutex::new(rows(durable)), fleeting: Mutex::new(rows(fleeting)) }
    }

    /// Prepares to remember a container that is removed now.
    pub fn prepare(&self, found: wire::Postmortem, ephemeral: bool) -> Coming {
        let key = format!("{:020}-{}", Timestamp::now().nanos().max(0), found.id);
        let all = lock(self.of(ephemeral));
        let many = (all.len() + 1).saturating_sub(REMEMBERED);
        let forgotten = all.iter().take(many).map(|kept| kept.key.clone()).collect();
        Coming { kept: Kept { key, found: Arc::new(found) }, ephemeral, forgotten }
    }

    /// It is written, or cannot be: from now on it is found, for as long as this engine lives at least.
    pub fn add(&self, coming: Coming) {
        let mut all = lock(self.of(coming.ephemeral));
        all.retain(|kept| !coming.forgotten.contains(&kept.key));
        all.push_back(coming.kept);
    }

    /// The latest of this name or (beginning of the) id.
    pub fn find(&self, who: &str) -> Option<wire::Postmortem> {
        let name = who.strip_prefix('/').unwrap_or(who);
        let named = |kept: &Kept| kept.found.name == name;
        let by_id = |kept: &Kept| who.len() >= 4 && kept.found.id.starts_with(who);
        let found = self.latest(named).or_else(|| self.latest(by_id));
        found.map(|found| (*found).clone())
    }

    fn latest(&self, is: impl Fn(&Kept) -> bool) -> Option<Arc<wire::Postmortem>> {
        let of = |all: &Mutex<VecDeque<Kept>>| lock(all).iter().rev().find(|kept| is(kept)).cloned();
        let found = [of(&self.durable), of(&self.fleeting)].into_iter().flatten();
        found.max_by(|a, b| a.key.cmp(&b.key)).map(|kept| kept.found)
    }

    fn of(&self, ephemeral: bool) -> &Mutex<VecDeque<Kept>> {
        if ephemeral { &self.fleeting } else { &self.durable }
    }
}

fn lock(all: &Mutex<VecDeque<Kept>>) -> MutexGuard<'_, VecDeque<Kept>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The latest rows; older ones go, and so do those that say of nobody.
fn rows(db: &Db) -> VecDeque<Kept> {
    let read = db.write_relaxed(|tx| {
        let scan = tx.scan::<Row>()?;
        let (mut kept, nobodys): (Vec<_>, Vec<_>) =
            scan.rows.into_iter().partition(|(_, Row(found))| !found.id.is_empty() && !found.name.is_empty());
        let old = kept.len().saturating_sub(REMEMBERED);
        for (key, _) in kept.drain(..old).chain(nobodys) {
            tx.delete::<Row>(&key)?;
        }
        hull_records::Result::Ok((kept, scan.set_aside))
    });
    let (kept, set_aside) = read.unwrap_or_else(|error| {
        tracing::warn!(%error, "why removed containers ended is not known");
        (Vec::new(), Vec::new())
    });
    for aside in set_aside {
        tracing::warn!(key = %aside.key, why = %aside.why, "unreadable record of a removed container set aside");
    }
    kept.into_iter().map(|(key, Row(found))| Kept { key, found: Arc::new(found) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, name: &str) -> wire::Postmortem {
        wire::Postmortem { id: id.into(), name: name.into(), ..wire::Postmortem::default() }
    }

    fn databases(at: &std::path::Path) -> (Db, Db) {
        (Db::open(at.join("a.db")).unwrap(), Db::open(at.join("b.db")).unwrap())
    }

    fn remember(all: &Remembered, db: &Db, found: wire::Postmortem, ephemeral: bool) {
        let coming = all.prepare(found, ephemeral);
        db.write_relaxed(|tx| coming.write(tx)).unwrap();
        all.add(coming);
    }

    #[test]
    fn the_latest_are_found_again_and_the_oldest_go() {
        let place = tempfile::tempdir().unwrap();
        let (durable, fleeting) = databases(place.path());
        let all = Remembered::load(&durable, &fleeting);
        for number in 0..REMEMBERED + 5 {
            remember(&all, &durable, found(&format!("{number:064x}"), &format!("c{number}")), false);
        }
        remember(&all, &fleeting, found(&"f".repeat(64), "c7"), true);
        for all in [all, Remembered::load(&durable, &fleeting)] {
            assert!(all.find("c4").is_none() && all.find("c5").is_some());
            assert_eq!(all.find("c7").unwrap().id, "f".repeat(64), "the later of two");
            assert_eq!(all.find("/c204").unwrap().name, "c204");
            assert_eq!(all.find("ffff").unwrap().name, "c7");
            assert!(all.find("fff").is_none());
        }
        assert_eq!(durable.write_relaxed(|tx| tx.scan::<Row>()).unwrap().rows.len(), REMEMBERED);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_the_others_are_known() {
        #[derive(Serialize, Deserialize)]
        struct Other(String);
        impl Record for Other {
            const TABLE: &'static str = "postmortems";
        }
        let place = tempfile::tempdir().unwrap();
        let (durable, fleeting) = databases(place.path());
        let all = Remembered::load(&durable, &fleeting);
        remember(&all, &durable, found(&"a".repeat(64), "good"), false);
        durable.write_relaxed(|tx| tx.put("~torn", &Other("nonsense".into()))).unwrap();
        remember(&all, &durable, found("", ""), false);
        let again = Remembered::load(&durable, &fleeting);
        assert!(again.find("good").is_some() && again.find("").is_none());
        let left = durable.write_relaxed(|tx| tx.scan::<Row>()).unwrap();
        assert_eq!((left.rows.len(), left.set_aside.len()), (1, 0));
    }
}
