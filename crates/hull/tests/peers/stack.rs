//! Compose with a stack of real services: nginx, redis and PostgreSQL of Debian's packages, in order of their health.
//!
//! Nothing of the test machine is listened on: each service is asked from inside the stack.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hull_testkit::{Host, Out, Watch, eventually, hull_binary, kill9, run, within};

const COMPOSE: &str = include_str!("stack/compose.yaml");
const KILLS: usize = 50;
const SQL: &str = "/usr/lib/postgresql/15/bin/psql -h db -U postgres -Atc";

/// Where `cargo xtask clients` has put this: beneath the target directory that this test is in.
pub(crate) fn fetched(path: &str) -> PathBuf {
    let found = hull_binary().ancestors().map(|dir| dir.join(path)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("target/{path} is missing: `cargo xtask clients` brings it"))
}

struct Stack {
    host: Host,
    /// What Compose speaks to.
    watch: Watch,
    program: PathBuf,
}

impl Stack {
    fn new() -> Self {
        let host = Host::new();
        let tar = fetched("services/services.tar");
        host.hull(&["import", tar.to_str().expect("UTF-8"), "postgres"]).ok();
        for name in ["redis", "nginx"] {
            host.hull(&["tag", "postgres", name]).ok();
        }
        std::fs::write(host.path().join("compose.yaml"), COMPOSE).expect("write");
        let program = crate::docker::oracle().join("usr/libexec/docker/cli-plugins/docker-compose");
        Self { watch: host.watch(), host, program }
    }

    fn try_to(&self, words: &[&str]) -> Out {
        let mut command = self.host.command(self.program.to_str().expect("UTF-8"));
        command
            .env("DOCKER_HOST", self.watch.address())
            .arg("-f")
            .arg(self.host.path().join("compose.yaml"))
            .args(["--progress", "quiet"])
            .args(words);
        run(&mut command, b"")
    }

    #[track_caller]
    fn ok(&self, words: &str) -> String {
        self.try_to(&words.split(' ').collect::<Vec<_>>()).ok()
    }

    /// What a shell in this service says.
    #[track_caller]
    fn asked(&self, service: &str, script: &str) -> String {
        self.try_to(&["exec", "-T", service, "sh", "-c", script]).ok()
    }

    /// Service and container of all there are; asked again when the engine was killed meanwhile.
    fn containers(&self) -> Vec<String> {
        let words = ["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}"];
        let mut listed = self.host.hull(&words);
        eventually("the containers are listed", || {
            if listed.code != 0 {
                listed = self.host.hull(&words);
            }
            listed.code == 0
        });
        let mut lines: Vec<String> = listed.ok().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn fill(&self) {
        self.asked("db", &format!("{SQL} \"create table goods (name text); insert into goods values ('tea')\""));
        self.asked("cache", "redis-cli set price 7");
        self.asked("web", "echo welcome >/pages/index.html");
    }

    /// Each service answers, by its name and from another one.
    #[track_caller]
    fn answers(&self) {
        assert_eq!(self.asked("cache", &format!("{SQL} 'select name from goods'")), "tea");
        assert_eq!(self.asked("web", "redis-cli -h cache get price"), "7");
        assert_eq!(self.asked("db", "busybox wget -qO- http://web/"), "welcome");
    }

    #[track_caller]
    fn is_gone(&self) {
        self.watch.is_content(10);
        for words in [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["network", "ls", "-q", "--filter", "type=custom"]]
        {
            assert_eq!(self.host.hull(words).ok(), "", "{words:?}");
        }
    }
}

#[test]
fn compose_runs_nginx_redis_and_postgres_in_order_of_their_health() {
    let stack = Stack::new();
    stack.ok("up -d --wait");
    let state = stack.ok("ps -a --format {{.Service}}:{{.State}}:{{.Health}}");
    assert_eq!(state, "cache:running:healthy\ndb:running:healthy\nowner:exited:\nweb:running:healthy");
    let started = |name: &str| stack.host.inspect(name)["State"]["StartedAt"].as_str().map(str::to_owned);
    assert!(started("shop-owner-1") < started("shop-db-1") && started("shop-db-1") < started("shop-web-1"));
    stack.fill();
    stack.answers();
    eventually("nginx logs the request", || stack.ok("logs web").contains("GET / HTTP/1.1"));
    assert_eq!(stack.ok("logs --no-log-prefix owner"), "owned");
    assert_eq!(stack.ok("--profile tools run --rm -T tool"), "PONG");
    stack.ok("up -d --wait --scale web=3 --no-recreate");
    assert_eq!(stack.ok("ps -q web").lines().count(), 3);
    stack.ok("up -d --wait --scale web=1 --no-recreate");
    stack.ok("restart db web");
    stack.ok("up -d --wait");
    stack.answers();
    // Without -v the volumes stay, and what the services had written there.
    stack.ok("down");
    assert_eq!(stack.host.hull(&["volume", "ls", "-q"]).ok(), "shop_db\nshop_pages");
    stack.ok("up -d --wait");
    stack.asked("cache", "redis-cli set price 7");
    stack.answers();
    stack.ok("down -v");
    stack.is_gone();
}

/// Numbers that differ from run to run; the first is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos());
        eprintln!("chance begins with {now}");
        Self(u64::from(now) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn the_stack_is_whole_after_the_engine_was_killed_fifty_times() {
    let stack = Stack::new();
    let (done, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    // A command that the kill met is said again, as a person would.
    let until_done = |words: &str| {
        within(Duration::from_secs(180), words, || stack.try_to(&words.split(' ').collect::<Vec<_>>()).code == 0);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut chance = Chance::new();
            while kills.load(Ordering::Relaxed) < KILLS && !done.load(Ordering::Relaxed) {
                // Half of them soon after the last one; the others have lived long enough to be followed at once.
                let soon = chance.below(2) == 0;
                thread::sleep(Duration::from_millis(if soon { chance.below(400) } else { 1000 + chance.below(400) }));
                kill9(stack.host.engine_pid());
                kills.fetch_add(1, Ordering::Relaxed);
            }
        });
        until_done("up -d --wait");
        let before = stack.containers();
        while kills.load(Ordering::Relaxed) < KILLS {
            until_done("exec -T web redis-cli -h cache ping");
            until_done("up -d --wait");
            until_done("ps -a");
            until_done("exec -T db busybox wget -qO- http://web/ready");
            assert_eq!(stack.containers(), before, "the same containers");
            until_done("restart -t 1 cache");
            until_done("stop -t 1 web");
            until_done("start web");
        }
        done.store(true, Ordering::Relaxed);
    });
    stack.ok("up -d --wait");
    stack.fill();
    stack.answers();
    assert_eq!(stack.ok("ps -aq").lines().count(), 4);
    stack.ok("down -v");
    stack.is_gone();
}
