//! Docker Compose as a client of hull: a stack goes up, is looked at, changed, and comes down.

use std::path::{Path, PathBuf};

use hull_testkit::{Host, Out, Watch, run};

/// Ports are reached from a container, so that nothing of the test machine is listened on.
const STACK: &str = r#"
name: stack
services:
  web:
    image: busybox
    command: [sh, -c, "mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"]
    environment: {GREETING: hello}
    volumes: ["data:/data"]
    networks: [front, default]
    healthcheck: {test: ["CMD-SHELL", "wget -qO- http://localhost/"], interval: 200ms, timeout: 20s, retries: 200}
    stop_grace_period: 0s
  client:
    image: busybox
    command: [sh, -c, "wget -qO- http://web/; touch /data/mark; exec sleep 1000"]
    depends_on: {web: {condition: service_healthy}}
    volumes: ["data:/data"]
    stop_grace_period: 0s
volumes:
  data: {labels: {kind: test}}
networks:
  front: {}
"#;

struct Compose {
    host: Host,
    /// What Compose speaks to.
    watch: Watch,
    program: PathBuf,
}

impl Compose {
    fn new() -> Self {
        let host = Host::new();
        std::fs::write(host.path().join("compose.yaml"), STACK).expect("write");
        let program = crate::docker::oracle().join("usr/libexec/docker/cli-plugins/docker-compose");
        assert!(
            program.is_file(),
            "Docker Compose is missing: `cargo xtask oracle fetch` brings it from Debian's mirror"
        );
        Self { watch: host.watch(), host, program }
    }

    fn try_to(&self, words: &str) -> Out {
        let mut command = self.host.command(path(&self.program));
        command
            .env("DOCKER_HOST", self.watch.address())
            .args(["-f", path(&self.host.path().join("compose.yaml"))])
            .args(words.split(' '));
        run(&mut command, b"")
    }

    #[track_caller]
    fn ok(&self, words: &str) -> String {
        self.try_to(words).ok()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn compose_brings_a_stack_up_changes_it_and_takes_it_down() {
    let stack = Compose::new();
    let host = &stack.host;
    stack.ok("up -d --wait");
    assert_eq!(stack.ok("ps --format {{.Service}}:{{.State}}:{{.Health}}"), "client:running:\nweb:running:healthy");
    hull_testkit::eventually("the client was served", || stack.ok("logs client").contains("served"));
    assert!(stack.ok("exec -T web sh -c export").contains("GREETING='hello'"));
    assert_eq!(stack.try_to("exec -T client sh -c false").code, 1);
    hull_testkit::eventually("both have the volume", || stack.ok("exec -T web ls /data") == "mark");
    assert_eq!(host.hull(&["volume", "ls", "-q", "--filter", "label=kind=test"]).ok(), "stack_data");
    stack.ok("up -d --scale client=2");
    assert_eq!(stack.ok("ps -q client").lines().count(), 2);
    let before = host.inspect("stack-client-1")["State"]["StartedAt"].clone();
    stack.ok("restart client");
    assert_ne!(host.inspect("stack-client-1")["State"]["StartedAt"], before);
    stack.ok("stop web");
    assert_eq!(host.inspect("stack-web-1")["State"]["Status"], "exited");
    stack.ok("up -d");
    assert_eq!(stack.ok("ps --format {{.Service}} --status running"), "client\nweb");
    stack.ok("down -v");
    stack.watch.is_content(10);
    crate::clients::leaves_nothing(host);
}
