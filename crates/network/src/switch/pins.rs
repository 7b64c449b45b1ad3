//! Wires that may speak in their own name alone: kept in the kernel as [`crate::claims`] has them.

use hull_netlink::Tolerate;
use hull_netlink::nft::{Batch, Table};
use rustix::io::Errno;

use super::{State, kernel};
use crate::claims;
use crate::definition::Endpoint;
use crate::error::Error;

impl State {
    /// Pins a wire, before anything is sent over it.
    pub(super) fn pin(&mut self, rules: &Table, endpoint: &Endpoint) -> Result<(), Error> {
        if !endpoint.pinned {
            return Ok(());
        }
        self.pins.insert(endpoint.id.clone(), endpoint.clone());
        self.change_pins(rules, Some(endpoint))
    }

    /// A wire is gone, or goes.
    pub(super) fn unpin(&mut self, rules: &Table, id: &str) -> Result<(), Error> {
        self.forget_pin(id);
        self.change_pins(rules, None)
    }

    /// A wire is gone. What the kernel has of it can wait: its name is not given again.
    pub(super) fn forget_pin(&mut self, id: &str) {
        self.unpinned.extend(self.pins.remove(id));
    }

    /// In one batch: takes away what is forgotten, and adds this one.
    pub(super) fn change_pins(&mut self, rules: &Table, added: Option<&Endpoint>) -> Result<(), Error> {
        let gone = std::mem::take(&mut self.unpinned);
        if self.unpinnable || (gone.is_empty() && added.is_none()) {
            return Ok(());
        }
        let table = claims::table(rules);
        let mut batch = Batch::new();
        claims::delete(&mut batch, &table, &gone.iter().collect::<Vec<_>>());
        claims::add(&mut batch, &table, added.as_slice());
        let (_, nft) = self.sockets()?;
        // The table came with the first bridge; to make it again costs the kernel a grace period for each of its chains.
        let changed = nft.commit(batch).tolerate(GONE).map_err(kernel("change which wires are pinned"))?;
        // Somebody flushed it.
        if changed.is_none() { self.install_pins(rules) } else { Ok(()) }
    }

    /// Makes the whole table; none without a bridge.
    pub(super) fn install_pins(&mut self, rules: &Table) -> Result<(), Error> {
        if self.unpinnable {
            return Ok(());
        }
        self.unpinned.clear();
        let table = claims::table(rules);
        let pinned: Vec<&Endpoint> = self.pins.values().collect();
        let batch = if self.bridges().next().is_some() {
            claims::all(&table, &pinned)
        } else {
            let mut batch = Batch::new();
            batch.add_table(&table).delete_table(&table);
            batch
        };
        let (_, nft) = self.sockets()?;
        // KERNEL(CONFIG_NF_TABLES_BRIDGE): without it, as with docker.
        let lacking = [Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
        let made = nft.commit(batch).tolerate(&lacking).map_err(kernel("write the ruleset of bridges"))?;
        if made.is_none() {
            tracing::warn!(
                "this kernel has no rules for bridges: containers of one network can speak in each other's name"
            );
            self.unpinnable = true;
        }
        Ok(())
    }

    /// Whether the table is as it was made.
    pub(super) fn pins_are_whole(&mut self, rules: &Table) -> Result<bool, Error> {
        if self.unpinnable {
            return Ok(true);
        }
        let table = claims::table(rules);
        let (expected, wires) = (claims::counts(), self.pins.len() + self.unpinned.len());
        let (_, nft) = self.sockets()?;
        let found = nft.rules(&table).tolerate(GONE).map_err(kernel("read the ruleset"))?.unwrap_or_default();
        let has = |chain: &str, count: usize| found.iter().any(|(name, rules)| name == chain && *rules == count);
        if found.len() != expected.len() || !expected.iter().all(|(chain, count)| has(chain, *count)) {
            return Ok(false);
        }
        for set in ["wires", "macs"] {
            let keys = nft.keys(&table, set).tolerate(GONE).map_err(kernel("read the ruleset"))?;
            if keys.is_none_or(|keys| keys.len() != wires) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a table says that somebody has taken away.
const GONE: &[Errno] = &[Errno::NOENT];
