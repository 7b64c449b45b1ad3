//! Which containers there are, by id and by name. Short locks, no waiting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hull_types::{ContainerId, Name};

use crate::container::Container;
use crate::error::Error;

/// Every container of the engine.
#[derive(Default)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<ContainerId, Arc<Container>>,
    /// Also names that a create in progress has reserved.
    by_name: HashMap<Name, ContainerId>,
}

impl Registry {
    /// Takes a name for a container that is being made, or renamed.
    pub fn reserve(&self, name: &Name, id: ContainerId) -> Result<(), Error> {
        let mut inner = self.write();
        if let Some(owner) = inner.by_name.get(name) {
            return Err(Error::NameInUse { name: name.to_string(), owner: owner.to_string() });
        }
        inner.by_name.insert(name.clone(), id);
        Ok(())
    }

    /// Gives a name back.
    pub fn release(&self, name: &Name) {
        self.write().by_name.remove(name);
    }

    pub fn insert(&self, container: Arc<Container>) {
        self.write().by_id.insert(container.id, container);
    }

    /// Takes a container and its name out.
    pub fn remove(&self, id: &ContainerId, name: &Name) {
        let mut inner = self.write();
        inner.by_id.remove(id);
        if inner.by_name.get(name) == Some(id) {
            inner.by_name.remove(name);
        }
    }

    pub fn get(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.read().by_id.get(id).cloned()
    }

    /// By id, by name, or by the beginning of an id that only one has. COMPAT(docker 28): in this order.
    pub fn resolve(&self, who: &str) -> Result<Arc<Container>, Error> {
        let missing = || Error::NoSuchContainer(who.chars().take(300).flat_map(char::escape_debug).collect());
        let inner = self.read();
        if let Some(container) = who.parse().ok().and_then(|id: ContainerId| inner.by_id.get(&id)) {
            return Ok(Arc::clone(container));
        }
        if let Ok(name) = who.parse::<Name>()
            && let Some(id) = inner.by_name.get(&name)
        {
            return inner.by_id.get(id).cloned().ok_or_else(missing);
        }
        let first = lowest_with_prefix(who).ok_or_else(missing)?;
        let mut with_prefix = inner.by_id.range(first..).take_while(|(id, _)| id.as_str().starts_with(who));
        let (_, found) = with_prefix.next().ok_or_else(missing)?;
        match with_prefix.next() {
            None => Ok(Arc::clone(found)),
            Some(_) => Err(Error::AmbiguousId(who.to_owned())),
        }
    }

    pub fn all(&self) -> Vec<Arc<Container>> {
        self.read().by_id.values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lowest id that begins with `prefix`, if one can.
fn lowest_with_prefix(prefix: &str) -> Option<ContainerId> {
    if prefix.is_empty() || prefix.len() > 64 {
        return None;
    }
    format!("{prefix:0<64}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_begin_ids() {
        assert_eq!(lowest_with_prefix("ab").unwrap().as_str(), format!("ab{}", "0".repeat(62)));
        for bad in ["", "xyz", "AB", &"0".repeat(65)] {
            assert!(lowest_with_prefix(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_reserved_name_is_taken() {
        let registry = Registry::default();
        let (web, id): (Name, _) = ("web".parse().unwrap(), ContainerId::new_random());
        registry.reserve(&web, id).unwrap();
        let taken = registry.reserve(&web, ContainerId::new_random()).unwrap_err().to_string();
        assert_eq!(
            taken,
            format!(
                "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or \
                 rename) that container to be able to reuse that name."
            )
        );
        assert!(registry.resolve("web").is_err(), "not made yet");
        registry.release(&web);
        registry.reserve(&web, id).unwrap();
    }
}
