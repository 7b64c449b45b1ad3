//! One action on several objects: at the same time, reported in the order given.

use hull_types::Fault;

use super::failure::{Failure, Outcome, report};
use super::io;

/// At most this many at once.
const WIDTH: usize = 32;

/// Does `action` for each name and prints the names that worked; 1 if any did not.
pub(super) fn each(names: &[String], action: impl Fn(&str) -> Result<(), Fault> + Sync) -> Outcome {
    each_there(names, |name| action(name).map(Some))
}

/// As [`each`]; of a name that there was nothing of (`None`) no more is said, and it is no failure.
pub(super) fn each_there(names: &[String], action: impl Fn(&str) -> Result<Option<()>, Fault> + Sync) -> Outcome {
    let mut code = 0;
    for batch in names.chunks(WIDTH) {
        for (name, result) in batch.iter().zip(together(batch, &action)) {
            match result {
                Ok(Some(())) => io::say(name)?,
                Ok(None) => {}
                Err(fault) => {
                    report(&fault);
                    code = 1;
                }
            }
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

/// The result of `action` for each name; a single one needs no thread.
pub(super) fn together<T: Send>(names: &[String], action: &(impl Fn(&str) -> T + Sync)) -> Vec<T> {
    if let [one] = names {
        return vec![action(one)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || action(name))).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}
