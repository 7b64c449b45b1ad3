//! [`Disk`]: a block device that records every write and every flush that reaches it, so that the disk
//! can be had as a power cut at any moment would have left it.
//!
//! A loop device on one file of a FUSE file system that this process serves. What the device has
//! acknowledged before a flush is on the disk; what came after the last flush may be there or not.

mod fuse;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::run;

/// What reached the device.
#[derive(Debug)]
enum Event {
    Write { offset: usize, bytes: Box<[u8]> },
    Flush,
}

/// The content and how it came about.
#[derive(Debug)]
struct Recording {
    /// As it was before the first event.
    base: Vec<u8>,
    /// As it is.
    now: Vec<u8>,
    events: Vec<Event>,
}

/// A recorded disk with an ext4 file system.
#[derive(Debug)]
pub struct Disk {
    recording: Arc<Mutex<Recording>>,
    device: PathBuf,
}

impl Disk {
    /// Makes a disk of so many MiB; scratch files in `dir`.
    pub fn new(dir: &Path, mib: u64) -> Self {
        let file = dir.join("disk");
        File::create(&file).and_then(|f| f.set_len(mib << 20)).expect("a sparse file");
        let options = ["-q", "-F", "-b", "4096", "-J", "size=4", "-E", "nodiscard,lazy_itable_init=0"];
        run(Command::new("mkfs.ext4").args(options).arg(&file), b"").ok();
        let base = fs::read(&file).expect("the fresh file system");
        fs::remove_file(&file).expect("rm");
        let recording = Recording { now: base.clone(), base, events: Vec::new() };
        let recording = Arc::new(Mutex::new(recording));
        let place = dir.join("recorder");
        fs::create_dir_all(&place).expect("mkdir");
        fuse::serve(&place, Arc::clone(&recording));
        let found = run(Command::new("losetup").args(["--find", "--show"]).arg(place.join(fuse::NAME)), b"");
        // The device has the file open: nobody needs the name.
        rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).expect("umount");
        Self { recording, device: found.ok().into() }
    }

    /// Shell commands that mount it at `target`; it is released when that mount is gone.
    pub fn mount(&self, target: &Path) -> String {
        let (device, target) = (self.device.display(), target.display());
        format!("mkdir -p {target} && mount -t ext4 {device} {target} && losetup -d {device} || exit 1")
    }

    /// How much has reached it.
    pub fn moment(&self) -> usize {
        self.lock().events.len()
    }

    /// Writes to `path` the disk after a power cut at this moment. Of the writes after the last flush those
    /// stay for which `stays` says so.
    pub fn cut(&self, moment: usize, mut stays: impl FnMut() -> bool, path: &Path) -> io::Result<()> {
        let recording = self.lock();
        let events = &recording.events[..moment];
        let flushed = events.iter().rposition(|e| matches!(e, Event::Flush)).map_or(0, |at| at + 1);
        let mut image = recording.base.clone();
        for (at, event) in events.iter().enumerate() {
            if let Event::Write { offset, bytes } = event
                && (at < flushed || stays())
            {
                image[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
        drop(recording);
        let file = File::create(path)?;
        file.set_len(image.len() as u64)?;
        // What is zero stays a hole.
        for (at, piece) in image.chunks(1 << 16).enumerate().filter(|(_, piece)| piece.iter().any(|b| *b != 0)) {
            file.write_all_at(piece, (at << 16) as u64)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing, if the mount has released it.
        let _ = Command::new("losetup").arg("-d").arg(&self.device).stderr(std::process::Stdio::null()).status();
    }
}
