//! Which containers may speak in their own name alone on their bridge. That nobody then believes the others is tested where the
//! rules are made (`crates/network/tests/claims.rs`).

use std::process::Command;

use hull_testkit::{Host, eventually, run};

use crate::networks::on_host;

/// The wires that are pinned; none where the kernel has no rules for bridges.
fn pinned(host: &Host) -> Option<usize> {
    let tables = on_host(host, "nft list tables").ok();
    let table = tables.lines().find_map(|line| line.strip_prefix("table bridge "))?;
    let set = on_host(host, &format!("nft list set bridge {table} wires")).ok();
    Some(set.matches("\"veth").count())
}

#[test]
fn a_container_that_cannot_change_its_addresses_speaks_in_its_own_name() {
    let host = Host::new();
    if pinned(&host).is_none() {
        assert!(host.log().contains("this kernel has no rules for bridges"), "{}", host.log());
        return;
    }
    host.hull(&["network", "create", "lan"]).ok();
    host.sleeper(&["--name", "plain"]);
    assert_eq!(pinned(&host), Some(1));
    host.sleeper(&["--name", "admin", "--cap-add", "NET_ADMIN"]);
    host.sleeper(&["--name", "privileged", "--privileged"]);
    assert_eq!(pinned(&host), Some(1), "those two may have any address");
    host.hull(&["network", "connect", "lan", "plain"]).ok();
    assert_eq!(pinned(&host), Some(2));
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    eventually("it has taken them over", || pinned(&host) == Some(2));
    host.hull(&["network", "disconnect", "lan", "plain"]).ok();
    assert_eq!(pinned(&host), Some(1));
    // One that shares its network may have its addresses changed, and another engine knows that, too.
    host.sleeper(&["--name", "side", "--network", "container:plain", "--cap-add", "NET_ADMIN"]);
    assert_eq!(pinned(&host), Some(0));
    let added =
        "ip addr add 172.17.0.77/16 dev eth0 && arping -c 1 -I eth0 -s 172.17.0.77 172.17.0.1 >/dev/null && echo heard";
    assert_eq!(host.hull(&["exec", "side", "sh", "-c", added]).ok(), "heard");
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(host.hull(&["exec", "side", "ping", "-c", "1", "-w", "20", "172.17.0.1"]).code, 0);
    assert_eq!(pinned(&host), Some(0));
    host.hull(&["rm", "-f", "side", "plain", "admin", "privileged"]).ok();
    host.hull(&["network", "rm", "lan"]).ok();
}
