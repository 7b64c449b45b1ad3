//! Containers on several networks, and on and off them while they run.

use std::process::Command;

use hull_testkit::{Host, eventually, run};

use crate::networks::{on_host, serve};

pub(crate) fn exec(host: &Host, who: &str, script: &str) -> String {
    host.hull(&["exec", who, "sh", "-c", script]).ok()
}

/// The links with their IPv4 addresses, and through which the default route goes.
pub(crate) fn links(host: &Host, who: &str) -> String {
    let links = "ip -4 -o addr | sed -n 's/.*: \\(eth[0-9]*\\) *inet \\([0-9.]*\\).*/\\1=\\2/p' | sort | xargs";
    let route = "ip route | sed -n 's/default .* dev \\(eth[0-9]*\\).*/by \\1/p'";
    exec(host, who, &format!("{links}; {route}")).replace('\n', " ")
}

pub(crate) fn get(at: &str, port: &str) -> String {
    let once = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 {at} {port} | grep -x '[a-z]*'");
    format!("for i in $(seq 100); do {once} && exit; sleep 0.2; done; exit 1")
}

pub(crate) fn networks(host: &Host) {
    host.hull(&["network", "create", "--subnet", "10.71.0.0/24", "one"]).ok();
    host.hull(&["network", "create", "--subnet", "10.72.0.0/24", "two"]).ok();
}

/// Removes all containers and networks.
pub(crate) fn clear(host: &Host, containers: &[&str]) {
    host.hull(&[&["rm", "-f"], containers].concat()).ok();
    host.hull(&["network", "prune", "-f"]).ok();
}

#[test]
fn a_running_container_joins_and_leaves_networks() {
    let host = Host::new();
    networks(&host);
    serve(&host, "web", &["--network", "one", "-p", "8080:80"]);
    serve(&host, "peer", &["--network", "two"]);
    assert_eq!(links(&host, "web"), "eth0=10.71.0.2 by eth0");
    host.hull(&["network", "connect", "--ip", "10.72.0.9", "--alias", "www", "two", "web"]).ok();
    assert_eq!(links(&host, "web"), "eth0=10.71.0.2 eth1=10.72.0.9 by eth0");
    assert!(exec(&host, "peer", "nslookup www 127.0.0.11").contains("10.72.0.9"));
    assert!(exec(&host, "web", "nslookup peer 127.0.0.11").contains("10.72.0.2"));
    assert_eq!(exec(&host, "peer", &get("10.72.0.9", "80")), "web");
    let hosts = exec(&host, "web", "cat /etc/hosts");
    assert!(hosts.contains("10.71.0.2\t") && hosts.contains("10.72.0.9\t"), "{hosts}");
    let shown = host.inspect("web");
    let two = &shown["NetworkSettings"]["Networks"]["two"];
    assert_eq!((&two["IPAddress"], &two["Aliases"][0]), (&"10.72.0.9".into(), &"www".into()), "{two}");
    assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "web");

    // The default route, and what is published, follow.
    host.hull(&["network", "disconnect", "one", "web"]).ok();
    assert_eq!(links(&host, "web"), "eth1=10.72.0.9 by eth1");
    assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "web");
    let hosts = exec(&host, "web", "cat /etc/hosts");
    assert!(!hosts.contains("10.71.0.2\t"), "{hosts}");

    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(links(&host, "web"), "eth1=10.72.0.9 by eth1");
    assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "web");
    host.hull(&["restart", "-t", "0", "web"]).ok();
    assert_eq!(links(&host, "web"), "eth0=10.72.0.9 by eth0");

    host.hull(&["network", "disconnect", "two", "web"]).ok();
    assert_eq!(links(&host, "web"), "");
    let settings = &host.inspect("web")["NetworkSettings"]["Networks"];
    assert_eq!(settings.as_object().map(serde_json::Map::len), Some(0), "{settings}");
    host.hull(&["network", "connect", "--gw-priority", "5", "one", "web"]).ok();
    let seen = links(&host, "web");
    assert!(seen.starts_with("eth0=10.71.0.") && seen.ends_with(" by eth0"), "{seen}");
    eventually("its port is published again", || on_host(&host, &get("127.0.0.1", "8080")).code == 0);
    clear(&host, &["web", "peer"]);
}

#[test]
fn names_come_with_the_first_network_that_has_them() {
    let host = Host::new();
    networks(&host);
    host.sleeper(&["--name", "web"]);
    host.sleeper(&["--name", "peer", "--network", "one"]);
    assert!(!exec(&host, "web", "cat /etc/resolv.conf").contains("127.0.0.11"));
    host.hull(&["network", "connect", "--link", "peer:db", "one", "web"]).ok();
    assert!(exec(&host, "web", "cat /etc/resolv.conf").contains("nameserver 127.0.0.11"));
    for name in ["peer", "db"] {
        assert!(exec(&host, "web", &format!("nslookup {name} 127.0.0.11")).contains("10.71.0.2"), "{name}");
    }
    let other = host.hull(&["exec", "peer", "nslookup", "db", "127.0.0.11"]);
    assert!(!other.stdout.contains("10.71.0.2"), "the link is of one container: {}", other.stdout);
    clear(&host, &["web", "peer"]);
}

#[test]
fn the_host_is_reached_as_host_gateway_and_a_link_names_a_neighbour() {
    let host = Host::new();
    networks(&host);
    let hosts = host.sh(&["--add-host", "host.docker.internal:host-gateway", "--network", "one"], "cat /etc/hosts");
    assert!(hosts.lines().any(|line| line == "172.17.0.1\thost.docker.internal"), "{hosts}");
    let reached = host.sh(&["--network", "one"], "ping -c 1 -w 20 172.17.0.1 >/dev/null && echo yes");
    assert_eq!(reached, "yes");
    host.sleeper(&["--name", "peer", "--network", "one"]);
    let linked = host.sh(&["--link", "peer:db", "--network", "one"], "nslookup db 127.0.0.11");
    assert!(linked.contains("10.71.0."), "{linked}");
    for network in ["none", "host"] {
        let refused = host.hull(&["run", "--rm", "--link", "peer:db", "--network", network, "busybox", "true"]);
        assert!(
            refused.stderr.contains(&format!("{network} type networking can't be used with links")),
            "{}",
            refused.stderr
        );
    }
    clear(&host, &["peer"]);
}

#[test]
fn links_on_the_default_network_tell_of_the_other_container() {
    let host = Host::new();
    host.sleeper(&["--name", "peer", "--hostname", "inner", "-e", "KEY=a=b", "--expose", "5432", "--expose", "53/udp"]);
    let linked =
        ["run", "-d", "--name", "web", "--link", "peer:my-db", "-e", "MY_DB_NAME=own", "busybox", "sleep", "1000"];
    host.hull(&linked).ok();
    let seen = exec(&host, "web", "cat /etc/hosts; tr '\\0' '\\n' </proc/1/environ");
    let at = |who: &str| host.inspect(who)["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned();
    let peer = at("peer");
    for expected in [
        format!("{peer}\tmy-db"),
        format!("{peer}\tinner"),
        format!("{peer}\tpeer"),
        format!("MY_DB_PORT=tcp://{peer}:5432"),
        format!("MY_DB_PORT_5432_TCP=tcp://{peer}:5432"),
        format!("MY_DB_PORT_5432_TCP_ADDR={peer}"),
        "MY_DB_PORT_5432_TCP_PORT=5432".to_owned(),
        "MY_DB_PORT_53_UDP_PROTO=udp".to_owned(),
        "MY_DB_ENV_KEY=a=b".to_owned(),
        "MY_DB_NAME=own".to_owned(),
    ] {
        assert!(seen.lines().any(|line| line == expected), "{expected}: {seen}");
    }
    assert!(!seen.contains("ENV_PATH") && !seen.contains("MY_DB_NAME=/web"), "{seen}");
    assert!(exec(&host, "web", "env").contains("MY_DB_ENV_KEY=a=b"), "an exec has them, too");
    exec(&host, "web", "ping -c 1 -w 20 my-db");
    // It comes back with another name and another address.
    host.hull(&["stop", "-t", "0", "peer"]).ok();
    host.hull(&["rename", "peer", "other"]).ok();
    let refused = host.hull(&["restart", "-t", "0", "web"]);
    assert!(
        refused.stderr.contains("Cannot link to a non running container: /other AS /web/my-db"),
        "{}",
        refused.stderr
    );
    host.hull(&["start", "other"]).ok();
    host.hull(&["start", "web"]).ok();
    host.hull(&["restart", "-t", "0", "other"]).ok();
    let (hosts, now) = (exec(&host, "web", "cat /etc/hosts"), at("other"));
    assert!(now != peer && hosts.contains(&format!("{now}\tmy-db")) && !hosts.contains(&peer), "{now}: {hosts}");
    exec(&host, "web", "ping -c 1 -w 20 my-db");
    let refused = host.hull(&["create", "--link", "absent", "busybox", "true"]);
    assert!(
        refused.stderr.contains("could not get container for absent: No such container: absent"),
        "{}",
        refused.stderr
    );
    host.sleeper(&["--name", "alone", "--network", "none"]);
    let refused = host.hull(&["run", "--rm", "--link", "alone", "busybox", "true"]);
    assert!(refused.stderr.contains("does not belong to the default network"), "{}", refused.stderr);
    clear(&host, &["web", "other", "alone"]);
}

#[test]
fn the_default_route_is_where_docker_has_it() {
    let host = Host::new();
    for (name, flags) in [
        ("alpha", &["--subnet", "10.71.0.0/24"][..]),
        ("zeta", &["--subnet", "10.72.0.0/24"]),
        ("inner", &["--subnet", "10.73.0.0/24", "--internal"]),
        ("dual", &["--subnet", "10.74.0.0/24", "--ipv6", "--subnet", "fd00:74::/64"]),
    ] {
        host.hull(&[&["network", "create"], flags, &[name]].concat()).ok();
    }
    let by = || {
        let seen = links(&host, "web");
        seen.rsplit(' ').next().unwrap_or_default().to_owned()
    };
    // As docker 28.5 answered, but for the numbers of the links, which are chance there; here the first is the first one's, and the
    // others follow by name.
    for (asked, expected) in [
        (&["zeta", "alpha"][..], "eth1"),
        (&["alpha", "name=zeta,gw-priority=1"], "eth1"),
        (&["alpha", "name=inner,gw-priority=5"], "eth0"),
        (&["alpha", "dual"], "eth1"),
        (&["zeta", "dual", "alpha"], "eth2"),
        (&["zeta", "dual", "name=alpha,gw-priority=1"], "eth2"),
        (&["zeta", "name=dual,gw-priority=-1"], "eth1"),
    ] {
        let flags: Vec<&str> = asked.iter().flat_map(|network| ["--network", network]).collect();
        host.sleeper(&[&["--name", "web"], &flags[..]].concat());
        assert_eq!(by(), expected, "{asked:?}");
        host.hull(&["rm", "-f", "web"]).ok();
    }
    serve(&host, "web", &["--network", "zeta", "-p", "8080:80"]);
    assert_eq!(by(), "eth0");
    host.hull(&["network", "connect", "alpha", "web"]).ok();
    assert_eq!(by(), "eth1");
    assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "web");
    host.hull(&["restart", "-t", "0", "web"]).ok();
    assert_eq!(by(), "eth1");
    host.hull(&["network", "disconnect", "alpha", "web"]).ok();
    assert_eq!(by(), "eth0");
    host.hull(&["network", "connect", "--gw-priority", "-1", "alpha", "web"]).ok();
    assert_eq!(by(), "eth0");
    clear(&host, &["web"]);
}

#[test]
fn a_container_is_created_on_several_networks_and_joins_while_stopped() {
    let host = Host::new();
    networks(&host);
    let log = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    let two = format!("name=two,alias=x,gw-priority=1,mac-address=02:00:00:00:00:72,{log}");
    host.hull(&[
        "create",
        "--name",
        "web",
        "--network",
        "one",
        "--network",
        &two,
        "--ip",
        "10.71.0.7",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    host.hull(&["start", "web"]).ok();
    assert_eq!(links(&host, "web"), "eth0=10.71.0.7 eth1=10.72.0.2 by eth1");
    let seen = exec(
        &host,
        "web",
        "cat /sys/class/net/eth1/address /proc/sys/net/ipv4/conf/eth1/log_martians /proc/sys/net/ipv4/conf/eth0/log_martians",
    );
    assert_eq!(seen.replace('\n', " "), "02:00:00:00:00:72 1 0");
    host.hull(&["stop", "-t", "0", "web"]).ok();
    host.hull(&["network", "disconnect", "one", "web"]).ok();
    host.hull(&["network", "connect", "bridge", "web"]).ok();
    host.hull(&["start", "web"]).ok();
    let seen = links(&host, "web");
    assert!(seen.starts_with("eth0=10.72.0.3 eth1=172.17.0.") && seen.ends_with(" by eth0"), "{seen}");
    let internal = host.hull(&["network", "create", "--internal", "shut"]);
    internal.ok();
    host.hull(&["network", "connect", "--gw-priority", "9", "shut", "web"]).ok();
    assert!(links(&host, "web").ends_with(" by eth0"), "an internal network leads nowhere");
    for (args, words) in [
        (&["network", "connect", "two", "web"][..], "endpoint with name web already exists in network two"),
        (&["network", "disconnect", "one", "web"], "is not connected to network"),
        (&["network", "connect", "one", "absent"], "No such container: absent"),
        (&["network", "connect", "absent", "web"], "network absent not found"),
        (&["network", "connect", "host", "web"], "cannot connect container to host network"),
        (&["network", "connect", "none", "web"], "private (none) mode"),
        (&["network", "connect", "--ip", "10.9.0.1", "one", "web"], "no configured subnet contains"),
        (&["network", "connect", "--ip", "10.71.0.1", "one", "web"], "Address already in use"),
        (&["network", "connect", "--driver-opt", "a=b", "one", "web"], "endpoint option a is not supported"),
        (&["network", "connect", "--link", ":", "one", "web"], "bad format for links"),
        (&["run", "--rm", "--network", "host", "--network", "one", "busybox", "true"], "cannot join the network one"),
    ] {
        let refused = host.hull(args);
        assert!(refused.code != 0 && refused.stderr.contains(words), "{args:?}: {}", refused.stderr);
    }
    host.sleeper(&["--name", "shares", "--network", "container:web"]);
    let refused = host.hull(&["network", "connect", "one", "shares"]);
    assert!(refused.stderr.contains("cannot be connected to any other network"), "{}", refused.stderr);
    clear(&host, &["shares", "web"]);
}
