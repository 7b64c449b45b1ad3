//! `--change`, as tables.

use super::*;

fn applied(changes: &[&str]) -> Result<RunConfig> {
    apply(&changes.iter().map(|change| (*change).to_owned()).collect::<Vec<_>>())
}

#[test]
fn every_instruction_does_what_a_dockerfile_does() {
    let config = applied(&[
        r#"CMD ["sh", "-c", "echo hi"]"#,
        "entrypoint exec run",
        "ENV A=1 B=\"two words\" C=$A",
        "ENV A the rest",
        "LABEL k=v other='x y'",
        "EXPOSE 80 443/udp 8000-8002",
        "USER nobody:nogroup",
        "VOLUME /data /more",
        r#"VOLUME ["/third"]"#,
        "WORKDIR /srv",
        "WORKDIR app/../web",
        "STOPSIGNAL SIGUSR1",
        "ONBUILD RUN make",
        "HEALTHCHECK --interval=5s --retries=3 CMD curl localhost",
    ])
    .unwrap();
    assert_eq!(config.cmd, ["sh", "-c", "echo hi"]);
    assert_eq!(config.entrypoint, ["/bin/sh", "-c", "exec run"]);
    assert_eq!(config.env, ["A=the rest", "B=two words", "C="]);
    assert_eq!(config.labels.get("other").map(String::as_str), Some("x y"));
    assert_eq!(
        config.exposed_ports.keys().collect::<Vec<_>>(),
        ["443/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]
    );
    assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/data", "/more", "/third"]);
    assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/srv/web", "nobody:nogroup"));
    assert_eq!((config.stop_signal.as_str(), config.on_build.len()), ("SIGUSR1", 1));
    let check = config.healthcheck.unwrap_or_default();
    assert_eq!(check.test, ["CMD-SHELL", "curl localhost"]);
    assert_eq!((check.interval, check.retries), (5_000_000_000, 3));
}

#[test]
fn what_docker_refuses_is_refused() {
    let long = format!("CMD {}", "x".repeat(1 << 20));
    for bad in [
        "",
        "CMD",
        "RUN true",
        "FROM scratch",
        "COPY a b",
        "ENV A",
        "ENV =x",
        "LABEL a='x",
        "EXPOSE 70000",
        "EXPOSE 80/icmp",
        "EXPOSE 9-8",
        "STOPSIGNAL NOPE",
        "HEALTHCHECK",
        "HEALTHCHECK CMD",
        "HEALTHCHECK --interval=x CMD a",
        "CMD a\u{7}b",
        &long,
    ] {
        assert!(applied(&[bad]).is_err(), "{bad:.40}");
    }
}
