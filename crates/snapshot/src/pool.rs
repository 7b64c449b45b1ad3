//! The pool: root file systems made before they are asked for.
//!
//! Off until [`Snapshots::set_pool`]. A request that finds nothing is remembered, and
//! [`Snapshots::refill`], called behind the answer, prepares the next ones of the most recent kinds.
//! Root file systems in a user namespace are never pooled.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{MutexGuard, PoisonError};

use hull_mount::MountFd;

use crate::{Base, Result, Rootfs, Snapshots, dir};

/// How many kinds of root file system are kept ready.
const KINDS: usize = 8;

#[derive(Default)]
pub(crate) struct Pool {
    per_kind: usize,
    /// Most recently asked for first.
    kinds: VecDeque<Kind>,
}

struct Kind {
    base: Base,
    ephemeral: bool,
    ready: Vec<Ready>,
}

struct Ready {
    mount: MountFd,
    name: String,
}

impl Snapshots {
    /// How many root file systems of each recently used kind are kept ready; 0 switches the pool off.
    pub fn set_pool(&self, per_kind: usize) {
        self.pool().per_kind = per_kind;
        if per_kind == 0 {
            self.forget_pooled(|_| true);
        }
    }

    /// Makes what the pool lacks; how many were made. Blocks: run it behind the answer.
    ///
    /// # Errors
    /// As [`Snapshots::prepare`]; what was made before stays.
    pub fn refill(&self) -> Result<usize> {
        let mut made = 0;
        loop {
            // A guard in the loop's condition would be held through its body.
            let lacking = self.pool().lacking();
            let Some((base, ephemeral)) = lacking else { return Ok(made) };
            let ready = match self.make_ready(&base, ephemeral) {
                Ok(ready) => ready,
                Err(error) => {
                    // A kind that cannot be made is not tried again until somebody asks.
                    self.forget_pooled(|other| *other == base);
                    return Err(error);
                }
            };
            let unwanted = self.pool().add(&base, ephemeral, ready);
            match unwanted {
                None => made += 1,
                Some(unwanted) => self.throw_away(unwanted),
            }
        }
    }

    /// Shows the root file system that a new container would find, which must stay as it is: it is one of the pool's,
    /// or becomes one.
    ///
    /// # Errors
    /// As [`Snapshots::prepare`].
    pub fn look<T>(&self, base: &Base, ephemeral: bool, work: impl FnOnce(BorrowedFd<'_>) -> T) -> Result<T> {
        let pooled = self.pool().take(base, ephemeral);
        let ready = pooled.map_or_else(|| self.make_ready(base, ephemeral), Ok)?;
        let seen = work(ready.mount.as_fd());
        let unwanted = self.pool().add(base, ephemeral, ready);
        if let Some(unwanted) = unwanted {
            self.throw_away(unwanted);
        }
        Ok(seen)
    }

    fn make_ready(&self, base: &Base, ephemeral: bool) -> Result<Ready> {
        let name = format!(".pool-{}", self.inner.number());
        dir::make(&self.inner.slots, &name, 0o700)?;
        match self.assemble(base, &name, ephemeral, None) {
            Ok(mount) => Ok(Ready { mount, name }),
            Err(error) => {
                self.inner.discard(&self.inner.slots, &name)?;
                Err(error)
            }
        }
    }

    /// A prepared root file system under the asked slot, if there is one.
    pub(crate) fn take(&self, rootfs: &Rootfs<'_>) -> Option<MountFd> {
        if rootfs.userns.is_some() {
            return None;
        }
        let ready = self.pool().take(rootfs.base, rootfs.ephemeral)?;
        match self.adopt(&ready.name, rootfs.slot) {
            Ok(()) => Some(ready.mount),
            // The slot exists: its changes are wanted, not an empty one.
            Err(_) => {
                self.throw_away(ready);
                None
            }
        }
    }

    /// Drops what is ready for bases that `of` names.
    pub(crate) fn forget_pooled(&self, of: impl Fn(&Base) -> bool) {
        let mut dropped = Vec::new();
        self.pool().kinds.retain_mut(|kind| {
            let keep = !of(&kind.base);
            if !keep {
                dropped.append(&mut kind.ready);
            }
            keep
        });
        dropped.into_iter().for_each(|ready| self.throw_away(ready));
    }

    fn throw_away(&self, ready: Ready) {
        drop(ready.mount);
        if let Err(error) = self.inner.discard(&self.inner.slots, &ready.name) {
            tracing::warn!(%error, "a prepared root file system could not be discarded");
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Takes one and moves its kind to the front; a new kind displaces the one not used for longest,
    /// as soon as nothing is ready for that.
    fn take(&mut self, base: &Base, ephemeral: bool) -> Option<Ready> {
        if self.per_kind == 0 {
            return None;
        }
        let kind = match self.kinds.iter().position(|kind| kind.is(base, ephemeral)) {
            Some(at) => self.kinds.remove(at)?,
            None => Kind { base: base.clone(), ephemeral, ready: Vec::new() },
        };
        self.kinds.push_front(kind);
        if self.kinds.len() > KINDS && self.kinds.back().is_some_and(|kind| kind.ready.is_empty()) {
            self.kinds.pop_back();
        }
        self.kinds.front_mut()?.ready.pop()
    }

    fn lacking(&self) -> Option<(Base, bool)> {
        let kind = self.kinds.iter().take(KINDS).find(|kind| kind.ready.len() < self.per_kind)?;
        Some((kind.base.clone(), kind.ephemeral))
    }

    /// Gives it back if nobody wants it any more.
    fn add(&mut self, base: &Base, ephemeral: bool, ready: Ready) -> Option<Ready> {
        let room = self.per_kind;
        match self.kinds.iter_mut().find(|kind| kind.is(base, ephemeral)) {
            Some(kind) if kind.ready.len() < room => {
                kind.ready.push(ready);
                None
            }
            _ => Some(ready),
        }
    }
}

impl Kind {
    fn is(&self, base: &Base, ephemeral: bool) -> bool {
        self.base == *base && self.ephemeral == ephemeral
    }
}
