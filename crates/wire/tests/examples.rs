//! The examples of Docker's API reference (up to API 1.56) decode, and what is encoded again says the same.

use hull_wire::{
    ContainerCreateRequest, ContainerUpdateRequest, ExecConfig, ExecInspect, HistoryItem, ImageDeleteItem, decode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes, encodes and decodes again: nothing is lost. Gives the value and its encoding.
fn round_trip<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &str) -> (T, Value) {
    let value: T = decode(text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let encoded = serde_json::to_vec(&value).unwrap();
    assert_eq!(decode::<T>(&encoded).unwrap(), value);
    (value, serde_json::from_slice(&encoded).unwrap())
}

/// Every member of `example` is in `encoded` with the same value, except those named, which docker does not have.
fn assert_kept(example: &Value, encoded: &Value, path: &str, ignored: &[&str]) {
    match (example, encoded) {
        (Value::Object(example), Value::Object(encoded)) => {
            for (key, value) in example {
                let path = format!("{path}.{key}");
                let empty = matches!(value, Value::Object(map) if map.is_empty())
                    || matches!(value, Value::Array(list) if list.is_empty());
                match encoded.get(key) {
                    _ if ignored.contains(&key.as_str()) => {}
                    Some(Value::Null) if empty => {}
                    None if empty || *value == Value::Bool(false) => {}
                    Some(kept) => assert_kept(value, kept, &path, ignored),
                    None => panic!("{path} is lost"),
                }
            }
        }
        (Value::Array(example), Value::Array(encoded)) if example.len() == encoded.len() => {
            for (index, (value, kept)) in example.iter().zip(encoded).enumerate() {
                assert_kept(value, kept, &format!("{path}[{index}]"), ignored);
            }
        }
        (example, encoded) => assert_eq!(example, encoded, "{path}"),
    }
}

#[test]
fn a_create_request_keeps_every_member() {
    let text = include_str!("examples/create.json");
    let (request, encoded) = round_trip::<ContainerCreateRequest>(text);
    assert_eq!(request.config.image, "ubuntu");
    assert_eq!(request.config.entrypoint.as_deref(), Some(&[String::new()][..]));
    assert_eq!(request.config.stop_timeout, Some(10));
    assert_eq!(request.host_config.resources.memory_swappiness, Some(60));
    assert_eq!(request.host_config.resources.cpu_shares, 512);
    assert!(request.host_config.auto_remove && request.host_config.masked_paths.is_none());
    assert!(request.networking_config.endpoints_config.contains_key("isolated_nw"));
    // The reference's own mistakes: members which docker does not have, and an entry point that is a string.
    let ignored = ["MaximumIOps", "MaximumIOBps", "DeviceIDs\"", "Entrypoint"];
    assert_kept(&serde_json::from_str(text).unwrap(), &encoded, "", &ignored);
}

#[test]
fn the_other_examples_keep_every_member() {
    fn check<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &str) {
        let (_, encoded) = round_trip::<T>(text);
        assert_kept(&serde_json::from_str(text).unwrap(), &encoded, "", &[]);
    }
    check::<ContainerUpdateRequest>(include_str!("examples/update.json"));
    check::<ExecConfig>(include_str!("examples/exec-create.json"));
    check::<ExecInspect>(include_str!("examples/exec-inspect.json"));
    check::<Vec<HistoryItem>>(include_str!("examples/history.json"));
    check::<Vec<ImageDeleteItem>>(include_str!("examples/image-delete.json"));
}

#[test]
fn null_and_absent_are_zero_values_and_unknown_members_are_ignored() {
    let nulls = r#"{"Hostname":null,"Env":null,"Cmd":null,"Labels":null,"StopTimeout":null,"Tty":null,"Future":{"x":[1]},
        "HostConfig":{"Binds":null,"Memory":null,"RestartPolicy":null,"PortBindings":{"80/tcp":null},"PidsLimit":null,
        "Init":null,"Mounts":null,"LogConfig":{"Type":null,"Config":null}},"NetworkingConfig":null}"#;
    let mut decoded: ContainerCreateRequest = decode(nulls.as_bytes()).unwrap();
    assert_eq!(decoded.host_config.port_bindings.remove("80/tcp"), Some(None));
    assert_eq!(decoded, ContainerCreateRequest::default());
    assert_eq!(decode::<ContainerCreateRequest>(b"{}").unwrap(), ContainerCreateRequest::default());
}

#[test]
fn a_wrong_type_is_refused_and_its_field_is_named() {
    let rows = [
        (r#"{"Image":1}"#, "`Image`"),
        (r#"{"Tty":"yes"}"#, "`Tty`"),
        (r#"{"Env":["a",1]}"#, "`Env.1`"),
        (r#"{"Env":{"a":"b"}}"#, "`Env`"),
        (r#"{"Cmd":5}"#, "`Cmd`"),
        (r#"{"HostConfig":{"Memory":"64m"}}"#, "`HostConfig.Memory`"),
        (r#"{"HostConfig":{"Memory":1.5}}"#, "`HostConfig.Memory`"),
        (r#"{"HostConfig":{"Memory":99999999999999999999}}"#, "`HostConfig.Memory`"),
        (r#"{"HostConfig":{"BlkioWeight":70000}}"#, "`HostConfig.BlkioWeight`"),
        (r#"{"HostConfig":{"Ulimits":[{"Name":"x","Soft":"y"}]}}"#, "`HostConfig.Ulimits.0.Soft`"),
        (r#"{"HostConfig":[]}"#, "`HostConfig`"),
        (r#"{"Labels":{"a":1}}"#, "`Labels"),
        (r#"[]"#, "wrong shape"),
        (r#""x""#, "wrong shape"),
        (r#"{"Image":"#, "malformed"),
        (r#"{"Image":"a"} x"#, "malformed"),
        ("", "malformed"),
    ];
    for (text, part) in rows {
        let error = decode::<ContainerCreateRequest>(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(part) && !error.contains('\n') && error.len() < 400, "{text}: {error}");
    }
}

#[test]
fn deep_and_huge_documents_are_refused_quickly() {
    for (open, close) in [("[", "]"), (r#"{"HostConfig":"#, "}")] {
        let deep = open.repeat(100_000) + "1" + &close.repeat(100_000);
        assert!(decode::<ContainerCreateRequest>(deep.as_bytes()).is_err());
    }
    let wide = format!(r#"{{"Env":[{}"x"],"Image":1}}"#, r#""a=b","#.repeat(200_000));
    let begun = std::time::Instant::now();
    assert!(decode::<ContainerCreateRequest>(wide.as_bytes()).is_err());
    assert!(begun.elapsed().as_secs() < 60);
}

#[test]
fn empty_values_are_encoded_as_docker_encodes_them() {
    let encoded = serde_json::to_value(ContainerCreateRequest::default()).unwrap();
    let rows = [
        ("/Env", Some("[]")),
        ("/Cmd", Some("null")),
        ("/Volumes", Some("null")),
        ("/StopSignal", None),
        ("/ExposedPorts", None),
        ("/HostConfig/Binds", Some("null")),
        ("/HostConfig/CapAdd", Some("null")),
        ("/HostConfig/Dns", Some("[]")),
        ("/HostConfig/PidsLimit", Some("null")),
        ("/HostConfig/Tmpfs", None),
        ("/HostConfig/Init", None),
        ("/HostConfig/ConsoleSize", Some("[0,0]")),
        ("/HostConfig/PortBindings", Some("{}")),
        ("/HostConfig/RestartPolicy/MaximumRetryCount", Some("0")),
    ];
    for (pointer, expected) in rows {
        assert_eq!(encoded.pointer(pointer).map(Value::to_string).as_deref(), expected, "{pointer}");
    }
}
