//! A pool may never change what a container sees.

use hull_testkit::{Host, Settings};

#[test]
fn a_container_from_the_pool_sees_what_one_without_sees() {
    let probe = "cut -d' ' -f3- /proc/mounts | grep -v overlay | sort; ls -A / /root /tmp; cat /proc/net/dev | wc -l; ip addr 2>/dev/null | grep -c UP; id; umask; cat /proc/self/cgroup";
    let seen: Vec<String> = ["on", "off"]
        .iter()
        .map(|pools| {
            let host =
                Host::with(&Settings { env: vec![("HULL_POOLS".into(), (*pools).into())], ..Settings::default() });
            for _ in 0..3 {
                host.sh(&[], "touch /root/trace");
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
            host.sh(&[], probe)
        })
        .collect();
    assert_eq!(seen[0], seen[1]);
    assert!(!seen[0].contains("trace"));
}
