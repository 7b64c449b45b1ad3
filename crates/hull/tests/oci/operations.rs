//! pause, resume, update, events, ps, list: what is done to containers that run.

use hull_testkit::{cgroup_file, eventually, on_v2};
use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    pause_and_resume;
    a_paused_container_does_nothing;
    what_is_not_running_cannot_be_paused_and_what_is_not_paused_cannot_be_resumed;
    a_paused_container_can_be_killed_and_deleted;
    update_by_flags;
    update_from_a_file;
    update_from_stdin;
    update_with_a_value_that_is_none_is_refused;
    update_of_a_missing_container_is_refused;
    update_is_remembered.hull_only("each runtime keeps its state in its own form");
    events_stats_are_json.not_over(Runtime::Crun, "has no events");
    events_tell_what_the_host_counts.not_over(Runtime::Crun, "has no events");
    events_tell_of_interfaces.hull_only("runc tells of none that a bundle can have");
    events_go_on_until_the_end.not_over(Runtime::Crun, "has no events");
    ps_as_a_table;
    ps_as_json;
    ps_with_options.not_over(Runtime::Crun, "takes none");
    list_as_a_table;
    list_as_json;
    list_of_ids_only;
    list_of_nothing;
];

fn pause_and_resume(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.verb("pause", &[]).ok();
    assert_eq!(site.status(), "paused");
    site.verb("resume", &[]).ok();
    assert_eq!(site.status(), "running");
}

fn a_paused_container_does_nothing(rt: Runtime) {
    let mut site = Site::new(rt);
    site.args(&["sh", "-c", "n=0; while :; do n=$((n+1)); echo $n > /count; done"]);
    site.up();
    let count = || read(site.rootfs().join("count"));
    eventually("it counts", || !count().is_empty());
    site.verb("pause", &[]).ok();
    let first = count();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(count(), first);
    site.verb("resume", &[]).ok();
    eventually("it counts again", || count() != first);
}

fn what_is_not_running_cannot_be_paused_and_what_is_not_paused_cannot_be_resumed(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let out = site.verb("resume", &[]);
    assert!(out.code != 0 || rt == Runtime::Crun, "resumed what was not paused");
    site.stop();
    assert_ne!(site.verb("pause", &[]).code, 0);
    assert_ne!(site.verb("resume", &[]).code, 0);
}

fn a_paused_container_can_be_killed_and_deleted(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.verb("pause", &[]).ok();
    site.verb("delete", &["--force"]).ok();
    assert_eq!(site.status(), "");
}

const MEMORY: (&str, &str) = ("memory", "memory.limit_in_bytes");

fn update_by_flags(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let pid = site.pid();
    site.verb("update", &["--memory", "67108864", "--pids-limit", "44", "--cpu-share", "256"]).ok();
    assert_eq!(cgroup_file(pid, MEMORY, "memory.max"), "67108864");
    assert_eq!(cgroup_file(pid, ("pids", "pids.max"), "pids.max"), "44");
    if !on_v2() {
        assert_eq!(cgroup_file(pid, ("cpu", "cpu.shares"), ""), "256");
    }
    site.verb("update", &["--cpu-quota", "20000", "--cpu-period", "50000", "--cpuset-cpus", "0"]).ok();
    let quota = cgroup_file(pid, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert!(quota.starts_with("20000"), "{quota}");
    assert_eq!(cgroup_file(pid, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
    assert_eq!(cgroup_file(pid, MEMORY, "memory.max"), "67108864", "what is not named stays");
}

fn update_from_a_file(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let file = site.path().join("resources.json");
    let resources =
        json!({ "memory": { "limit": 83886080 }, "pids": { "limit": 33 }, "cpu": { "quota": 20000, "period": 50000 } });
    std::fs::write(&file, resources.to_string()).expect("write");
    site.verb("update", &["-r", &file.to_string_lossy()]).ok();
    assert_eq!(cgroup_file(site.pid(), MEMORY, "memory.max"), "83886080");
    assert_eq!(cgroup_file(site.pid(), ("pids", "pids.max"), "pids.max"), "33");
}

fn update_from_stdin(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let update =
        hull_testkit::run(&mut site.runtime(&["update", "-r", "-", &site.id]), b"{\"memory\":{\"limit\":83886080}}");
    if rt == Runtime::Crun && update.code != 0 {
        return;
    }
    update.ok();
    assert_eq!(cgroup_file(site.pid(), MEMORY, "memory.max"), "83886080");
}

fn update_with_a_value_that_is_none_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let before = cgroup_file(site.pid(), MEMORY, "memory.max");
    for flags in [["--memory", "lots"], ["--cpuset-cpus", "nonsense"], ["--wonder", "1"]] {
        assert_ne!(site.verb("update", &flags).code, 0, "{flags:?}");
    }
    assert_eq!(cgroup_file(site.pid(), MEMORY, "memory.max"), before);
}

/// Whoever reads the state finds the limits that hold, and what was not given as it was.
fn update_is_remembered(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["pids"] = json!({ "limit": 20 });
    site.config["linux"]["resources"]["cpu"] = json!({ "quota": 20000, "period": 50000 });
    site.up();
    let resources = || {
        let state: Value = serde_json::from_str(&read(site.root().join(&site.id).join("state.json"))).expect("JSON");
        state["config"]["linux"]["resources"].clone()
    };
    site.verb("update", &["--pids-limit", "44", "--memory", "64M"]).ok();
    let now = resources();
    assert_eq!((&now["pids"]["limit"], &now["memory"]["limit"]), (&json!(44), &json!(67_108_864)), "{now}");
    assert_eq!((&now["cpu"]["quota"], &now["devices"][0]["allow"]), (&json!(20000), &json!(false)), "{now}");
    assert_ne!(site.verb("update", &["--pids-limit", "45", "--cpuset-cpus", "9999"]).code, 0);
    assert_eq!(resources(), now, "a refused update is not remembered");
    assert_eq!(site.exec_sh(&[], "echo entered"), "entered");
}

fn update_of_a_missing_container_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    assert_ne!(site.verb("update", &["--pids-limit", "5"]).code, 0);
}

#[track_caller]
fn check_stats(event: &Value, id: &str) {
    assert_eq!(event["type"], "stats");
    assert_eq!(event["id"], id);
    let data = &event["data"];
    assert!(data["pids"]["current"].as_u64().is_some_and(|n| n >= 1), "{event}");
    assert!(data["memory"]["usage"]["usage"].as_u64().is_some_and(|n| n > 0), "{event}");
    assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|n| n > 0), "{event}");
    assert!(data["cpu"]["throttling"].is_object() && data["blkio"].is_object(), "{event}");
}

fn events_stats_are_json(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["resources"]["pids"] = json!({ "limit": 33 });
    site.up();
    let event: Value = serde_json::from_str(&site.verb("events", &["--stats"]).ok()).expect("JSON");
    check_stats(&event, &site.id);
    assert_eq!(event["data"]["pids"]["limit"], 33);
}

fn events_tell_what_the_host_counts(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let pid = site.pid();
    let event: Value = serde_json::from_str(&site.verb("events", &["--stats"]).ok()).expect("JSON");
    let data = &event["data"];
    let limit = cgroup_file(pid, MEMORY, "memory.max").parse().unwrap_or(u64::MAX);
    assert_eq!(data["memory"]["usage"]["limit"], limit, "{event}");
    if on_v2() {
        return;
    }
    for field in ["swap", "kernel", "kernelTCP"] {
        assert!(data["memory"][field]["limit"].is_u64(), "{field}: {event}");
    }
    let balanced: i64 = cgroup_file(pid, ("cpuset", "cpuset.sched_load_balance"), "").parse().expect("a number");
    assert_eq!(data["cpuset"]["sched_load_balance"], balanced, "{event}");
    let first: u64 = cgroup_file(pid, ("cpuset", "cpuset.cpus"), "")
        .split(['-', ','])
        .next()
        .expect("one")
        .parse()
        .expect("a number");
    assert_eq!(data["cpuset"]["cpus"][0], first, "{event}");
}

fn events_tell_of_interfaces(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let stats = || -> Value { serde_json::from_str(&site.verb("events", &["--stats"]).ok()).expect("JSON") };
    assert_eq!(stats()["data"]["network_interfaces"], Value::Null);
    let pid = site.pid().to_string();
    let mut add = std::process::Command::new("nsenter");
    add.args(["-t", &pid, "-n", "ip", "link", "add", "made0", "type", "veth", "peer", "name", "made1"]);
    hull_testkit::run(&mut add, b"").ok();
    let told = stats()["data"]["network_interfaces"].clone();
    let names: Vec<&str> = told.as_array().expect("a list").iter().filter_map(|one| one["Name"].as_str()).collect();
    assert!(names.contains(&"made0") && names.contains(&"made1") && !names.contains(&"lo"), "{told}");
    assert_eq!(told[0]["TxErrors"], 0, "{told}");
}

fn events_go_on_until_the_end(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let file = site.path().join("events");
    let mut command = site.runtime(&["events", "--interval", "100ms", &site.id]);
    let mut child = command.stdout(std::fs::File::create(&file).expect("create")).spawn().expect("spawn");
    eventually("there are events", || read(&file).lines().count() >= 2);
    for line in read(&file).lines().take(1) {
        check_stats(&serde_json::from_str(line).expect("JSON"), &site.id);
    }
    site.verb("delete", &["--force"]).ok();
    eventually("it ends with the container", || child.try_wait().expect("wait").is_some());
}

fn ps_as_a_table(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let pid = site.pid().to_string();
    let said = site.verb("ps", &[]).ok();
    let mut lines = said.lines();
    assert!(lines.next().is_some_and(|l| l.contains("PID")), "{said}");
    let line = lines.next().expect("a process");
    assert!(line.split_whitespace().any(|w| w == pid), "{said}");
    assert_eq!(lines.next(), None);
}

fn ps_as_json(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.exec(&["-d"], &["sleep", "1000"]).ok();
    let pids: Vec<u32> = serde_json::from_str(&site.verb("ps", &["--format", "json"]).ok()).expect("JSON");
    assert!(pids.len() == 2 && pids.contains(&site.pid()), "{pids:?}");
}

fn ps_with_options(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let said = site.oci(&["ps", &site.id, "-o", "pid,args"]).ok();
    assert!(said.lines().next().is_some_and(|l| l.trim_start().starts_with("PID") && l.contains("COMMAND")), "{said}");
    assert!(said.contains(&format!("{} sleep 1000", site.pid())), "{said}");
}

fn list_as_a_table(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let said = site.oci(&["list"]).ok();
    let mut lines = said.lines();
    let head: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    let expected: &[&str] = if rt == Runtime::Crun {
        &["NAME", "PID", "STATUS", "BUNDLE", "PATH", "CREATED", "OWNER"]
    } else {
        &["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    };
    assert_eq!(head, expected);
    let line: Vec<&str> = lines.next().expect("a container").split_whitespace().collect();
    assert_eq!(line[..4], [site.id.as_str(), &site.pid().to_string(), "running", &site.bundle().to_string_lossy()]);
    assert_eq!(line.last(), Some(&"root"));
}

fn list_as_json(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let list: Value = serde_json::from_str(&site.oci(&["list", "--format", "json"]).ok()).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["id"], json!(site.id));
    assert_eq!(list[0]["pid"], site.pid());
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["bundle"], json!(site.bundle()));
    assert_eq!(list[0]["owner"], "root");
}

fn list_of_ids_only(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert_eq!(site.oci(&["list", "-q"]).ok(), site.id);
    assert_eq!(site.oci(&["list", "--quiet"]).ok(), site.id);
}

fn list_of_nothing(rt: Runtime) {
    let site = Site::new(rt);
    let said = site.oci(&["list"]).ok();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(site.oci(&["list", "-q"]).ok(), "");
    let list: Value = serde_json::from_str(&site.oci(&["list", "-f", "json"]).ok()).expect("JSON");
    assert!(list.is_null() || list == json!([]), "{list}");
}
