//! How long a launch takes, as root: `cargo bench -p hull-launch [-- ROUNDS]`.
//!
//! On one link, from sending `Launch` (an ordinary container: busybox `true` on a bind of a directory) to
//! `Launched` and to `Exited`. Prints medians in microseconds: of the bare clone and exec, and with the
//! steps added group by group, so that what costs shows.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::*;
use hull_launch::keeper::Request;
use hull_launch::plan::*;

fn main() {
    let rounds: usize = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(300);
    let mut keeper = Keeper::start();
    let root = rootfs();
    let plain = |n: usize| {
        let mut launch = container(&format!("b{n}"), root.path(), &["/bin/true"]);
        launch.plan.steps.clear();
        launch.plan.clone.new = Namespaces(0);
        let mount = Slot(0);
        launch.plan.clone.new = Namespaces::MOUNT;
        launch.step(Step::AttachRoot { mount, attrs: Attrs::default() }).step(Step::PivotRoot);
        launch
    };
    let without_network = |n: usize| {
        let mut launch = container(&format!("b{n}"), root.path(), &["/bin/true"]);
        launch.plan.clone.new.0 &= !Namespaces::NETWORK.0;
        launch.plan.steps.retain(|step| !matches!(step, Step::LoopbackUp));
        launch
    };
    let full = |n: usize| {
        let mut launch = without_network(n);
        let at = launch.plan.steps.iter().position(|s| matches!(s, Step::PivotRoot)).unwrap();
        let masked = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
        let readonly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
        let more = [new_mount("sysfs", "/sys", &[]), new_mount("mqueue", "/dev/mqueue", &[])]
            .into_iter()
            .chain([new_mount("tmpfs", "/dev/shm", &[("size", "64m")])])
            .chain(masked.map(|p| Step::MaskedPath(p.into())))
            .chain(readonly.map(|p| Step::ReadonlyPath(p.into())));
        launch.plan.steps.splice(at..at, more);
        let caps = 0xa804_25fb;
        launch.step(Step::Identity { uid: 0, gid: 0, groups: vec![] });
        launch.step(Step::Capabilities {
            bounding: caps,
            permitted: caps,
            effective: caps,
            inheritable: 0,
            ambient: 0,
        });
        launch
    };
    let with_network = |n: usize| container(&format!("b{n}"), root.path(), &["/bin/true"]);
    let idle = |n: usize| {
        let mut launch = without_network(n);
        launch.plan.key = format!("idle{n}");
        launch.plan.exec.candidates = vec![c"/bin/sleep".into()];
        launch.plan.exec.argv = vec![c"sleep".into(), c"1000".into()];
        launch
    };
    println!("keeper: {} KiB PSS", pss(&keeper));
    for n in 0..100 {
        keeper.launch(idle(n)).unwrap_or_else(|failure| panic!("{failure:?}"));
    }
    println!("keeper with 100 idle containers: {} KiB PSS", pss(&keeper));
    println!("{:<46} {:>10} {:>10} (fastest twentieth in brackets)", "plan", "launched", "exited");
    measure("mount namespace, root, pivot", rounds, &mut keeper, plain);
    measure("and pid, uts, ipc; proc, dev, devpts", rounds, &mut keeper, without_network);
    measure("and sysfs, mqueue, shm, 10 masks, caps", rounds, &mut keeper, full);
    measure("pid, uts, ipc, new network; proc, dev, devpts", rounds, &mut keeper, with_network);
    hold_many(&mut keeper, 3000);
    measure("the full one, 3,000 descriptors held", rounds, &mut keeper, full);
}

fn hold_many(keeper: &mut Keeper, count: usize) {
    use std::os::fd::AsFd;
    let null = std::fs::File::open("/dev/null").unwrap();
    for n in 0..count {
        let request = Request::Hold { key: "many".into(), name: n.to_string() };
        keeper.link.send(&request, &[null.as_fd()]).unwrap();
    }
}

fn measure(name: &str, rounds: usize, keeper: &mut Keeper, plan: impl Fn(usize) -> Launch) {
    let (mut launched, mut exited) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let launch = plan(round);
        let start = Instant::now();
        let seq = keeper.send(launch);
        if let Err(failure) = keeper.launched(seq) {
            panic!("{failure:?}");
        }
        launched.push(start.elapsed());
        keeper.exited(&format!("b{round}"));
        exited.push(start.elapsed());
    }
    println!("{name:<46} {:>10} {:>10}", figures(launched), figures(exited));
}

/// The median and, since other work on the machine only ever adds, the fastest twentieth.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |index: usize| times[index].as_micros();
    format!("{} ({})", at(times.len() / 2), at(times.len() / 20))
}

fn pss(keeper: &Keeper) -> String {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", keeper.process.id())).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or_default().to_owned()
}
