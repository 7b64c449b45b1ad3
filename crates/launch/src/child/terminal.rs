//! The terminal of a container or an exec: made in the container's own devpts.

use std::os::fd::AsFd;
use std::path::Path;

use hull_sys::{Error, Named, Result, fds, mount, pty, resolve};
use rustix::fs::Uid;

use super::{Child, report, walk};

impl Child<'_> {
    /// A new pty: the master goes to the keeper, the peer becomes the controlling terminal and stdio.
    pub(super) fn terminal(&mut self, (rows, columns): (u16, u16), console: bool, owner: u32) -> Result<()> {
        let root = self.root()?;
        let (master, peer) = pty::open_in(root)?;
        pty::set_size(&master, rows, columns)?;
        rustix::fs::fchown(&peer, Some(Uid::from_raw(owner)), None).named(|| format!("fchown(pty, {owner})"))?;
        if console {
            // CVE-2025-52565: the mount is of the peer's descriptor, on a file beneath the root.
            let (parent, name) = resolve::parent_in_root(root, Path::new("/dev/console"))?;
            let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink)
            {
                return Err(Error::new("mount on \"/dev/console\": it is a symbolic link", rustix::io::Errno::LOOP));
            }
            let place = resolve::mkfile_in_root(root, Path::new("/dev/console"), 0o600)?;
            mount::attach(mount::clone_tree(&peer, false)?, place)?;
        }
        report::terminal(self.given.report, &master)?;
        drop(master);
        walk::session()?;
        pty::make_controlling(&peer)?;
        for number in 0..=2 {
            fds::place(peer.as_fd(), number)?;
        }
        Ok(())
    }
}
