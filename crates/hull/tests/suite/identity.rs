//! Who the process is: user, groups, home, working directory, environment.

use hull_testkit::Host;

#[test]
fn users_resolve_as_dockers_do() {
    let host = Host::new();
    for (user, expected) in [
        ("app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),2001(more)"),
        ("1000", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),2001(more)"),
        ("1000:2000", "uid=1000(app) gid=2000(extra) groups=2000(extra)"),
        ("app:extra", "uid=1000(app) gid=2000(extra) groups=2000(extra)"),
        ("4242", "uid=4242 gid=0(root) groups=0(root)"),
        ("0", "uid=0(root) gid=0(root) groups=0(root)"),
        ("1:1", "uid=1 gid=1 groups=1"),
    ] {
        assert_eq!(host.sh(&["-u", user], "id"), expected, "{user}");
    }
}

#[test]
fn a_bad_user_is_refused_and_never_root() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    for user in ["nosuch", "4294967295", "4294967296", "-1", "app:nosuch", "2147483648"] {
        let out = host.hull(&["run", "--rm", &format!("--user={user}"), "busybox", "id", "-u"]);
        assert_ne!(out.code, 0, "{user}: {}", out.stdout);
        assert!(!out.stdout.contains('0'), "{user} became root");
        let out = host.hull(&["exec", &format!("--user={user}"), &id, "id", "-u"]);
        assert_ne!(out.code, 0, "exec {user}: {}", out.stdout);
    }
    assert_eq!(host.hull(&["exec", "-u", "1", &id, "id", "-u"]).ok(), "1");
    assert_eq!(
        host.hull(&["exec", "-u", "1234", &id, "id", "-u"]).ok(),
        "1234",
        "digits are always an id, as docker's, even where passwd has such a name"
    );
}

#[test]
fn groups_can_be_added() {
    let host = Host::new();
    assert_eq!(
        host.sh(&["-u", "app", "--group-add", "nogroup", "--group-add", "777"], "id -G"),
        "1000 777 2000 2001 65534"
    );
}

#[test]
fn the_environment_is_dockers() {
    let host = Host::new();
    let seen = host.hull(&["run", "--rm", "--hostname=h", "-e", "A=1", "-e", "HOME=/x", "busybox", "env"]).ok();
    assert_eq!(seen, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOSTNAME=h\nA=1\nHOME=/x");
    assert_eq!(host.sh(&["-u", "app"], "echo $HOME"), "/home/app");
    let mut command = host.command("hull");
    command.env("GIVEN", "yes").args([
        "run",
        "--rm",
        "-e",
        "GIVEN",
        "-e",
        "ABSENT",
        "busybox",
        "sh",
        "-c",
        "echo $GIVEN ${ABSENT-unset}",
    ]);
    assert_eq!(hull_testkit::run(&mut command, b"").ok(), "yes unset");
}

#[test]
fn the_working_directory_is_made_and_a_file_is_refused() {
    let host = Host::new();
    assert_eq!(host.hull(&["run", "--rm", "-w", "/new/deep", "busybox", "pwd"]).ok(), "/new/deep");
    let err = host.hull(&["run", "--rm", "-w", "/bin/busybox", "busybox", "pwd"]);
    assert_ne!(err.code, 0);
    assert!(
        err.stderr.contains("/bin/busybox") && err.stderr.to_lowercase().contains("not a directory"),
        "{}",
        err.stderr
    );
    let err = host.hull(&["run", "--rm", "-w", "relative", "busybox", "pwd"]).fails(125);
    assert!(err.contains("absolute"), "{err}");
    let id = host.sleeper(&[]);
    assert_eq!(host.hull(&["exec", "-w", "/tmp", &id, "pwd"]).ok(), "/tmp");
}
