//! Windows of zstd streams: how much memory one may ask for, and that only one large one is held at a time.
//!
//! RFC 8878 (3.1.1.1.2) recommends 8 MiB, and most writers keep to it; docker's and podman's builders write 16 and 32 MiB at
//! their higher levels. The layers of an image are read four at a time and an image may not cost more than 128 MiB: so
//! of what is larger than 8 MiB one is read at a time, whichever image it belongs to.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::Error;

/// The largest window that any number of streams may have at once, as a power of two.
pub(crate) const USUAL: u32 = 23;
/// The largest that is read at all.
pub(crate) const LARGEST: u32 = 25;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

static TAKEN: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// The right to hold a large window.
pub(crate) struct Large(());

impl Large {
    /// Waits until nobody else holds one.
    pub fn wait() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        *FREE.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner) = true;
        Self(())
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}

/// Refuses what needs more than `log` allows.
pub(crate) fn check(window: Option<u64>, log: u32) -> Result<(), Error> {
    match window {
        Some(bytes) if bytes > 1 << log => Err(Error::Window { mib: bytes.div_ceil(1 << 20), limit: 1 << (log - 20) }),
        _ => Ok(()),
    }
}

/// The window of the frame whose header this is, in bytes; `None` if it is a skippable frame, or cut short.
pub(crate) fn of_header(start: &[u8]) -> Option<u64> {
    let rest = start.strip_prefix(&MAGIC)?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the content is the window.
    let id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let width = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = rest.get(id..id + width)?;
    let size = field.iter().rev().fold(0_u64, |size, byte| (size << 8) | u64::from(*byte));
    Some(if width == 2 { size + 256 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_from_headers() {
        let rows: [(&[u8], Option<u64>); 8] = [
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68], Some(8 << 20)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x78], Some(32 << 20)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x79], Some(36 << 20)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x07], Some(7)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x01], Some(512)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0xa1, 9, 0, 0, 0, 1], Some(1 << 24)),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0xa1, 9, 0, 0], None),
            (&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], None),
        ];
        for (header, expected) in rows {
            assert_eq!(of_header(header), expected, "{header:x?}");
        }
        for log in [10, 23, 27] {
            let mut to = zstd::Encoder::new(Vec::new(), 1).unwrap();
            to.window_log(log).unwrap();
            std::io::Write::write_all(&mut to, b"x").unwrap();
            assert_eq!(of_header(&to.finish().unwrap()), Some(1 << log));
        }
    }
}
