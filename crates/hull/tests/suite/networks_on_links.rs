//! Networks that stand on a link of the host, macvlan and ipvlan, with real traffic: the host has an uplink `up0`, and the
//! other machine on it is a container without a network of hull's that was given the far end.

use std::process::Command;

use hull_testkit::{Host, Out, eventually, run};

use crate::networks::serve;

/// A program on the host that the engine lives in.
pub(crate) fn tool(host: &Host, words: &str) -> Out {
    let pid = host.engine_pid().to_string();
    run(Command::new("nsenter").args(["-t", &pid, "-n", "--"]).args(words.split(' ')), b"")
}

/// An uplink, and the machine `outside` at its other end, with these addresses.
pub(crate) fn uplink(host: &Host, addresses: &[&str]) {
    serve(host, "outside", &["--network", "none"]);
    tool(host, "ip link add up0 type veth peer name up1").ok();
    tool(host, "ip link set up0 up").ok();
    tool(host, &format!("ip link set up1 netns {}", host.pid("outside"))).ok();
    let pid = host.pid("outside").to_string();
    let inside = |words: &str| {
        run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "ip"]).args(words.split(' ')), b"").ok();
    };
    for address in addresses {
        inside(&format!("addr add {address} dev up1"));
    }
    inside("link set up1 up");
}

/// Whether the kernel knows a kind of link, as `ip` finds out.
fn kernel_has(host: &Host, kind: &str) -> bool {
    let made = tool(host, &format!("ip link add link up0 name probe0 type {kind}")).code == 0;
    if made {
        tool(host, "ip link del probe0").ok();
    }
    made
}

/// The page that a container gets from an address, or nothing.
pub(crate) fn page(host: &Host, who: &str, at: &str) -> String {
    let once = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 {at} 80 | grep -x '[a-z]*'");
    let script = format!("for i in $(seq 100); do {once} && exit; sleep 0.2; done; exit 1");
    host.hull(&["exec", who, "sh", "-c", &script]).ok()
}

fn is_apart(host: &Host, who: &str, at: &str) {
    let out = host.hull(&["exec", who, "sh", "-c", &format!("ping -c 1 -W 1 {at}")]);
    assert_ne!(out.code, 0, "{who} reaches {at}: {}", out.stdout);
}

fn create(host: &Host, name: &str, flags: &str) -> Out {
    let words: Vec<&str> = ["network", "create"].into_iter().chain(flags.split(' ')).chain([name]).collect();
    host.hull(&words)
}

/// That the kernel does not know what is asked for is said; true if so.
fn is_refused(host: &Host, kind: &str, option: &str, made: &Out) -> bool {
    if kernel_has(host, kind) {
        return false;
    }
    let word = kind.split(' ').next().unwrap_or_default();
    let said = format!("this kernel has no {word} links");
    assert!(made.code != 0 && made.stderr.contains(&said) && made.stderr.contains(option), "{}", made.stderr);
    true
}

#[test]
fn containers_on_macvlan_stand_on_the_hosts_link() {
    let host = Host::new();
    uplink(&host, &["10.90.0.1/24"]);
    let made = create(&host, "lan", "-d macvlan -o parent=up0 --subnet 10.90.0.0/24 --ip-range 10.90.0.64/26");
    if is_refused(&host, "macvlan", "CONFIG_MACVLAN", &made) {
        return;
    }
    made.ok();
    serve(&host, "web", &["--network", "lan", "--mac-address", "02:00:00:00:00:77"]);
    serve(&host, "peer", &["--network", "lan", "--ip", "10.90.0.9", "--network-alias", "www"]);
    let shown = host
        .hull(&["exec", "web", "sh", "-c", "cat /sys/class/net/eth0/address; ip route; ip -4 -o addr show eth0"])
        .ok();
    for expected in ["02:00:00:00:00:77", "default via 10.90.0.1 dev eth0", "inet 10.90.0.64/24"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert_eq!(page(&host, "web", "10.90.0.1"), "outside");
    assert_eq!(page(&host, "outside", "10.90.0.64"), "web");
    assert_eq!(page(&host, "web", "10.90.0.9"), "peer");
    assert!(host.hull(&["exec", "web", "nslookup", "www", "127.0.0.11"]).ok().contains("10.90.0.9"));
    let shown = host
        .hull(&["network", "inspect", "lan", "--format", "{{.Driver}} {{.Options.parent}} {{len .Containers}}"])
        .ok();
    assert_eq!(shown, "macvlan up0 2");

    // On and off it while they run.
    host.hull(&["network", "disconnect", "lan", "web"]).ok();
    assert!(!host.hull(&["exec", "web", "ls", "/sys/class/net"]).ok().contains("eth"), "its link is gone");
    host.hull(&["network", "connect", "--ip", "10.90.0.77", "lan", "web"]).ok();
    assert_eq!(page(&host, "outside", "10.90.0.77"), "web");
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(page(&host, "outside", "10.90.0.77"), "web");
    let warned = host.hull(&["run", "--rm", "-p", "8080:80", "--network", "lan", "busybox", "true"]);
    assert!(warned.code == 0 && warned.stderr.contains("Published ports are discarded"), "{}", warned.stderr);
    host.hull(&["rm", "-f", "web", "peer"]).ok();
    host.hull(&["network", "rm", "lan"]).ok();
    for (flags, words) in [
        ("-d macvlan -o parent=absent0 --subnet 10.90.0.0/24", "the parent `absent0` of the network is not there"),
        ("-d macvlan -o parent=lo --subnet 10.90.0.0/24", "loopback interface is not a valid parent link"),
        ("-d macvlan -o macvlan_mode=any", "is not bridge, private, vepa or passthru"),
        ("-d macvlan -o ipvlan_mode=l2", "the option ipvlan_mode of macvlan networks is not supported"),
        ("-d macvlan -o parent=a/b", "is not the name of a link"),
    ] {
        let refused = create(&host, "x", flags);
        assert!(refused.code != 0 && refused.stderr.contains(words), "{flags}: {}", refused.stderr);
    }
    tool(&host, "ip link del up0").ok();
}

#[test]
fn the_modes_of_macvlan_decide_who_reaches_whom() {
    let host = Host::new();
    uplink(&host, &["10.91.0.1/24", "10.92.0.1/24", "10.93.0.1/24"]);
    if is_refused(&host, "macvlan", "CONFIG_MACVLAN", &create(&host, "x", "-d macvlan -o parent=up0")) {
        return;
    }
    host.hull(&["network", "rm", "x"]).ok();
    for (mode, net) in [("private", "10.91.0"), ("vepa", "10.92.0")] {
        create(&host, mode, &format!("-d macvlan -o parent=up0 -o macvlan_mode={mode} --subnet {net}.0/24")).ok();
        serve(&host, "aa", &["--network", mode, "--ip", &format!("{net}.2")]);
        serve(&host, "bb", &["--network", mode, "--ip", &format!("{net}.3")]);
        assert_eq!(page(&host, "aa", &format!("{net}.1")), "outside", "{mode}");
        assert_eq!(page(&host, "outside", &format!("{net}.3")), "bb", "{mode}");
        is_apart(&host, "aa", &format!("{net}.3"));
        host.hull(&["rm", "-f", "aa", "bb"]).ok();
    }
    let through = "-d macvlan -o parent=up0 -o macvlan_mode=passthru --subnet 10.93.0.0/24";
    let refused = create(&host, "through", through);
    assert!(refused.stderr.contains("is already using parent interface up0"), "{}", refused.stderr);
    host.hull(&["network", "rm", "private", "vepa"]).ok();
    create(&host, "through", through).ok();
    serve(&host, "aa", &["--network", "through"]);
    assert_eq!(page(&host, "aa", "10.93.0.1"), "outside");
    let second = host.hull(&["run", "--rm", "--network", "through", "busybox", "true"]);
    assert!(second.stderr.contains("cannot give the container a macvlan on `up0`"), "{}", second.stderr);
    host.hull(&["rm", "-f", "aa"]).ok();
    host.hull(&["network", "rm", "through"]).ok();
    tool(&host, "ip link del up0").ok();
}

#[test]
fn a_macvlan_without_a_parent_leads_nowhere() {
    let host = Host::new();
    uplink(&host, &["10.94.0.1/24"]);
    let links = || -> Vec<String> {
        let all = tool(&host, "ip -br link").ok();
        all.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
    };
    let before = links();
    let made = create(&host, "shut", "-d macvlan --subnet 10.95.0.0/24");
    if is_refused(&host, "macvlan", "CONFIG_MACVLAN", &made) {
        return;
    }
    made.ok();
    // Another one has a parent and no way out all the same.
    create(&host, "inner", "-d macvlan -o parent=up0 --internal --subnet 10.94.0.0/24").ok();
    serve(&host, "aa", &["--network", "shut"]);
    serve(&host, "bb", &["--network", "shut"]);
    assert_eq!(page(&host, "aa", "10.95.0.3"), "bb");
    let seen = host.hull(&["exec", "aa", "sh", "-c", "ip route; ip -6 addr show eth0"]).ok();
    assert!(!seen.contains("default") && !seen.contains("inet6"), "{seen}");
    // Neither the host nor anybody else hears it, whatever it says.
    tool(&host, "ip addr add 10.95.0.200/32 dev lo").ok();
    is_apart(&host, "aa", "10.95.0.200");
    assert!(!host.sh(&["--network", "inner"], "ip route").contains("default"));
    host.hull(&["rm", "-f", "aa", "bb"]).ok();
    host.hull(&["network", "rm", "shut", "inner"]).ok();
    tool(&host, "ip addr del 10.95.0.200/32 dev lo").ok();
    assert_eq!(links(), before);
    tool(&host, "ip link del up0").ok();
}

#[test]
fn a_parent_may_be_a_vlan_that_is_made_and_goes_with_its_networks() {
    let host = Host::new();
    uplink(&host, &["10.94.0.1/24"]);
    let made = create(&host, "tagged", "-d macvlan -o parent=up0.50 --subnet 10.96.0.0/24");
    if is_refused(&host, "macvlan", "CONFIG_MACVLAN", &made)
        || is_refused(&host, "vlan id 7", "CONFIG_VLAN_8021Q", &made)
    {
        tool(&host, "ip link del up0").ok();
        return;
    }
    made.ok();
    let pid = host.pid("outside").to_string();
    for words in
        ["link add link up1 name up1.50 type vlan id 50", "addr add 10.96.0.1/24 dev up1.50", "link set up1.50 up"]
    {
        run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "ip"]).args(words.split(' ')), b"").ok();
    }
    serve(&host, "web", &["--network", "tagged"]);
    assert_eq!(page(&host, "web", "10.96.0.1"), "outside");
    host.hull(&["rm", "-f", "web"]).ok();
    host.hull(&["network", "rm", "tagged"]).ok();
    assert_ne!(tool(&host, "ip link show up0.50").code, 0, "it goes with the network");
    tool(&host, "ip link del up0").ok();
}

#[test]
fn ipvlan_is_there_where_the_kernel_has_it() {
    let host = Host::new();
    uplink(&host, &["10.97.0.1/24", "10.98.0.1/24"]);
    let made = create(&host, "two", "-d ipvlan -o parent=up0 --subnet 10.97.0.0/24");
    if is_refused(&host, "ipvlan", "CONFIG_IPVLAN", &made) {
        tool(&host, "ip link del up0").ok();
        return;
    }
    made.ok();
    create(&host, "three", "-d ipvlan -o parent=up0 -o ipvlan_mode=l3 --subnet 10.98.0.0/24").ok();
    for (network, net) in [("two", "10.97.0"), ("three", "10.98.0")] {
        serve(&host, "aa", &["--network", network, "--ip", &format!("{net}.2")]);
        serve(&host, "bb", &["--network", network, "--ip", &format!("{net}.3")]);
        assert_eq!(page(&host, "aa", &format!("{net}.3")), "bb", "{network}");
        host.hull(&["rm", "-f", "bb"]).ok();
        if network == "two" {
            assert_eq!(page(&host, "aa", &format!("{net}.1")), "outside");
        } else {
            let routes = host.hull(&["exec", "aa", "ip", "route"]).ok();
            assert!(routes.contains("default dev eth0"), "{routes}");
        }
        host.hull(&["rm", "-f", "aa"]).ok();
    }
    host.hull(&["network", "rm", "two", "three"]).ok();
    tool(&host, "ip link del up0").ok();
}
