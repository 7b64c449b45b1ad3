//! The ruleset as it should be, and what follows when somebody else has changed it: it is made again.

use std::sync::Arc;
use std::time::Duration;

use hull_netlink::Tolerate;
use hull_netlink::nft::{Batch, Table, Watch};
use rustix::io::Errno;

use super::{State, Switch, kernel};
use crate::definition::Definition;
use crate::error::Error;
use crate::rules::{self, Host, PortRule};

impl Switch {
    /// Makes the ruleset again if somebody has changed it. True if it had been.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn mend(&self) -> Result<bool, Error> {
        let mut state = self.lock();
        let whole = |state: &mut State| {
            Ok::<bool, Error>(state.is_whole(&self.table, self.obeys)? && state.pins_are_whole(&self.table)?)
        };
        if state.bridges().next().is_none() {
            return Ok(false);
        }
        if whole(&mut state)? {
            return Ok(state.make_room(&self.table));
        }
        state.install(&self.table, self.obeys).map(|()| true)
    }

    /// From now on, what others do to the ruleset is mended: within a fraction of a second.
    ///
    /// # Errors
    /// No socket or no thread.
    pub fn watch(switch: &Arc<Self>) -> Result<(), Error> {
        let watch = Watch::open().map_err(kernel("watch the nftables ruleset"))?;
        let own = switch.lock().sockets()?.1.port();
        let weak = Arc::downgrade(switch);
        let run = move || {
            while let Ok(true) = wait_for(&watch) {
                let Some(switch) = weak.upgrade() else { return };
                // What hull's own tables lost may have been what kept something closed.
                let heard = watch.hear(&switch.table.name, own);
                if heard.loss {
                    switch.mend_and_tell();
                }
                if heard.anything {
                    // One reload is many changes: it is looked at when the last has come.
                    std::thread::sleep(SETTLE);
                    watch.hear(&switch.table.name, own);
                    switch.mend_and_tell();
                }
            }
        };
        let thread = std::thread::Builder::new().name("rules".into()).stack_size(256 * 1024).spawn(run);
        thread.map(drop).map_err(|error| Error::Thread { why: error.to_string() })
    }

    fn mend_and_tell(&self) {
        match self.mend() {
            Ok(false) => {}
            Ok(true) => tracing::warn!("the nftables rules of the networks were changed by somebody: made again"),
            Err(error) => tracing::error!(%error, "the nftables rules were changed, and cannot be made again"),
        }
    }
}

impl State {
    /// Makes the ruleset of what is up; without a network there is none.
    pub(super) fn install(&mut self, table: &Table, obeys: Option<u16>) -> Result<(), Error> {
        let host = Host { obeys, loopback6: self.install_answers(table)? };
        let networks: Vec<&Definition> = self.bridges().collect();
        let batch = if networks.is_empty() {
            let mut batch = Batch::new();
            batch.add_table(table).delete_table(table);
            batch
        } else {
            let ports: Vec<PortRule> = self.ports.values().flatten().copied().collect();
            rules::all(table, &networks, &ports, host)
        };
        let (_, nft) = self.sockets()?;
        nft.commit(batch).map_err(kernel("write the nftables ruleset"))?;
        self.install_pins(table)?;
        self.make_room(table);
        Ok(())
    }

    pub(super) fn is_whole(&mut self, table: &Table, obeys: Option<u16>) -> Result<bool, Error> {
        let Some(loopback6) = self.loopback6 else { return Ok(false) };
        if !self.answers_are_led(table)? {
            return Ok(false);
        }
        let networks: Vec<&Definition> = self.bridges().collect();
        let expected = rules::counts(&networks, Host { obeys, loopback6 });
        let (bridges, ports) = (networks.len(), self.ports.values().flatten().copied().collect::<Vec<_>>());
        let sets = rules::set_sizes(&ports, obeys.is_some());
        let (_, nft) = self.sockets()?;
        let found = nft.rules(table).tolerate(&[Errno::NOENT]).map_err(kernel("read the ruleset"))?;
        let Some(found) = found else { return Ok(false) };
        let has = |chain: &str, count: usize| found.iter().any(|(name, rules)| name == chain && *rules == count);
        if found.len() != expected.len() || !expected.iter().all(|(chain, count)| has(chain, *count)) {
            return Ok(false);
        }
        for (set, size) in sets.into_iter().chain([("bridges", bridges)]) {
            let keys = nft.keys(table, set).tolerate(&[Errno::NOENT]).map_err(kernel("read the ruleset"))?;
            if keys.is_none_or(|keys| keys.len() != size) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How long a change of the ruleset is let settle.
const SETTLE: Duration = Duration::from_millis(100);

/// Waits for a change. False if the socket is of no use any more.
fn wait_for(watch: &Watch) -> rustix::io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(watch, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
    Ok(true)
}
