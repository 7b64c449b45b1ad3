//! Where a child waits: for its launcher, for the listener of its filter, for the word to start.

use hull_sys::{Named, Result, fds, seccomp};
use rustix::io::Errno;

use super::{CELL_LISTENER, CELL_WAITING, Child, exec, report};
use crate::plan::{Point, STEP_EXEC, Slot};

impl Child<'_> {
    /// Says where it is and goes on when the launcher says so.
    pub(super) fn sync(&self, point: Point) -> Result<()> {
        report::sync(self.given.report, point)?;
        report::await_go(self.given.report)
    }

    /// Loads the filter and waits in memory, without a call that the filter might stop, until the launcher has
    /// taken the listener.
    pub(super) fn seccomp_listener(&self, program: &[u64], flags: u32) -> Result<()> {
        self.end_without_keeper();
        report::listening(self.given.report, self.step)?;
        let listener = seccomp::load_with_listener(program, flags)?;
        let (cells, cell) = (self.given.cells, self.given.cell);
        cells.set(cell, CELL_LISTENER + listener as u32);
        while cells.get(cell) != self.step {
            std::hint::spin_loop();
        }
        // The launcher has a copy; this one goes with execve.
        Ok(())
    }

    /// From here on nobody listens; see [`crate::plan::Step::AwaitStart`].
    pub(super) fn await_start(&mut self, fifo: Slot) -> Result<()> {
        let slot = fifo;
        let fifo = self.slot(slot)?;
        if let Err(error) = exec::find(&self.given.plan.exec.candidates) {
            // As if it had been executed.
            self.step = STEP_EXEC;
            return Err(error);
        }
        if !self.filtered {
            self.end_without_keeper();
        }
        self.given.cells.set(self.given.cell, CELL_WAITING);
        self.unheard = Some(slot);
        fds::close_in_child(self.given.report)?;
        let mut byte = [0u8; 1];
        loop {
            match rustix::io::read(fifo, &mut byte) {
                Ok(1) => return Ok(()),
                Err(Errno::INTR) | Ok(_) => {}
                Err(errno) => return Err(errno).named(|| "read(exec.fifo)".to_owned()),
            }
        }
    }
}
