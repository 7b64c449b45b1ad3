//! Beside Debian's own ufw and firewalld, which run on the test's host: switched on, reloaded, switched off.

mod common;
use common::within;
use common::world::{Container, HOST, OUTSIDE, World, at, call, ip, is_closed, network, reaches};

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hull_network::Switch;
use hull_network::ports::Protocol;

const HOST6: &str = "fd00:113::1";
const OUTSIDE6: &str = "fd00:113::2";

/// What is to be kept is written beside the tree, and goes with the mount namespace.
const ENTER: &str = r#"set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount --rbind /dev dev
exec chroot . /bin/sh"#;

/// A shell among the firewalls, on the host of a test. What it started ends with it.
struct Shell {
    unshare: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn on(world: &World) -> Self {
        let tree = tree();
        let mut unshare = within(&world.host, || {
            Command::new("unshare")
                .args([
                    "--mount",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    ENTER,
                    "sh",
                ])
                .arg(&tree)
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let input = unshare.stdin.take();
        let output = BufReader::new(unshare.stdout.take().unwrap());
        Self { unshare, input, output }
    }

    fn run(&mut self, script: &str) -> (i32, String) {
        let mut input = self.input.as_ref().unwrap();
        writeln!(input, "{{ {script}\n}} 2>&1 </dev/null; echo \"=== $?\"").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the shell has ended: {script}: {said}");
            if let Some(code) = line.strip_prefix("=== ") {
                return (code.trim().parse().unwrap(), said);
            }
            said += &line;
        }
    }

    #[track_caller]
    fn ok(&mut self, script: &str) -> String {
        let (code, said) = self.run(script);
        assert_eq!(code, 0, "{script}: {said}");
        said
    }

    /// Starts firewalld with a bus of its own.
    fn firewalld(&mut self) {
        self.ok("mkdir -p /run/dbus && dbus-uuidgen --ensure");
        self.ok("dbus-daemon --config-file=/etc/dbus-1/plain.conf --nofork --nopidfile >/run/bus.log 2>&1 &");
        eventually("the bus is there", || self.run("test -S /run/dbus/system_bus_socket").0 == 0);
        self.ok("firewalld --nofork --nopid >/run/firewalld.log 2>&1 &");
        eventually("firewalld runs", || self.run("firewall-cmd --state").0 == 0);
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // With its input the shell ends, with the shell all that it has started, and then its parent.
        drop(self.input.take());
        let _ = self.unshare.wait();
    }
}

/// Where `cargo xtask test` has put them: beneath the target directory that this test is in.
fn tree() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().map(|dir| dir.join("firewalls/root")).find(|path| path.is_dir());
    found.expect("target/firewalls is missing: `cargo xtask test` makes it")
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whoever connects is told how it is seen.
fn mirror(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip();
            let _ = write!(stream, "{peer}");
        }
    });
}

/// A host with containers, servers inside and outside, and a connection that lasts.
struct Town {
    world: World,
    web: Container,
    six: Container,
    _echo: Container,
    lasting: TcpStream,
}

impl Town {
    fn new(switch: Switch) -> Self {
        let world = World::with(switch);
        within(&world.host, || {
            Switch::pass_on(&world.switch).unwrap();
            Switch::watch(&world.switch).unwrap();
        });
        let lan = network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]);
        world.raise(&lan);
        let [web, six, echo] = [2, 3, 4].map(|n| {
            world.container(&lan, &format!("c{n}"), &[&format!("10.1.0.{n}/24"), &format!("fd00:10:1::{n}/64")])
        });
        web.serve(80);
        six.serve(80);
        world.publish(&web, 80, "0.0.0.0", 8080);
        world.publish(&six, 80, "::", 8081);
        world.publish_as(Protocol::Tcp, &echo, 7, ("0.0.0.0", 7000));
        for address in [OUTSIDE, OUTSIDE6] {
            mirror(within(&world.outside, || TcpListener::bind(at(address, 90)).unwrap()));
        }
        mirror(within(&world.host, || TcpListener::bind(at(HOST, 2222)).unwrap()));
        let listener = within(&echo.netns, || TcpListener::bind("0.0.0.0:7").unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        });
        let lasting = within(&world.outside, || TcpStream::connect(at(HOST, 7000)).unwrap());
        lasting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { world, web, six, _echo: echo, lasting }
    }

    /// Containers reach out, published ports are reached, others are not, and what was begun goes on.
    #[track_caller]
    fn is_well(&mut self, when: &str) {
        let Self { world, web, six, lasting, .. } = self;
        let seen = |from: &std::os::fd::OwnedFd, to: SocketAddr, as_whom: &str| {
            eventually(&format!("{when}: {to}"), || call(from, to, Duration::from_secs(3)).is_ok());
            assert_eq!(reaches(from, to), as_whom.parse::<IpAddr>().unwrap(), "{when}: {to}");
        };
        seen(&web.netns, at(OUTSIDE, 90), HOST);
        seen(&web.netns, at(OUTSIDE6, 90), HOST6);
        seen(&world.outside, at(HOST, 8080), OUTSIDE);
        seen(&world.outside, at(HOST6, 8081), OUTSIDE6);
        seen(&six.netns, at("10.1.0.2", 80), "10.1.0.3");
        reaches(&world.host, at("127.0.0.1", 8080));
        is_closed(&world.outside, at("10.1.0.2", 80));
        is_closed(&world.outside, at("fd00:10:1::2", 80));
        let mut byte = [0];
        lasting.write_all(b"x").and_then(|()| lasting.read_exact(&mut byte)).unwrap_or_else(|error| {
            panic!("{when}: the connection has ended: {error}");
        });
    }
}

#[test]
fn debians_ufw_cuts_no_container_off() {
    let mut town = Town::new(Switch::new("hull-test"));
    let mut shell = Shell::on(&town.world);
    town.is_well("without ufw");
    for words in ["--force enable", "reload", "--force disable"] {
        shell.ok(&format!("ufw {words}"));
        town.is_well(words);
        let filters = words != "--force disable";
        assert_eq!(shell.ok("ufw status").contains("Status: active"), filters);
        match filters {
            true => is_closed(&town.world.outside, at(HOST, 2222)),
            false => assert_eq!(reaches(&town.world.outside, at(HOST, 2222)), ip(OUTSIDE)),
        }
    }
    eventually("hull's rules among ufw's go with its policy", || !shell.ok("iptables -S FORWARD").contains("br-lan"));
}

#[test]
fn debians_ufw_is_obeyed_where_that_is_wanted() {
    let town = Town::new(Switch::new("hull-test").obeying());
    let mut shell = Shell::on(&town.world);
    let published = at(HOST, 8080);
    assert_eq!(reaches(&town.world.outside, published), ip(OUTSIDE));
    shell.ok("ufw --force enable");
    is_closed(&town.world.outside, published);
    shell.ok("ufw allow proto tcp from 203.0.113.0/24 to any port 8080");
    assert_eq!(reaches(&town.world.outside, published), ip(OUTSIDE));
    is_closed(&town.world.outside, at(HOST6, 8081));
    shell.ok("ufw allow 8081/tcp && ufw reload");
    assert_eq!(reaches(&town.world.outside, at(HOST6, 8081)), ip(OUTSIDE6));
    shell.ok("ufw delete allow proto tcp from 203.0.113.0/24 to any port 8080");
    is_closed(&town.world.outside, published);
}

#[test]
fn debians_firewalld_cuts_no_container_off() {
    let mut town = Town::new(Switch::new("hull-test"));
    let mut shell = Shell::on(&town.world);
    shell.firewalld();
    town.is_well("with firewalld");
    is_closed(&town.world.outside, at(HOST, 2222));
    shell.ok("firewall-cmd --reload");
    town.is_well("reloaded");
    is_closed(&town.world.outside, at(HOST, 2222));
}

#[test]
fn debians_firewalld_is_obeyed_where_that_is_wanted() {
    let town = Town::new(Switch::new("hull-test").obeying());
    let mut shell = Shell::on(&town.world);
    let published = at(HOST, 8080);
    shell.firewalld();
    is_closed(&town.world.outside, published);
    shell.ok("firewall-cmd --add-port=8080/tcp");
    assert_eq!(reaches(&town.world.outside, published), ip(OUTSIDE));
    // What was not said for good is forgotten at a reload.
    shell.ok("firewall-cmd --reload");
    is_closed(&town.world.outside, published);
}

#[test]
fn debians_firewalld_drops_what_answers_loopback6_past_the_bridge() {
    let mut town = Town::new(Switch::new("hull-test"));
    let file = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
    // KERNEL(br_netfilter): without it no bridged frame passes a ruleset, and this cannot be.
    if !std::path::Path::new(file).exists() {
        return;
    }
    within(&town.world.host, || {
        std::fs::write(file, "1").unwrap();
        town.world.switch.mend().unwrap();
    });
    town.world.publish(&town.six, 80, "::1", 8082);
    let by_loopback = at("::1", 8082);
    reaches(&town.world.host, by_loopback);
    let mut shell = Shell::on(&town.world);
    shell.firewalld();
    town.is_well("with firewalld, bridged frames in the ruleset");
    is_closed(&town.world.host, by_loopback);
    shell.ok("sed -i 's/^IPv6_rpfilter=.*/IPv6_rpfilter=no/' /etc/firewalld/firewalld.conf && firewall-cmd --complete-reload");
    eventually("it is not dropped", || call(&town.world.host, by_loopback, Duration::from_secs(3)).is_ok());
    town.is_well("without IPv6_rpfilter");
}
