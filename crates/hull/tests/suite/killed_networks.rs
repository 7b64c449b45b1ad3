//! The engine is killed at every request to the kernel, and at every record that it writes, of what wires containers to networks
//! and takes them off. What the next one makes of it has to be whole: it came about, or it did not, and nothing is left over.

use hull_testkit::{Census, Host, KillAt, eventually};

use crate::joins::{clear, get, links, networks};
use crate::networks::{on_host, serve};

/// Kills the engine at the first call of the operation, at the second and so on, until it comes to its end; `before` makes what the
/// operation needs, `check` hears whether it was acknowledged, and where that was. How many calls there are.
fn killed_at_each(host: &Host, before: impl Fn(), operation: &[&str], check: impl Fn(bool, &str)) -> usize {
    // Under emulation an attached tracer costs seconds.
    let step = if std::env::var_os("HULL_TEST_SLOW").is_some() { 7 } else { 1 };
    for number in (1..).step_by(step) {
        before();
        let engine = host.engine_pid();
        let kill = KillAt::attach(engine, number);
        let out = host.hull(operation);
        let calls = kill.calls();
        drop(kill);
        eventually("an engine answers", || host.answers());
        let at = format!("{} killed at {number}, {:?}", operation.join(" "), calls.last());
        assert!(out.code < 128, "{at}: {out:?}");
        check(out.code == 0, &at);
        if host.engine_pid() == engine {
            assert!(calls.len() < number, "{at}: it lives on");
            return number - 1;
        }
        assert!(number < 300, "{at}: no end");
    }
    unreachable!("there is no last number")
}

/// The machine as it is when somebody was on both networks: an address and the port are free, and both bridges have their rules, which
/// an engine makes when they are needed.
fn settled(host: &Host) -> Census {
    let flags = ["run", "--rm", "--network", "one", "--network", "two", "-p", "8080:80", "busybox", "true"];
    host.hull(&flags).ok();
    let mut census = Census::take(host).without_keeper();
    eventually("its wires are gone", || {
        census = Census::take(host).without_keeper();
        // The kernel takes a wire, and the engine then what the rules say of it.
        !census.links.contains("veth") && !census.nft.contains("veth")
    });
    census
}

/// That it becomes so again.
fn is_settled(host: &Host, before: &Census) {
    settled(host);
    before.assert_equal_soon(|| Census::take(host).without_keeper());
}

#[test]
fn an_engine_that_is_killed_at_any_request_while_a_container_joins_or_leaves_is_mended_by_the_next() {
    let host = Host::new();
    networks(&host);
    serve(&host, "web", &["--network", "one", "-p", "8080:80"]);
    host.sleeper(&["--name", "peer", "--network", "two"]);
    let wires =
        || on_host(&host, "ip -o link | grep veth | grep -vc NO-CARRIER").stdout.trim().parse::<usize>().unwrap_or(0);
    // On how many networks it is, after all.
    let whole = |at: &str| {
        let shown = &host.inspect("web")["NetworkSettings"]["Networks"];
        let address = |network: &str| shown[network]["IPAddress"].as_str().unwrap_or_default().to_owned();
        let (one, two) = (address("one"), address("two"));
        let seen = links(&host, "web");
        let expected = [&one, &two].iter().filter(|address| !address.is_empty()).count();
        assert_eq!(seen.matches('=').count(), expected, "{at}: {seen} {shown}");
        assert!(seen.contains(&one) && seen.contains(&two) && seen.contains(" by eth"), "{at}: {seen} {shown}");
        // One more is the peer's.
        eventually("what was left is swept", || wires() == expected + 1);
        assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "web", "{at}");
        expected
    };
    // What was acknowledged is so; what is so is undone for the next try.
    let killed = |words: &[&str], networks: usize, undo: &[&str]| {
        killed_at_each(
            &host,
            || (),
            words,
            |done, at| {
                let count = whole(at);
                assert!(!done || count == networks, "{at}: acknowledged, and on {count} networks");
                if count == networks {
                    host.hull(undo).ok();
                }
            },
        )
    };
    let (join, leave) = (["network", "connect", "two", "web"], ["network", "disconnect", "one", "web"]);
    let joins = killed(&join, 2, &["network", "disconnect", "two", "web"]);
    host.hull(&join).ok();
    let leaves = killed(&leave, 1, &["network", "connect", "one", "web"]);
    assert!(joins > 7 && leaves > 7, "{joins} and {leaves} calls");
    clear(&host, &["web", "peer"]);
}

#[test]
fn an_engine_that_is_killed_at_any_request_of_a_start_on_a_network_leaks_nothing() {
    let host = Host::new();
    networks(&host);
    let script = "mkdir /www; echo kill >/www/index.html; echo ready; httpd -f -p 80 -h /www";
    let before = settled(&host);
    let create = || {
        let flags = ["--network", "one", "--network", "two", "-p", "8080:80"];
        host.hull(&[&["create", "--name", "kill"], &flags[..], &["busybox", "sh", "-c", script]].concat()).ok();
    };
    let starts = killed_at_each(&host, create, &["start", "kill"], |done, at| {
        let status = || host.inspect("kill")["State"]["Status"].as_str().unwrap_or_default().to_owned();
        assert!(!done || status() == "running", "{at}: acknowledged, and it is {}", status());
        // It may be on its way out still.
        eventually(at, || status() == "running" || host.hull(&["start", "kill"]).code == 0);
        assert_eq!(on_host(&host, &get("127.0.0.1", "8080")).ok(), "kill", "{at}");
        assert!(links(&host, "kill").starts_with("eth0=10.71.0."), "{at}");
        host.hull(&["rm", "-f", "kill"]).ok();
        is_settled(&host, &before);
    });
    assert!(starts > 10, "{starts} calls");
    host.hull(&["network", "prune", "-f"]).ok();
}

#[test]
fn an_engine_that_is_killed_at_any_request_of_a_removal_leaks_nothing() {
    let host = Host::new();
    networks(&host);
    let before = settled(&host);
    let run = || serve(&host, "kill", &["--network", "one", "-p", "8080:80"]);
    let removals = killed_at_each(&host, run, &["rm", "-f", "kill"], |done, at| {
        let listed = host.hull(&["ps", "-aq"]).ok();
        assert!(!done || listed.is_empty(), "{at}: acknowledged, and still there");
        if !listed.is_empty() {
            host.hull(&["rm", "-f", "kill"]).ok();
        }
        is_settled(&host, &before);
    });
    assert!(removals > 0, "it asks the kernel to close the port");
    host.hull(&["network", "prune", "-f"]).ok();
}
