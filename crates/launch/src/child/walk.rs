//! One step: the exhaustive match, and the steps that need only a call or two.

use std::path::Path;

use hull_sys::process::{self, CloneArgs, Cloned};
use hull_sys::{Error, Named, Result, caps, fds, net, resolve, sched, seccomp};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Child, report};
use crate::plan::{Namespaces, Scheduler, Slot, Step};

/// `CLONE_PARENT`: the copy is a child of the keeper, too.
const CLONE_PARENT: u64 = 0x8000;

impl Child<'_> {
    pub(super) fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::JoinCgroups { tasks } => self.join_cgroups(tasks),
            Step::Enter { fd, namespaces } => self.enter(*fd, *namespaces),
            Step::Unshare { namespaces } => process::unshare(namespaces.0),
            Step::TimeOffsets { monotonic, boottime } => self.time_offsets(*monotonic, *boottime),
            Step::BecomeNamespaceRoot => caps::set_identity(0, 0, &[]),
            Step::Rebirth { new } => self.rebirth(*new),
            Step::Keyring => self.keyring(None),
            Step::NamedKeyring(name) => self.keyring(Some(name)),
            Step::Hostname(name) => {
                rustix::system::sethostname(name.as_bytes()).named(|| format!("sethostname({name:?})"))
            }
            Step::Domainname(name) => process::set_domainname(name),
            Step::LoopbackUp => net::loopback_up(),
            Step::AttachRoot { mount, attrs } => self.attach_root(*mount, attrs),
            Step::Attach { mount, target, attrs, then } => self.attach(*mount, target, (attrs, then)),
            Step::NewMount { fstype, options, attrs, target } => self.new_mount(fstype, options, attrs, target),
            Step::TmpfsCopyUp { options, attrs, target } => self.tmpfs_copy_up(options, attrs, target),
            Step::Device { path, kind, major, minor, mode, uid, gid } => {
                self.device(path, (*kind, *mode), (*major, *minor), (*uid, *gid))
            }
            Step::Symlink { path, to } => self.symlink(path, to),
            Step::ReadonlyPath(path) => self.readonly_path(path),
            Step::MaskedPath(path) => self.masked_path(path),
            Step::Remount { path, attrs } => self.remount(path, attrs),
            Step::Terminal { rows, columns, console, owner } => self.terminal((*rows, *columns), *console, *owner),
            Step::Stdio { stdin, stdout, stderr, owner } => self.stdio([*stdin, *stdout, *stderr], *owner),
            Step::Session => session(),
            Step::PivotRoot => self.pivot_root(),
            Step::Sysctl { key, value } => self.sysctl(key, value),
            Step::Rlimit { resource, soft, hard, required } => {
                self.permit(*required, process::set_rlimit(*resource, *soft, *hard))
            }
            Step::OomScoreAdj { value, required } => {
                self.permit(*required, self.given.proc.write("self/oom_score_adj", &value.to_string()))
            }
            Step::LsmLabel { apparmor, label } => self.lsm_label(*apparmor, label),
            Step::Identity { uid, gid, groups } => {
                caps::keep_over_setuid()?;
                caps::set_identity(*uid, *gid, groups)
            }
            Step::Capabilities { bounding, permitted, effective, inheritable, ambient } => {
                let wanted = caps::Sets { effective: *effective, permitted: *permitted, inheritable: *inheritable };
                super::identity::capabilities(*bounding, wanted, *ambient)
            }
            Step::Umask(mask) => {
                rustix::process::umask(Mode::from_raw_mode(*mask));
                self.umask_set = true;
                Ok(())
            }
            Step::Workdir { path, create } => self.workdir(path, *create),
            Step::NoNewPrivileges => caps::set_no_new_privileges(),
            Step::Seccomp { program, flags, clock } => {
                // ORDER: the filter may forbid to ask.
                self.end_without_keeper();
                (self.filtered, self.clock) = (true, *clock);
                seccomp::load(program, *flags)
            }
            Step::Init => {
                self.init = true;
                Ok(())
            }
            Step::ForgetPeers => hull_sys::mount::make_all_slave(),
            Step::ChangeRoot => self.change_root(),
            Step::OwnStreams { owner } => {
                self.own_streams(*owner);
                Ok(())
            }
            Step::Sync(point) => self.sync(*point),
            Step::Hooks(hooks) => self.hooks(hooks),
            Step::Scheduler(scheduler) => set_scheduler(scheduler),
            Step::IoPriority { class, level } => sched::set_io_priority(*class, *level),
            Step::Personality(persona) => sched::set_personality(*persona),
            Step::Affinity(cpus) => sched::set_affinity(cpus),
            Step::SeccompListener { program, flags } => {
                (self.filtered, self.clock) = (true, false);
                self.seccomp_listener(program, *flags)
            }
            Step::AwaitStart { fifo } => self.await_start(*fifo),
        }
    }

    /// When the keeper died meanwhile nobody would know of the command: it is not started.
    pub(super) fn end_without_keeper(&self) {
        if !report::is_heard(self.given.report) {
            process::exit_now(super::FAILED);
        }
    }

    /// A refusal of something that is not required is only a warning.
    fn permit(&self, required: bool, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if !required && matches!(error.errno, Errno::PERM | Errno::ACCESS) => {
                self.warn(&error);
                Ok(())
            }
            result => result,
        }
    }

    fn join_cgroups(&self, tasks: &[Slot]) -> Result<()> {
        for slot in tasks {
            let fd = self.slot(*slot)?;
            rustix::io::write(fd, b"0").named(|| {
                let file = hull_sys::mount::describe_fd(std::os::fd::AsRawFd::as_raw_fd(&fd));
                format!("write({file}, \"0\")")
            })?;
        }
        Ok(())
    }

    fn enter(&mut self, slot: Slot, namespaces: Namespaces) -> Result<()> {
        process::setns(self.slot(slot)?, namespaces.0)?;
        if namespaces.contains(Namespaces::MOUNT) {
            self.root = None;
            self.parents = super::mounts::Parents::default();
        }
        Ok(())
    }

    fn time_offsets(&self, monotonic: i64, boottime: i64) -> Result<()> {
        const SECOND: i64 = 1_000_000_000;
        let line =
            |clock: &str, offset: i64| format!("{clock} {} {}\n", offset.div_euclid(SECOND), offset.rem_euclid(SECOND));
        let text = line("monotonic", monotonic) + &line("boottime", boottime);
        self.given.proc.write("self/timens_offsets", &text)
    }

    /// Goes on in a copy; the process that was ends here.
    fn rebirth(&self, new: Namespaces) -> Result<()> {
        let args = CloneArgs { flags: u64::from(new.0) | CLONE_PARENT, cgroup: None };
        // SAFETY-free: this process has one thread; see `clone`.
        match process::clone_single_threaded(args)? {
            Cloned::Child => Ok(()),
            Cloned::Parent { pid, pidfd } => {
                let told = report::reborn(self.given.report, pid.as_raw_nonzero().get(), &pidfd);
                if told.is_err() {
                    // The keeper is gone, or never learns of the copy: it must not live on unknown.
                    _ = hull_sys::pidfd::send_signal(&pidfd, 9);
                }
                process::exit_now(0)
            }
        }
    }

    fn keyring(&self, name: Option<&str>) -> Result<()> {
        // A quota of keys may be used up, and some filters forbid the call: not worth a failure.
        match process::new_session_keyring(name) {
            Err(error) if matches!(error.errno, Errno::DQUOT | Errno::PERM | Errno::ACCESS) => {
                self.warn(&error);
                Ok(())
            }
            result => result.map(drop),
        }
    }

    fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = if key.contains('/') { key.to_owned() } else { key.replace('.', "/") };
        self.given.proc.write(Path::new("sys").join(path.trim_start_matches('/')), value)
    }

    fn lsm_label(&self, apparmor: bool, label: &str) -> Result<()> {
        if !apparmor {
            return self.given.proc.write("thread-self/attr/exec", label);
        }
        let text = format!("exec {label}");
        match self.given.proc.write("thread-self/attr/apparmor/exec", &text) {
            // KERNEL(5.8): the file of its own; before, the shared one.
            Err(error) if error.errno == Errno::NOENT => self.given.proc.write("thread-self/attr/exec", &text),
            result => result,
        }
    }

    fn stdio(&self, slots: [Slot; 3], owner: Option<u32>) -> Result<()> {
        // ORDER: all are duplicated above 2 first, since a slot's own number may be 0, 1 or 2.
        let mut streams = Vec::with_capacity(3);
        for slot in slots {
            streams.push(fds::duplicate(self.slot(slot)?)?);
        }
        for (number, stream) in streams.iter().enumerate() {
            if let Some(uid) = owner {
                give(stream, uid);
            }
            fds::place(stream, number as i32)?;
        }
        Ok(())
    }

    fn own_streams(&self, owner: u32) {
        give(&rustix::stdio::stdin(), owner);
        give(&rustix::stdio::stdout(), owner);
        give(&rustix::stdio::stderr(), owner);
    }

    fn workdir(&mut self, path: &Path, create: bool) -> Result<()> {
        let root = self.root()?;
        let directory = if create {
            resolve::mkdir_in_root(root, path, 0o755)?
        } else {
            resolve::open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY)?
        };
        rustix::process::fchdir(&directory).named(|| format!("chdir({path:?})"))?;
        // CVE-2024-21626: whatever it was, it must be reachable from the root.
        let cwd = rustix::process::getcwd(Vec::new()).named(|| "getcwd()".to_owned())?;
        if !cwd.as_bytes().starts_with(b"/") {
            return Err(Error::new(format!("chdir({path:?}): outside the root"), Errno::XDEV));
        }
        Ok(())
    }
}

/// Gives a pipe or terminal to the container's user, as far as the kernel allows; the null device
/// and files are everybody's.
fn give(stream: &impl std::os::fd::AsFd, uid: u32) {
    use rustix::fs::FileType;
    let Ok(stat) = rustix::fs::fstat(stream) else { return };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid {
        _ = rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(uid)), None);
    }
}

fn set_scheduler(wish: &Scheduler) -> Result<()> {
    sched::set_scheduler(sched::SchedAttr {
        size: 0,
        policy: wish.policy,
        flags: wish.flags,
        nice: wish.nice,
        priority: wish.priority,
        runtime: wish.runtime,
        deadline: wish.deadline,
        period: wish.period,
    })
}

pub(super) fn session() -> Result<()> {
    rustix::process::setsid().map(drop).named(|| "setsid()".to_owned())
}

/// Joins a v2 cgroup by its directory: 0 is the writer.
pub(super) fn join_v2(cgroup: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    let describe = || "write(cgroup.procs, \"0\")".to_owned();
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(cgroup, "cgroup.procs", flags, Mode::empty()).named(describe)?;
    rustix::io::write(&file, b"0").map(drop).named(describe)
}
