//! `linux.resources` and `linux.cgroupsPath`, read from outside; what the host has no controller for is refused.

use std::path::Path;

use hull_testkit::{cgroup_file, on_v2};
use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    memory_limit_and_reservation;
    memory_and_swap;
    swap_below_memory_is_refused.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    the_oom_killer_ends_a_hog;
    swappiness;
    cpu_shares;
    cpu_quota_and_period;
    cpu_burst.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "since 1.9");
    cpu_idle.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "needs v2");
    cpuset_cpus_and_mems;
    a_cpu_that_is_not_there_is_refused.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    pids_limit;
    pids_limit_holds;
    no_pids_limit.not_over(Runtime::Crun, "1.8 writes the number");
    block_weight_is_refused_without_a_scheduler_for_it.hull_only("they differ by the files they try");
    block_throttles;
    hugepages_by_size.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    a_hugepage_size_that_is_none_is_refused.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    a_limit_without_its_controller_is_refused.not_over(Runtime::Crun, "leaves a cgroup behind");
    unified_is_refused_on_v1.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    unified_on_v2;
    an_absolute_path;
    a_relative_path_is_below_the_runtimes_own.not_over(Runtime::Crun, "takes it for absolute");
    a_path_of_several_parts;
    without_a_path_the_id_names_it;
    a_path_that_climbs_stays_beneath;
    every_process_is_in_every_cgroup;
    a_cgroup_with_other_processes_is_refused.not_over(Runtime::Crun, "joins it");
    rdma_is_refused_where_there_is_none.not_over(Runtime::Crun, "passes over it");
];

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
    assert_eq!(site.cgroups(), Vec::<std::path::PathBuf>::new());
}

/// Starts the container with these resources beside the usual ones.
#[track_caller]
fn up_with(site: &mut Site, kind: &str, resources: Value) -> u32 {
    site.config["linux"]["resources"][kind] = resources;
    site.create(&[]).ok();
    site.pid()
}

fn memory_limit_and_reservation(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "memory", json!({ "limit": 104857600, "reservation": 52428800 }));
    assert_eq!(cgroup_file(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), "104857600");
    assert_eq!(cgroup_file(pid, ("memory", "memory.soft_limit_in_bytes"), "memory.low"), "52428800");
}

fn memory_and_swap(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "memory", json!({ "limit": 104857600, "swap": 157286400 }));
    assert_eq!(cgroup_file(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), "104857600");
    let swap = cgroup_file(pid, ("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max");
    assert_eq!(swap, if on_v2() { "52428800" } else { "157286400" });
    site.verb("delete", &["--force"]).ok();
    let pid = up_with(&mut site, "memory", json!({ "limit": 104857600, "swap": -1 }));
    assert_eq!(cgroup_file(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), "104857600");
}

fn swap_below_memory_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["memory"] = json!({ "limit": 104857600, "swap": 52428800 });
    refused(&site);
}

fn the_oom_killer_ends_a_hog(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["memory"] = json!({ "limit": 20971520, "swap": 20971520 });
    let out = site.args(&["sh", "-c", "sh -c 'x=$(head -c 60000000 /dev/zero | tr \"\\0\" x)'; echo $?"]).run(&[]);
    assert!(out.stdout == "137\n" || out.code == 137, "{out:?}");
}

fn swappiness(rt: Runtime) {
    if on_v2() {
        return;
    }
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "memory", json!({ "swappiness": 7 }));
    assert_eq!(cgroup_file(pid, ("memory", "memory.swappiness"), ""), "7");
}

fn cpu_shares(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "cpu", json!({ "shares": 512 }));
    let seen = cgroup_file(pid, ("cpu", "cpu.shares"), "cpu.weight");
    if on_v2() {
        assert!(seen != "100", "{seen}");
    } else {
        assert_eq!(seen, "512");
    }
}

fn cpu_quota_and_period(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "cpu", json!({ "quota": 30000, "period": 60000 }));
    if on_v2() {
        assert_eq!(cgroup_file(pid, ("", ""), "cpu.max"), "30000 60000");
    } else {
        assert_eq!(cgroup_file(pid, ("cpu", "cpu.cfs_quota_us"), ""), "30000");
        assert_eq!(cgroup_file(pid, ("cpu", "cpu.cfs_period_us"), ""), "60000");
    }
}

fn cpu_burst(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "cpu", json!({ "quota": 30000, "period": 60000, "burst": 10000 }));
    assert_eq!(cgroup_file(pid, ("cpu", "cpu.cfs_burst_us"), "cpu.max.burst"), "10000");
}

fn cpu_idle(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "cpu", json!({ "idle": 1 }));
    assert_eq!(cgroup_file(pid, ("cpu", "cpu.idle"), "cpu.idle"), "1");
}

fn cpuset_cpus_and_mems(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "cpu", json!({ "cpus": "0", "mems": "0" }));
    assert_eq!(cgroup_file(pid, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
    assert_eq!(cgroup_file(pid, ("cpuset", "cpuset.mems"), "cpuset.mems"), "0");
    assert_eq!(hull_testkit::status_field(pid, "Cpus_allowed_list"), "0");
}

fn a_cpu_that_is_not_there_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for cpus in ["4000", "nonsense"] {
        site.config["linux"]["resources"]["cpu"] = json!({ "cpus": cpus });
        refused(&site);
    }
}

fn pids_limit(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "pids", json!({ "limit": 77 }));
    assert_eq!(cgroup_file(pid, ("pids", "pids.max"), "pids.max"), "77");
}

fn pids_limit_holds(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["pids"] = json!({ "limit": 12 });
    let seen =
        site.args(&["sh", "-c", "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 1000 & done; echo all"]).run(&[]);
    assert!(!seen.stdout.contains("all") && seen.stderr.contains("fork"), "{seen:?}");
}

fn no_pids_limit(rt: Runtime) {
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "pids", json!({ "limit": -1 }));
    assert_eq!(cgroup_file(pid, ("pids", "pids.max"), "pids.max"), "max");
}

fn block_weight_is_refused_without_a_scheduler_for_it(rt: Runtime) {
    if on_v2()
        || Path::new("/sys/fs/cgroup/blkio/blkio.weight").exists()
        || Path::new("/sys/fs/cgroup/blkio/blkio.bfq.weight").exists()
    {
        return;
    }
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["blockIO"] = json!({ "weight": 500 });
    let out = site.create(&[]);
    if out.code == 0 {
        // A kernel that has the file in cgroups but not in the topmost one.
        assert_eq!(cgroup_file(site.pid(), ("blkio", "blkio.bfq.weight"), ""), "500");
    }
}

fn block_throttles(rt: Runtime) {
    let mut site = Site::new(rt);
    let device = json!([{ "major": 7, "minor": 0, "rate": 1048576 }]);
    if !Path::new("/sys/block/loop0").exists() {
        return;
    }
    let io = json!({ "throttleReadBpsDevice": device, "throttleWriteIOPSDevice": device });
    let pid = up_with(&mut site, "blockIO", io);
    if on_v2() {
        let seen = cgroup_file(pid, ("", ""), "io.max");
        assert!(seen.contains("rbps=1048576") && seen.contains("wiops=1048576"), "{seen}");
    } else {
        for file in ["blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device"] {
            assert_eq!(cgroup_file(pid, ("blkio", file), ""), "7:0 1048576");
        }
    }
}

fn has_hugetlb() -> bool {
    if on_v2() {
        read("/sys/fs/cgroup/cgroup.subtree_control").contains("hugetlb")
    } else {
        Path::new("/sys/fs/cgroup/hugetlb").is_dir()
    }
}

fn hugepages_by_size(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["hugepageLimits"] = json!([{ "pageSize": "2MB", "limit": 4194304 }]);
    if !has_hugetlb() {
        return refused(&site);
    }
    site.create(&[]).ok();
    let file = ("hugetlb", "hugetlb.2MB.limit_in_bytes");
    assert_eq!(cgroup_file(site.pid(), file, "hugetlb.2MB.max"), "4194304");
}

fn a_hugepage_size_that_is_none_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for size in ["64kB", "3MB", "", "../2MB"] {
        site.config["linux"]["resources"]["hugepageLimits"] = json!([{ "pageSize": size, "limit": 4194304 }]);
        refused(&site);
    }
}

fn a_limit_without_its_controller_is_refused(rt: Runtime) {
    if on_v2() || Path::new("/sys/fs/cgroup/net_cls").exists() {
        return;
    }
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["network"] = json!({ "classID": 1048577 });
    refused(&site);
}

fn unified_is_refused_on_v1(rt: Runtime) {
    if on_v2() {
        return;
    }
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["unified"] = json!({ "memory.high": "104857600" });
    refused(&site);
}

fn unified_on_v2(rt: Runtime) {
    if !on_v2() {
        return;
    }
    let mut site = Site::new(rt);
    let pid = up_with(&mut site, "unified", json!({ "memory.high": "104857600", "pids.max": "55" }));
    assert_eq!(cgroup_file(pid, ("", ""), "memory.high"), "104857600");
    assert_eq!(cgroup_file(pid, ("", ""), "pids.max"), "55");
}

/// Where the container is, by the controllers that hold it back and end it: no runtime needs the others.
fn places(pid: u32) -> Vec<String> {
    let text = read(format!("/proc/{pid}/cgroup"));
    let needed =
        |line: &str| ["memory", "pids", "devices", "freezer", "cpu"].contains(&line.split(':').nth(1).unwrap_or(""));
    let lines = text.lines().filter(|l| on_v2() || needed(l));
    lines.map(|l| l.splitn(3, ':').nth(2).expect("a path").to_owned()).collect()
}

fn an_absolute_path(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    let path = format!("/{}", site.id);
    assert!(places(site.pid()).iter().all(|p| *p == path), "{:?}", places(site.pid()));
}

fn a_path_of_several_parts(rt: Runtime) {
    let mut site = Site::new(rt);
    let path = format!("/{}/deep/er", site.id);
    site.config["linux"]["cgroupsPath"] = json!(path);
    site.create(&[]).ok();
    assert!(places(site.pid()).iter().all(|p| *p == path), "{:?}", places(site.pid()));
    site.verb("delete", &["--force"]).ok();
    // The parents may stay: they are not the container's.
    site.remove_cgroups();
}

/// The runtime is in a cgroup of the site's own.
fn in_a_cgroup(site: &mut Site) -> String {
    let own = format!("{}-own", site.id);
    let script = format!(
        "for d in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do test -e $d || continue
             d=${{d%/*}}; case $d in */unified) continue;; esac; mkdir -p $d/{own}
             for f in cpuset.cpus cpuset.mems; do test -e $d/$f && cat $d/$f > $d/{own}/$f; done
             echo $$ > $d/{own}/cgroup.procs || exit 9; done; exec \"$@\""
    );
    site.wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).into();
    own
}

fn a_relative_path_is_below_the_runtimes_own(rt: Runtime) {
    if on_v2() {
        return;
    }
    let mut site = Site::new(rt);
    let own = in_a_cgroup(&mut site);
    site.config["linux"]["cgroupsPath"] = json!("relative/one");
    site.create(&[]).ok();
    let expected = format!("/{own}/relative/one");
    assert!(places(site.pid()).iter().all(|p| *p == expected), "{:?}", places(site.pid()));
    site.verb("delete", &["--force"]).ok();
    site.remove_cgroups();
}

fn without_a_path_the_id_names_it(rt: Runtime) {
    let mut site = Site::new(rt);
    if on_v2() {
        return;
    }
    in_a_cgroup(&mut site);
    site.config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    site.create(&[]).ok();
    let id = format!("/{}", site.id);
    assert!(places(site.pid()).iter().all(|p| p.ends_with(&id)), "{:?}", places(site.pid()));
    site.verb("delete", &["--force"]).ok();
    site.remove_cgroups();
}

fn a_path_that_climbs_stays_beneath(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["cgroupsPath"] = json!(format!("/../../../{}", site.id));
    let out = site.create(&[]);
    if out.code == 0 {
        let path = format!("/{}", site.id);
        assert!(places(site.pid()).iter().all(|p| *p == path), "{:?}", places(site.pid()));
    }
    assert!(!Path::new("/sys/fs").join(&site.id).exists() && !Path::new("/").join(&site.id).exists());
}

fn every_process_is_in_every_cgroup(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.exec(&["-d"], &["sleep", "1000"]).ok();
    let trees = site.cgroups();
    assert!(trees.len() >= if on_v2() { 1 } else { 5 }, "{trees:?}");
    for cgroup in trees.iter().filter(|c| on_v2() || !c.starts_with("/sys/fs/cgroup/unified")) {
        assert_eq!(read(cgroup.join("cgroup.procs")).lines().count(), 2, "{}", cgroup.display());
    }
}

fn a_cgroup_with_other_processes_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    let first = site.id.clone();
    site.id = format!("{first}-2");
    // Two containers in one cgroup: deleting one would end the other.
    let out = site.create(&[]);
    site.id = first;
    if out.code == 0 {
        assert!(rt == Runtime::Runc && out.stderr.contains("cgroup"), "{out:?}");
    }
    assert_eq!(site.status(), "running");
}

fn rdma_is_refused_where_there_is_none(rt: Runtime) {
    if Path::new("/sys/fs/cgroup/rdma").exists() || on_v2() {
        return;
    }
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["rdma"] = json!({ "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10000 } });
    refused(&site);
}
