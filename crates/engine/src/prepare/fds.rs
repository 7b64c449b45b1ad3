//! The descriptors of a plan while it is being prepared.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_launch::compile::Streams;
use hull_launch::plan::Slot;
use hull_types::Fault;

use super::Io;

/// As many as one message to the keeper carries in its frames, with room for what it shall hold.
const MOST: usize = 2000;

/// Descriptors by slot.
#[derive(Default)]
pub(super) struct Fds {
    fds: Vec<OwnedFd>,
}

impl Fds {
    pub fn push(&mut self, fd: OwnedFd) -> Result<Slot, Fault> {
        if self.fds.len() >= MOST {
            return Err(Fault::invalid(format!("the container needs more than {MOST} descriptors"))
                .hint("ask for fewer mounts or devices"));
        }
        self.fds.push(fd);
        Ok(Slot((self.fds.len() - 1) as u16))
    }

    pub fn get(&self, slot: Slot) -> BorrowedFd<'_> {
        self.fds[usize::from(slot.0)].as_fd()
    }

    pub fn streams(&mut self, io: Io) -> Result<Streams, Fault> {
        Ok(match io {
            Io::Streams { stdin, stdout, stderr } => {
                Streams::Pipes { stdin: self.push(stdin)?, stdout: self.push(stdout)?, stderr: self.push(stderr)? }
            }
            Io::Terminal { rows, columns } => Streams::Terminal { rows, columns },
        })
    }

    pub fn into_vec(self) -> Vec<OwnedFd> {
        self.fds
    }
}
