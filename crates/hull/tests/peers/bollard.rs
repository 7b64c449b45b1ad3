//! bollard, the library by which programs in Rust speak to docker: what they do with it, and the tests that its crate ships.

mod shipped;

use std::time::{SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
    LogsOptionsBuilder, PushImageOptions, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
    TagImageOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};
use hull_testkit::{Host, RegistrySettings};
use tokio::io::AsyncWriteExt;

const SECONDS: u64 = 120;

#[test]
fn bollard_works_with_hull() {
    let host = Host::new();
    let _registry = host.registry(&RegistrySettings::default());
    let watch = host.watch();
    let docker = Docker::connect_with_unix(&watch.address(), SECONDS, bollard::API_DEFAULT_VERSION);
    let docker = docker.expect("the socket is there");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let all = async {
        let docker = docker.negotiate_version().await?;
        a_life(&docker).await?;
        inside(&docker).await?;
        images(&docker).await?;
        events(&docker).await
    };
    runtime.block_on(all).expect("bollard is content");
    watch.is_content(10);
    crate::clients::leaves_nothing(&host);
}

fn body(script: &str, host_config: HostConfig) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some("busybox".into()),
        cmd: Some(["sh", "-c", script].map(str::to_owned).into()),
        host_config: Some(host_config),
        ..Default::default()
    }
}

fn named(name: &str) -> Option<bollard::query_parameters::CreateContainerOptions> {
    Some(CreateContainerOptionsBuilder::default().name(name).build())
}

fn text(output: &[LogOutput]) -> String {
    output.iter().map(ToString::to_string).collect()
}

/// A container on a network and a volume of its own, with what it is told and what it says.
async fn a_life(docker: &Docker) -> Result<(), Error> {
    docker.create_volume(VolumeCreateRequest { name: Some("data".into()), ..Default::default() }).await?;
    docker.create_network(NetworkCreateRequest { name: "inner".into(), ..Default::default() }).await?;
    let place =
        HostConfig { binds: Some(vec!["data:/data".into()]), network_mode: Some("inner".into()), ..Default::default() };
    let mut wish = body("read line; echo got $line | tee /data/file; echo bad >&2", place);
    (wish.open_stdin, wish.stdin_once, wish.attach_stdin) = (Some(true), Some(true), Some(true));
    docker.create_container(named("one"), wish).await?;
    let how = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    let mut attached = docker.attach_container("one", Some(how)).await?;
    docker.start_container("one", None).await?;
    attached.input.write_all(b"word\n").await.expect("it reads");
    let seen = attached.output.try_collect::<Vec<_>>().await?;
    assert!(text(&seen).contains("got word"), "{seen:?}");
    let ended = docker.wait_container("one", None::<WaitContainerOptions>).try_collect::<Vec<_>>().await?;
    assert_eq!(ended.first().map(|end| end.status_code), Some(0));
    let how = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).build();
    let kept = docker.logs("one", Some(how)).try_collect::<Vec<_>>().await?;
    let errors: Vec<_> = kept.iter().filter(|piece| matches!(piece, LogOutput::StdErr { .. })).cloned().collect();
    assert_eq!((text(&errors).as_str(), text(&kept).contains("got word")), ("bad\n", true));
    let shown = docker.inspect_container("one", None).await?;
    let state = shown.state.and_then(|state| state.exit_code);
    assert_eq!(state, Some(0));
    docker.remove_container("one", None).await?;
    docker.remove_network("inner").await?;
    docker.remove_volume("data", None::<RemoveVolumeOptions>).await
}

/// A further process, its output and its exit code.
async fn inside(docker: &Docker) -> Result<(), Error> {
    docker.create_container(named("two"), body("exec sleep 1000", HostConfig::default())).await?;
    docker.start_container("two", None).await?;
    let wish = ExecConfig {
        cmd: Some(["sh", "-c", "cat; exit 7"].map(str::to_owned).into()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        ..Default::default()
    };
    let exec = docker.create_exec("two", wish).await?.id;
    let StartExecResults::Attached { output, mut input } = docker.start_exec(&exec, None).await? else {
        panic!("it is not attached");
    };
    input.write_all(b"typed").await.expect("it reads");
    input.shutdown().await.expect("it ends");
    let seen = output.try_collect::<Vec<_>>().await?;
    assert_eq!(text(&seen), "typed");
    assert_eq!(docker.inspect_exec(&exec).await?.exit_code, Some(7));
    docker.remove_container("two", Some(RemoveContainerOptionsBuilder::default().force(true).build())).await
}

/// An image goes to a registry and comes back.
async fn images(docker: &Docker) -> Result<(), Error> {
    const NAME: &str = "127.0.0.1:5000/box";
    let how = TagImageOptionsBuilder::default().repo(NAME).tag("1").build();
    docker.tag_image("busybox", Some(how)).await?;
    let name = format!("{NAME}:1");
    docker.push_image(&name, None::<PushImageOptions>, None).try_collect::<Vec<_>>().await?;
    docker.remove_image(&name, None::<RemoveImageOptions>, None).await?;
    let how = CreateImageOptionsBuilder::default().from_image(&name).build();
    docker.create_image(Some(how), None, None).try_collect::<Vec<_>>().await?;
    let tags = docker.inspect_image(&name).await?.repo_tags.unwrap_or_default();
    assert!(tags.contains(&name), "{tags:?}");
    docker.remove_image(&name, None::<RemoveImageOptions>, None).await.map(drop)
}

/// What happened so far is told.
async fn events(docker: &Docker) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()) + 1;
    let how = EventsOptionsBuilder::default().since("1").until(&now.to_string()).build();
    let told: Vec<_> = docker.events(Some(how)).map_ok(|event| event.action.unwrap_or_default()).try_collect().await?;
    for action in ["create", "attach", "start", "die", "destroy", "mount", "connect", "push", "pull"] {
        assert!(told.iter().any(|one| one == action), "{action}: {told:?}");
    }
    let pinged = docker.ping().await?;
    assert_eq!(pinged, "OK");
    let mut counted = docker.events(Some(EventsOptionsBuilder::default().since("1").until("2").build()));
    assert!(counted.next().await.is_none(), "nothing happened then");
    Ok(())
}
