//! Docker's daemon, podman and hull on one host: each is reached and reaches out, whatever the others do.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hull_testkit::{Host, Out, Settings, busybox_tar, run, within};

use crate::docker::oracle;

/// What the others write to is the host's own, too.
const SETUP: &str =
    "for dir in /run /dev/shm /var/lib/cni; do [ ! -d $dir ] || mount -t tmpfs tmpfs $dir; done; mkdir /run/lock";
/// Serves `$0` as a page.
const SERVE: &str = "mkdir -p /www; echo $0 >/www/index.html; exec httpd -f -p 80 -h /www";
/// The host's address on its uplink, and that of the machine at the other end.
const HERE: &str = "10.99.0.1";
const THERE: &str = "10.99.0.2";
/// Asks that machine for its page.
const OUT: &str = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 10.99.0.2 80 | grep -x '[a-z]*'";

/// The host, and the machine beyond its uplink.
struct Shared {
    host: Host,
    beyond: [Child; 2],
    dockerd: Option<Child>,
}

impl Shared {
    fn new() -> Self {
        let host = Host::with(&Settings { setup: SETUP.into(), ..Settings::default() });
        let conf = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\n\
                    cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(host.path().join("containers.conf"), conf).expect("write");
        fs::create_dir_all(host.path().join("beyond")).expect("mkdir");
        fs::write(host.path().join("beyond/index.html"), "beyond\n").expect("write");
        let machine = start(Command::new("unshare").args(["--net", "sleep", "1000"]));
        let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = format!("/proc/{}/ns/net", machine.id());
        within(Duration::from_secs(20), "the machine is apart", || fs::read_link(&theirs).is_ok_and(|ns| ns != own));
        let page = host.path().join("beyond");
        let mut serve = Command::new("nsenter");
        serve.arg(format!("--net={theirs}")).args(["busybox", "httpd", "-f", "-p", "80", "-h"]).arg(page);
        let shared = Self { beyond: [start(&mut serve), machine], host, dockerd: None };
        let pid = shared.beyond[1].id();
        shared.on_host(&format!(
            "ip link add up0 type veth peer name up1; ip link set up1 netns {pid}; ip addr add {HERE}/24 dev up0; ip link set up0 up"
        ));
        let routes = format!(
            "ip link set lo up; ip addr add {THERE}/24 dev up1; ip link set up1 up
             ip route add 172.16.0.0/12 via {HERE}; ip route add 10.88.0.0/16 via {HERE}"
        );
        run(&mut shared.beyond(&routes), b"").ok();
        shared
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.host.engine_pid().to_string(), "-m", "-n", "--"]).current_dir("/");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{0}/usr/bin:{0}/usr/sbin:{path}:/usr/sbin:/sbin", oracle().display()));
        command
    }

    /// A script on the host.
    #[track_caller]
    fn on_host(&self, script: &str) -> String {
        run(self.inside().args(["sh", "-ec", script]), b"").ok()
    }

    /// A script on the machine beyond.
    fn beyond(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.beyond[1].id())).args(["--", "sh", "-ec", script]);
        command
    }

    fn cgroup(&self) -> String {
        format!("/{}-others", self.host.path().file_name().expect("a name").to_string_lossy())
    }

    fn start_docker(&mut self) {
        let dir = self.host.path().display().to_string();
        let flags = format!(
            "--data-root {dir}/docker --exec-root {dir}/exec --pidfile {dir}/docker.pid -H unix://{dir}/docker.sock
             --cgroup-parent {} --storage-driver overlay2 --feature containerd-snapshotter=false",
            self.cgroup()
        );
        let log =
            fs::File::options().append(true).create(true).open(self.host.path().join("docker.log")).expect("a log");
        let mut command = self.inside();
        command.arg(oracle().join("usr/sbin/dockerd")).args(flags.split_whitespace()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("dup")).stderr(log);
        self.dockerd = Some(command.spawn().expect("nsenter is installed"));
        let mut tries = 0;
        while self.try_docker("version").code != 0 {
            tries += 1;
            let log = || fs::read_to_string(self.host.path().join("docker.log")).unwrap_or_default();
            assert!(tries < 300, "dockerd does not answer; its log:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn stop_docker(&mut self) {
        if let Some(mut dockerd) = self.dockerd.take() {
            let _ = Command::new("kill").arg(dockerd.id().to_string()).status();
            let _ = dockerd.wait();
        }
    }

    fn try_docker(&self, words: &str) -> Out {
        let socket = format!("unix://{}/docker.sock", self.host.path().display());
        run(self.inside().args(["docker", "-H", &socket]).args(split(words)), b"")
    }

    fn try_podman(&self, words: &str) -> Out {
        let dir = self.host.path().display();
        let state = format!(
            "podman --root {dir}/podman/root --runroot {dir}/podman/run --tmpdir {dir}/podman/tmp --log-level error
             --network-config-dir {dir}/podman/networks --runtime runc"
        );
        let mut command = self.inside();
        command.env("CONTAINERS_CONF", self.host.path().join("containers.conf"));
        run(command.args(state.split_whitespace()).args(split(words)), b"")
    }

    fn hull(&self, words: &str) -> Out {
        self.host.hull(&split(words))
    }

    /// Starts a server of this name by each one's `run`.
    fn serve(&self, run: impl Fn(&str) -> Out, name: &str, flags: &str) {
        run(&format!("run -d --name {name} {flags} busybox sh -c @ {name}")).ok();
    }

    /// Each of these is served at its port of the host, for whoever asks.
    #[track_caller]
    fn served(&self, pages: &[(&str, u16)]) {
        for (name, port) in pages {
            for at in ["127.0.0.1", HERE] {
                self.page(
                    name,
                    &format!("from the host at {at}"),
                    |get| run(self.inside().args(["sh", "-c", get]), b""),
                    at,
                    *port,
                );
            }
            self.page(name, "from beyond", |get| run(&mut self.beyond(get), b""), HERE, *port);
            self.page(
                name,
                "from a container of hull",
                |get| self.host.hull(&["exec", "early", "sh", "-c", get]),
                HERE,
                *port,
            );
        }
    }

    #[track_caller]
    fn page(&self, expected: &str, from: &str, ask: impl Fn(&str) -> Out, at: &str, port: u16) {
        let get = get(at, port);
        let mut last = None;
        for _ in 0..20 {
            let out = ask(&get);
            if out.stdout.trim() == expected {
                return;
            }
            last = Some(out);
            std::thread::sleep(Duration::from_millis(200));
        }
        let rules = self.on_host("iptables-save; nft list ruleset; ip addr; ip route");
        panic!("{expected} at port {port}, {from}: {last:?}\n{rules}");
    }

    /// A container reaches the machine beyond, which knows no way back to it but that of the host's address.
    #[track_caller]
    fn reaches_out(&self, who: &str, exec: impl Fn(&str) -> Out) {
        self.page("beyond", who, |_| exec(&format!("exec {who} sh -c @out")), THERE, 80);
    }

    #[track_caller]
    fn hull_works(&self) {
        self.served(&[("early", 8081), ("late", 8084)]);
        self.reaches_out("early", |words| self.hull(words));
        self.reaches_out("late", |words| self.hull(words));
        let closed = format!("{}; exit 0", get(&self.address("quiet"), 80));
        assert_eq!(run(&mut self.beyond(&closed), b"").stdout, "", "nobody published that");
    }

    fn address(&self, name: &str) -> String {
        self.host.inspect(name)["NetworkSettings"]["IPAddress"].as_str().expect("an address").to_owned()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.dockerd.is_some() {
            self.try_docker("rm -f dockers");
            self.stop_docker();
        }
        self.try_podman("rm -f -a -t 0");
        self.beyond.iter_mut().for_each(|child| {
            let _ = child.kill();
            let _ = child.wait();
        });
        if let Ok(text) = fs::read_to_string(format!("/proc/{}/mountinfo", self.host.engine_pid())) {
            let own = format!("{}/", self.host.path().display());
            let mounts = text.lines().rev().filter_map(|line| line.split(' ').nth(4));
            for mount in mounts.filter(|at| at.starts_with(&own) || at.starts_with("/run/")) {
                run(self.inside().args(["umount", "-l", mount]), b"");
            }
        }
        let left = "ip link del up0
            ip -o link show type bridge | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' | grep -v '^br-' | while read -r it; do ip link del $it; done
            nft list tables | grep -v ' hull-' | while read -r it; do nft delete $it; done";
        run(self.inside().args(["sh", "-c", left]), b"");
        let name = self.cgroup();
        let script = format!("find /sys/fs/cgroup -depth -type d -path '*{name}*' -exec rmdir {{}} + 2>/dev/null");
        let _ = Command::new("sh").args(["-c", &script]).status();
    }
}

/// Words; `@` stands for the server's script, `@out` for the question of [`Shared::reaches_out`].
fn split(words: &str) -> Vec<&str> {
    let script = |word| match word {
        "@" => SERVE,
        "@out" => OUT,
        word => word,
    };
    words.split_whitespace().map(script).collect()
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("util-linux is installed")
}

fn get(at: &str, port: u16) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 3 {at} {port} | grep -x '[a-z]*'")
}

#[test]
fn docker_podman_and_hull_live_on_one_host() {
    let mut shared = Shared::new();
    shared.serve(|words| shared.hull(words), "early", "-p 8081:80");
    shared.serve(|words| shared.hull(words), "quiet", "");
    // COMPAT(docker 28): who turns forwarding on closes the chain; where it is on already docker leaves it open.
    shared.on_host("echo 0 >/proc/sys/net/ipv4/ip_forward");
    shared.start_docker();
    let policy = |shared: &Shared| shared.on_host("iptables -S FORWARD");
    assert!(policy(&shared).contains("-P FORWARD DROP"), "{}", policy(&shared));
    let tar = busybox_tar().display().to_string();
    shared.try_docker(&format!("import {tar} busybox")).ok();
    shared.try_podman(&format!("import {tar} busybox")).ok();
    shared.serve(|words| shared.hull(words), "late", "-p 8084:80");
    shared.serve(|words| shared.try_docker(words), "dockers", "-p 8082:80");
    let parent = format!("-p 8083:80 --cgroup-parent {}", shared.cgroup());
    shared.serve(|words| shared.try_podman(words), "podmans", &parent);

    // Docker's policy drops what comes for podman's containers: its owner lets that through, as docker says.
    shared.on_host("iptables -I DOCKER-USER -d 10.88.0.0/16 -j ACCEPT");
    let others = [("dockers", 8082), ("podmans", 8083)];
    shared.served(&others);
    shared.hull_works();
    shared.reaches_out("dockers", |words| shared.try_docker(words));
    shared.reaches_out("podmans", |words| shared.try_podman(words));
    // Networks of each that name no subnet.
    shared.hull("network create later").ok();
    shared.try_docker("network create dockers").ok();
    shared.try_podman("network create podmans").ok();
    let subnets = |text: &str| -> Vec<(u32, u32)> { text.split_whitespace().filter_map(range).collect() };
    let format = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
    let mut all = subnets(&shared.host.hull(&["network", "inspect", "bridge", "later", "--format", format]).ok());
    let docker = ["network", "inspect", "bridge", "dockers", "--format", format].join("\u{1}");
    let socket = format!("unix://{}/docker.sock", shared.host.path().display());
    all.extend(subnets(&run(shared.inside().args(["docker", "-H", &socket]).args(docker.split('\u{1}')), b"").ok()));
    all.extend(subnets(
        &shared.try_podman("network inspect podman podmans --format {{range.Subnets}}{{.Subnet}}{{end}}").ok(),
    ));
    assert_eq!(all.len(), 6, "{all:?}");
    for (index, one) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| one.1 < other.0 || other.1 < one.0), "{one:?} in {all:?}");
    }
    shared.hull("network rm later").ok();
    shared.try_docker("network rm dockers").ok();
    shared.try_podman("network rm podmans").ok();

    // Each goes and comes again, the others go on.
    shared.hull("engine restart").ok();
    shared.served(&others);
    shared.hull_works();
    shared.stop_docker();
    shared.served(&others[1..]);
    shared.hull_works();
    shared.start_docker();
    shared.try_docker("start dockers").ok();
    shared.served(&others);
    shared.hull_works();
    // As a host's owner begins anew: all of iptables is gone, and docker makes its own again.
    shared.stop_docker();
    shared.on_host("iptables -P FORWARD ACCEPT; iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X");
    shared.hull_works();
    shared.on_host("echo 0 >/proc/sys/net/ipv4/ip_forward");
    shared.start_docker();
    assert!(policy(&shared).contains("-P FORWARD DROP"), "{}", policy(&shared));
    shared.try_docker("start dockers").ok();
    shared.served(&others[..1]);
    shared.hull_works();
    shared.try_podman("rm -f -t 0 podmans").ok();
    shared.served(&others[..1]);
    shared.hull_works();
    shared.try_docker("rm -f dockers").ok();
    shared.hull_works();
    shared.hull("rm -f early late quiet").ok();
}

/// The first and the last address of a subnet of IPv4.
fn range(subnet: &str) -> Option<(u32, u32)> {
    let (address, prefix) = subnet.split_once('/')?;
    let first = address.parse::<std::net::Ipv4Addr>().ok()?.to_bits();
    let rest = u32::MAX.checked_shr(prefix.parse().ok()?).unwrap_or(0);
    Some((first, first | rest))
}
