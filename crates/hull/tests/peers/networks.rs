//! The docker client and Docker Compose of Debian's 28 on hull's networks, with real traffic.

use std::process::Command;

use hull_testkit::{Host, Out, Watch, eventually, run};

const STACK: &str = r#"
name: nets
services:
  web:
    image: busybox
    command: [sh, -c, "mkdir /www; echo web >/www/index.html; exec httpd -f -p 3000 -h /www"]
    ports: ["8080:3000"]
    networks: {default: {}, inner: {aliases: [www]}}
    stop_grace_period: 0s
  db:
    image: busybox
    command: [sh, -c, "mkdir /www; echo db >/www/index.html; exec httpd -f -p 80 -h /www"]
    networks: {inner: {ipv4_address: 10.88.0.77}}
    stop_grace_period: 0s
  worker:
    image: busybox
    command: [sleep, "1000"]
    scale: 3
    stop_grace_period: 0s
networks:
  inner:
    internal: true
    ipam: {config: [{subnet: 10.88.0.0/24}]}
"#;

/// What it speaks to stands between it and the engine.
struct Client(Host, Watch);

impl Client {
    fn new() -> Self {
        let host = Host::new();
        let watch = host.watch();
        Self(host, watch)
    }

    fn try_to(&self, program: &str, words: &[&str]) -> Out {
        let program = crate::docker::oracle().join(program);
        assert!(program.is_file(), "{} is missing: `cargo xtask oracle fetch` brings it", program.display());
        let mut command = self.0.command(program.to_str().expect("UTF-8"));
        run(command.env("DOCKER_HOST", self.1.address()).args(words), b"")
    }

    #[track_caller]
    fn docker(&self, words: &[&str]) -> String {
        self.try_to("usr/bin/docker", words).ok()
    }

    #[track_caller]
    fn compose(&self, words: &str) -> String {
        let file = self.0.path().join("compose.yaml");
        let all: Vec<&str> = ["-f", file.to_str().expect("UTF-8")].into_iter().chain(words.split(' ')).collect();
        self.try_to("usr/libexec/docker/cli-plugins/docker-compose", &all).ok()
    }

    /// The page of a server, from the host that the engine lives in.
    fn page(&self, port: u16) -> String {
        let get = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 127.0.0.1 {port} | grep -x '[a-z]*'");
        let pid = self.0.engine_pid().to_string();
        run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "busybox", "sh", "-c", &get]), b"").stdout
    }
}

/// A command that prints the page at a name.
fn get(at: &str) -> String {
    format!("wget -qO- http://{at}/")
}

#[test]
fn compose_networks_reach_each_other_by_service_name() {
    let client = Client::new();
    let host = &client.0;
    std::fs::write(host.path().join("compose.yaml"), STACK).expect("write");
    client.compose("up -d");
    // By name, alias and fixed address; over the networks that they share and no others.
    let exec = |service: &str, script: &str| host.hull(&["exec", &format!("nets-{service}-1"), "sh", "-c", script]);
    eventually("both serve", || exec("web", &get("db")).code == 0 && exec("db", &get("www:3000")).code == 0);
    assert_eq!(exec("web", &get("db")).ok(), "db");
    assert_eq!(exec("web", &get("10.88.0.77")).ok(), "db");
    for name in ["web", "www", "nets-web-1"] {
        assert_eq!(exec("db", &get(&format!("{name}:3000"))).ok(), "web", "{name}");
    }
    assert_eq!(exec("worker", &get("web:3000")).ok(), "web");
    assert_ne!(exec("worker", "nslookup db 127.0.0.11").code, 0, "it is on another network");
    assert!(!exec("db", "ip route").ok().contains("default"), "an internal network leads nowhere");
    assert_eq!(client.page(8080).trim(), "web", "published");
    assert_eq!(client.compose("port web 3000"), "0.0.0.0:8080");
    // Each container of a scaled service is one of its addresses.
    let addresses = |many: usize| {
        eventually("the service has as many addresses", || {
            exec("web", "nslookup worker 127.0.0.11").stdout.matches("Address: 172.").count() == many
        });
    };
    addresses(3);
    client.compose("up -d --scale worker=1");
    addresses(1);
    let shown = client.docker(&["network", "inspect", "nets_inner", "--format", "{{.Internal}} {{len .Containers}}"]);
    assert_eq!(shown, "true 2");
    client.compose("down");
    assert_eq!(client.docker(&["network", "ls", "-q", "--filter", "type=custom"]), "");
    client.1.is_content(6);
}

#[test]
fn the_docker_client_makes_and_uses_networks() {
    let client = Client::new();
    let script = "mkdir /www; echo web >/www/index.html; exec httpd -f -p 3000 -h /www";
    client.docker(&["network", "create", "--subnet", "10.87.0.0/24", "--label", "a=b", "lan"]);
    let web = ["run", "-d", "--name", "web", "-p", "80:3000", "--network", "lan", "--ip", "10.87.0.9", "busybox"];
    client.docker(&[&web[..], &["sh", "-c", script]].concat());
    eventually("it is served at the published port", || client.page(80).trim() == "web");
    assert_eq!(client.docker(&["port", "web"]).lines().next(), Some("3000/tcp -> 0.0.0.0:80"));
    assert!(client.docker(&["ps"]).contains("0.0.0.0:80->3000/tcp"));
    let seen = client.docker(&["run", "--rm", "--network", "lan", "busybox", "sh", "-c", &get("web:3000")]);
    assert_eq!(seen, "web");
    let shown = client.docker(&["network", "inspect", "lan", "--format", "{{json .Containers}} {{.Labels}}"]);
    assert!(shown.contains("10.87.0.9/24") && shown.ends_with("map[a:b]"), "{shown}");
    client.docker(&["network", "create", "--internal", "inner"]);
    client.docker(&["network", "connect", "--alias", "www", "inner", "web"]);
    let seen = client.docker(&["run", "--rm", "--network", "inner", "busybox", "sh", "-c", &get("www:3000")]);
    assert_eq!(seen, "web");
    let two = ["run", "--rm", "--network", "name=lan,ip=10.87.0.50", "--network", "name=inner,alias=second", "busybox"];
    let seen = client.docker(&[&two[..], &["ip", "-4", "-o", "addr"]].concat());
    assert!(seen.contains("10.87.0.50/24") && seen.contains("eth1"), "{seen}");
    client.docker(&["network", "disconnect", "inner", "web"]);
    let names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(client.docker(&["inspect", "web", "--format", names]).trim(), "lan");
    let refused = client.try_to("usr/bin/docker", &["network", "rm", "lan"]);
    assert!(refused.stderr.contains("has active endpoints"), "{}", refused.stderr);
    client.docker(&["run", "-d", "--name", "peer", "busybox", "sleep", "1000"]);
    let linked = client.docker(&[
        "run",
        "--rm",
        "--link",
        "peer:db",
        "busybox",
        "sh",
        "-c",
        "ping -c 1 -w 20 db >&2 && echo $DB_NAME",
    ]);
    assert!(linked.ends_with("/db"), "{linked}");
    client.docker(&["rm", "-f", "web", "peer"]);
    let pruned = client.docker(&["network", "prune", "-f"]);
    assert!(pruned.contains("lan") && pruned.contains("inner"), "{pruned}");
    client.1.is_content(6);
}
