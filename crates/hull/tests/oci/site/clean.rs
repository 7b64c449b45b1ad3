//! [`Picture`]: what is on the machine that could be a site's; and taking everything away.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hull_testkit::patience;

use super::{Site, holder::Holder, read};

/// What must be the same before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    mounts: String,
    links: String,
    cgroups: BTreeSet<PathBuf>,
    processes: BTreeSet<(u32, String)>,
}

impl Picture {
    /// Takes it: the holder's namespaces, and on the whole machine what bears this token.
    pub fn take(holder: &Holder, token: &str) -> Self {
        let pid = holder.pid().to_string();
        let links = Command::new("nsenter").args(["--net", "-t", &pid, "--", "ip", "-o", "addr"]).output();
        Self {
            mounts: read(format!("/proc/{pid}/mountinfo")),
            links: String::from_utf8_lossy(&links.expect("nsenter is installed").stdout).into_owned(),
            cgroups: cgroups(token),
            processes: processes(token),
        }
    }
}

/// Cgroups whose path bears the token.
pub fn cgroups(token: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            if entry.path().to_string_lossy().contains(token) {
                found.insert(entry.path());
            }
            open.push(entry.path());
        }
    }
    found
}

/// Processes whose words or environment bear the token.
fn processes(token: &str) -> BTreeSet<(u32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let words = read(format!("/proc/{pid}/cmdline")).replace('\0', " ");
        let bears = words.contains(token) || read(format!("/proc/{pid}/environ")).contains(token);
        bears.then_some((pid, words))
    })
    .collect()
}

/// Ends what runs in these cgroups and removes them, deepest first.
pub fn clear(cgroups: &BTreeSet<PathBuf>) {
    let members = |cgroup: &PathBuf| read(cgroup.join("cgroup.procs"));
    let pids: BTreeSet<String> =
        cgroups.iter().flat_map(|c| members(c).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    for cgroup in cgroups {
        let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
        let _ = fs::write(cgroup.join("cgroup.freeze"), "0");
    }
    if !pids.is_empty() {
        let _ = Command::new("kill").arg("-KILL").args(&pids).output();
    }
    let end = std::time::Instant::now() + patience();
    while cgroups.iter().rev().filter(|c| fs::remove_dir(c).is_err() && c.exists()).count() > 0 {
        if std::time::Instant::now() > end {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

impl Site {
    /// The containers that the runtime keeps files of.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let names = dirs.map(|e| e.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Deletes all containers, then compares the machine with what it was.
    #[track_caller]
    pub fn assert_clean(&self) {
        for id in self.kept() {
            self.oci(&["delete", "--force", &id]).ok();
        }
        assert_eq!(self.kept(), Vec::<String>::new(), "files of containers are left behind");
        let now = || Picture::take(&self.holder, &self.id);
        let mut last = now();
        let deadline = std::time::Instant::now() + patience();
        while last != self.before && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
            last = now();
        }
        assert_eq!(last.processes, self.before.processes, "processes are left behind");
        assert_eq!(last.cgroups, self.before.cgroups, "cgroups are left behind");
        assert_eq!(last.links, self.before.links, "the links changed");
        assert_eq!(last.mounts, self.before.mounts, "the mount table changed");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.assert_clean()));
            clear(&cgroups(&self.id));
            if let Err(panic) = verdict {
                std::panic::resume_unwind(panic);
            }
            return;
        }
        clear(&cgroups(&self.id));
        for (pid, _) in processes(&self.id) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }
}
