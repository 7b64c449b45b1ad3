//! The little of the FUSE protocol that one file takes (Source: `include/uapi/linux/fuse.h`, 7.31).

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::{Event, Recording};

/// The file's name.
pub(super) const NAME: &str = "disk";

const ROOT: u64 = 1;
const DISK: u64 = 2;

const HEADER: usize = 40;
const BODY_OF_WRITE: usize = 40;
const LARGEST: usize = 1 << 20;

/// Opcodes.
mod op {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const WRITE: u32 = 16;
    pub const RELEASE: u32 = 18;
    pub const FSYNC: u32 = 20;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const OPENDIR: u32 = 27;
    pub const RELEASEDIR: u32 = 29;
    pub const INTERRUPT: u32 = 36;
    pub const BATCH_FORGET: u32 = 42;
}

/// `FOPEN_DIRECT_IO`: nothing is kept in this machine's page cache.
const DIRECT: u32 = 1;
/// `FUSE_BIG_WRITES | FUSE_MAX_PAGES`.
const FLAGS: u32 = 1 << 5 | 1 << 22;

/// Mounts at `place` and answers until the last user has closed the file.
pub(super) fn serve(place: &Path, recording: Arc<Mutex<Recording>>) {
    let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let options = CString::new(options).expect("no NUL");
    rustix::mount::mount("hull-test", place, "fuse", MountFlags::empty(), Some(options.as_c_str())).expect("mount");
    std::thread::spawn(move || answer_all(&device, &recording));
}

fn answer_all(mut device: &File, recording: &Mutex<Recording>) {
    let mut buffer = vec![0; LARGEST + 4096];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => continue,
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
            // Unmounted.
            Err(_) => return,
        };
        let request = Request(&buffer[..length]);
        let Some(answer) = answer(&request, recording) else { continue };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let mut reply = Reply(Vec::with_capacity(16 + body.len()));
        reply.u32((16 + body.len()) as u32).u32(error.cast_unsigned()).u64(request.u64(8)).0.extend(body);
        if device.write_all(&reply.0).is_err() {
            return;
        }
    }
}

/// `None`: this request gets no answer.
fn answer(request: &Request<'_>, recording: &Mutex<Recording>) -> Option<Result<Vec<u8>, Errno>> {
    let mut recording = recording.lock().unwrap_or_else(PoisonError::into_inner);
    let size = recording.now.len() as u64;
    let mut reply = Reply(Vec::new());
    match request.u32(4) {
        op::INIT => {
            reply.u32(7).u32(31).u32(0).u32(FLAGS).u32(16 | 12 << 16).u32(LARGEST as u32).u32(1);
            reply.u32((LARGEST / 4096) as u32).0.resize(64, 0);
        }
        op::LOOKUP if request.u64(16) == ROOT && request.0[HEADER..].starts_with(NAME.as_bytes()) => {
            reply.u64(DISK).u64(0).u64(3600).u64(3600).u64(0).attributes(DISK, size);
        }
        op::LOOKUP => return Some(Err(Errno::NOENT)),
        op::GETATTR | op::SETATTR => _ = reply.u64(3600).u64(0).attributes(request.u64(16), size),
        op::OPEN => _ = reply.u64(0).u32(DIRECT).u32(0),
        op::OPENDIR => _ = reply.u64(0).u64(0),
        op::READ => {
            let (offset, length) = (request.u64(HEADER + 8) as usize, request.u32(HEADER + 16) as usize);
            let end = (offset + length).min(recording.now.len());
            reply.0.extend(recording.now.get(offset..end).unwrap_or_default());
        }
        op::WRITE => {
            let (offset, length) = (request.u64(HEADER + 8) as usize, request.u32(HEADER + 16) as usize);
            let bytes = &request.0[HEADER + BODY_OF_WRITE..][..length];
            let Some(target) = recording.now.get_mut(offset..offset + length) else {
                return Some(Err(Errno::NOSPC));
            };
            target.copy_from_slice(bytes);
            recording.events.push(Event::Write { offset, bytes: bytes.into() });
            reply.u32(length as u32).u32(0);
        }
        op::FSYNC => recording.events.push(Event::Flush),
        op::FLUSH | op::RELEASE | op::RELEASEDIR => {}
        op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return None,
        // FALLOCATE as well: the device then offers no discard.
        _ => return Some(Err(Errno::NOSYS)),
    }
    Some(Ok(reply.0))
}

/// A request: numbers are little endian, at fixed places.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn u32(&self, at: usize) -> u32 {
        self.0.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four bytes")))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}

/// An answer's body.
struct Reply(Vec<u8>);

impl Reply {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// `struct fuse_attr`.
    fn attributes(&mut self, node: u64, size: u64) -> &mut Self {
        let (mode, size) = if node == DISK { (0o10_0600, size) } else { (0o4_0700, 0) };
        self.u64(node).u64(size).u64(size / 512).u64(0).u64(0).u64(0).u32(0).u32(0).u32(0);
        self.u32(mode).u32(1).u32(0).u32(0).u32(0).u32(4096).u32(0)
    }
}
