//! User namespaces: made by the clone, entered and reborn, with a terminal, entered by a process.

mod common;
use common::*;

use std::io::{Read, Write};

use hull_launch::plan::*;

fn maps() -> IdMaps {
    let map = vec![IdRange { inside: 0, outside: 100_000, length: 65536 }];
    IdMaps { uids: map.clone(), gids: map }
}

const USERNS_SCRIPT: &str =
    "cat /proc/self/uid_map; id; hostname changed && hostname; echo $$; cat /proc/self/gid_map; ls -ld /tmp";

fn check_userns(text: &str) {
    assert!(text.contains("0     100000      65536"), "{text}");
    assert!(text.contains("uid=0 gid=0"), "{text}");
    assert!(text.contains("changed\n1\n"), "{text}");
}

#[test]
fn a_user_namespace_made_by_the_clone() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sh("u", root.path(), USERNS_SCRIPT);
    launch.plan.clone.new = launch.plan.clone.new.and(Namespaces::USER);
    launch.plan.clone.id_maps = Some(maps());
    launch.plan.steps.retain(|s| !matches!(s, Step::Device { .. }));
    let (text, code) = keeper.output(launch);
    assert_eq!(code, 0, "{text}");
    check_userns(&text);
}

#[test]
fn a_user_namespace_entered_then_reborn_with_namespaces_of_its_own() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    std::fs::create_dir(root.path().join("secret")).unwrap();
    let seq = keeper.next_seq();
    keeper.link.send(&hull_launch::keeper::Request::Userns { seq, maps: maps() }, &[]).unwrap();
    let (reply, mut fds) = keeper.link.recv().unwrap();
    assert!(matches!(reply, hull_launch::keeper::Reply::Userns { .. }), "{reply:?}");
    let userns = fds.remove(0);
    for round in 0..20 {
        let mut launch = sh("u", root.path(), USERNS_SCRIPT);
        let fd = launch.slot(userns.try_clone().unwrap());
        let null = hull_mount::bind(open_path("/dev/null".as_ref()), false).unwrap();
        let null = launch.slot(null.into_fd());
        let new = std::mem::take(&mut launch.plan.clone.new);
        for step in &mut launch.plan.steps {
            if let Step::Device { path, .. } = step {
                let target = Target { path: path.clone(), create: Some(Node::File) };
                *step = Step::Attach { mount: null, target, attrs: Attrs::default(), then: vec![] };
            }
        }
        launch.plan.steps.splice(
            0..0,
            [
                Step::OomScoreAdj { value: 100, required: true },
                Step::Enter { fd, namespaces: Namespaces::USER },
                Step::BecomeNamespaceRoot,
                Step::Rebirth { new },
                Step::Unshare { namespaces: Namespaces::CGROUP },
            ],
        );
        before_pivot(
            &mut launch,
            vec![
                new_mount("sysfs", "/sys", &[]),
                Step::MaskedPath("/secret".into()),
                Step::MaskedPath("/proc/kcore".into()),
                Step::ReadonlyPath("/proc/sys".into()),
            ],
        );
        let (text, code) = keeper.output(launch);
        assert_eq!(code, 0, "{text}");
        check_userns(&text);
        // A reborn child that ends at once is not confused with another one.
        let mut launch = container("quick", root.path(), &["/bin/true"]);
        let new = std::mem::take(&mut launch.plan.clone.new);
        launch.plan.steps.insert(0, Step::Rebirth { new });
        keeper.launch(launch).unwrap_or_else(|failure| panic!("{round}: {failure:?}"));
        assert_eq!(keeper.code("quick"), 0);
    }
}

fn userns(keeper: &mut Keeper) -> std::os::fd::OwnedFd {
    let seq = keeper.next_seq();
    keeper.link.send(&hull_launch::keeper::Request::Userns { seq, maps: maps() }, &[]).unwrap();
    keeper.link.recv().unwrap().1.remove(0)
}

#[test]
fn a_user_namespace_has_a_terminal_and_can_be_entered() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    // The image belongs to the namespace's root, as an idmapped mount would show it.
    let chown = |path: &std::path::Path| std::os::unix::fs::lchown(path, Some(100_000), Some(100_000)).unwrap();
    for entry in std::fs::read_dir(root.path()).unwrap() {
        chown(&entry.unwrap().path());
    }
    chown(root.path());
    let script = "tty; id -u; ls -ln /dev/pts/0 /dev/console; read line; echo got $line";
    let mut launch = container("u", root.path(), &["/bin/sh", "-c", script]);
    let fd = launch.slot(userns(&mut keeper));
    let new = std::mem::take(&mut launch.plan.clone.new);
    launch.plan.steps.retain(|step| !matches!(step, Step::Device { .. }));
    let enter = Step::Enter { fd, namespaces: Namespaces::USER };
    launch.plan.steps.splice(0..0, [enter, Step::BecomeNamespaceRoot, Step::Rebirth { new }]);
    before_pivot(&mut launch, vec![Step::Terminal { rows: 4, columns: 5, console: true, owner: 1000 }]);
    launch.step(Step::Identity { uid: 1000, gid: 1000, groups: vec![] });
    launch.step(Step::Capabilities { bounding: 0, permitted: 0, effective: 0, inheritable: 0, ambient: 0 });
    let launched = keeper.launch(launch).unwrap();

    let mut exec = Launch::new("exec", &["/bin/sh", "-c", "id; cat /proc/1/uid_map; hostname; echo $$"]);
    let pidfd = exec.slot(launched.pidfd.try_clone().unwrap());
    exec.plan.clone.join_pid = Some(pidfd);
    let namespaces =
        Namespaces::USER.and(Namespaces::MOUNT).and(Namespaces::UTS).and(Namespaces::IPC).and(Namespaces::NETWORK);
    exec.step(Step::Enter { fd: pidfd, namespaces }).step(Step::BecomeNamespaceRoot);
    let (text, code) = keeper.output(exec);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("uid=0 gid=0") && text.contains("100000") && text.contains("inside\n"), "{text}");

    let mut master = std::fs::File::from(launched.terminal.unwrap());
    master.write_all(b"hello\n").unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("/dev/pts/0\r\n") && text.contains("got hello"), "{text}");
    assert_eq!(text.matches("1 1000 ").count(), 2, "{text}");
    assert_eq!(keeper.code("u"), 0);
}
