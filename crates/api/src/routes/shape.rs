//! Answers as a version of the API has them: what it does not have yet is left out, what it has no longer as well.
//!
//! The engine's documents have every field of every version. Source: the Engine API's version history.

use hull_types::Fault;
use hull_wire as wire;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Major and minor number.
pub(super) type Version = (u16, u16);

/// The ends of the default network a second time, and what was never more than empty.
const BEFORE_1_52: [&str; 14] = [
    "Bridge",
    "HairpinMode",
    "LinkLocalIPv6Address",
    "LinkLocalIPv6PrefixLen",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
];

/// `GET /containers/{id}/json`.
pub(super) fn container(version: Version, document: &wire::ContainerInspectResponse) -> Result<Value, Fault> {
    let mut value = encoded(document)?;
    if version >= (1, 52) {
        without(&mut value["NetworkSettings"], |name, _| BEFORE_1_52.contains(&name));
        without(&mut value["Config"], |name, value| name == "OnBuild" && is_empty(value));
        without(&mut value["HostConfig"], |name, _| name == "KernelMemoryTCP");
    }
    Ok(value)
}

/// `GET /images/{name}/json`. Before 1.52 what is not set was written as empty, before 1.50 also what images do not have.
pub(super) fn image(version: Version, document: &wire::ImageInspect) -> Result<Value, Fault> {
    let mut value = encoded(document)?;
    if version < (1, 53) {
        without(&mut value, |name, _| name == "Identity");
    }
    if version >= (1, 52) {
        let optional = ["Parent", "Comment", "DockerVersion", "Author"];
        without(&mut value, |name, value| optional.contains(&name) && is_empty(value));
        return Ok(value);
    }
    let Some(config) = value["Config"].as_object_mut() else { return Ok(value) };
    let mut unset = |name: &str, empty: Value| {
        config.entry(name).or_insert(empty);
    };
    for name in ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"] {
        unset(name, Value::Null);
    }
    for name in ["User", "WorkingDir"] {
        unset(name, json!(""));
    }
    if version < (1, 50) {
        for name in ["Hostname", "Domainname", "Image"] {
            unset(name, json!(""));
        }
        for name in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
            unset(name, json!(false));
        }
    }
    Ok(value)
}

/// `GET /networks/{id}`.
pub(super) fn network(version: Version, mut document: wire::NetworkResource) -> wire::NetworkResource {
    if version < (1, 52) {
        document.status = None;
    }
    document
}

/// `GET /info`.
pub(super) fn info(version: Version, mut document: wire::SystemInfo) -> wire::SystemInfo {
    if version < (1, 49) {
        document.firewall_backend = None;
    }
    document
}

/// One of `GET /events`.
pub(super) fn event(version: Version, mut event: wire::EventMessage) -> wire::EventMessage {
    if version >= (1, 52) {
        [&mut event.status, &mut event.id, &mut event.from].into_iter().for_each(String::clear);
    }
    event
}

/// One of `GET /containers/{id}/stats`.
pub(super) fn stats(version: Version, mut sample: wire::ContainerStats) -> wire::ContainerStats {
    sample.os_type = if version >= (1, 52) { "linux".into() } else { String::new() };
    sample
}

/// `POST /containers/create` and `POST /containers/{id}/update`: what a version no longer has is one of the fields that nobody
/// knows. What would be missed is named in the warnings.
pub(super) fn create(version: Version, request: &mut wire::ContainerCreateRequest) -> Vec<String> {
    let mut warnings = Vec::new();
    if version < (1, 56) {
        request.host_config.umask = None;
    }
    if version < (1, 52) {
        return warnings;
    }
    request.host_config.resources.kernel_memory_tcp = 0;
    if !std::mem::take(&mut request.config.mac_address).is_empty() {
        warnings.push(
            "Config.MacAddress is ignored from API 1.52 on: give the address to the network's endpoint settings"
                .to_owned(),
        );
    }
    let bindings = request.host_config.port_bindings.iter();
    let unbound = bindings.filter(|(_, list)| list.as_ref().is_none_or(Vec::is_empty));
    let ports: Vec<&str> = unbound.map(|(port, _)| port.as_str()).collect();
    if !ports.is_empty() {
        // COMPAT(docker 29): its words.
        warnings.push(format!(
            "Following container port(s) have an empty list of port-bindings: {}. Such bindings will be discarded in a future version.",
            ports.join(", ")
        ));
    }
    warnings
}

/// As [`create`]. `document` tells an empty list, which takes the devices' limits away from 1.55 on, from none.
pub(super) fn update(version: Version, document: &Value, request: &mut wire::ContainerUpdateRequest) {
    if version >= (1, 52) {
        request.resources.kernel_memory_tcp = 0;
    }
    if version >= (1, 55) {
        let fields = document.as_object().into_iter().flatten();
        let emptied =
            fields.filter(|(name, value)| name.starts_with("Blkio") && value.as_array().is_some_and(Vec::is_empty));
        request.emptied = emptied.map(|(name, _)| name.clone()).collect();
    }
}

/// A document as a value.
pub(super) fn encoded(document: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(document).map_err(|error| Fault::internal("cannot encode the answer").cause(error))
}

fn without(value: &mut Value, goes: impl Fn(&str, &Value) -> bool) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, value| !goes(name, value));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => Map::is_empty(fields),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn a_containers_document_follows_the_version() {
        let document = wire::ContainerInspectResponse::default();
        let (old, new) = (container((1, 51), &document).unwrap(), container((1, 52), &document).unwrap());
        let (was, is) = (fields(&old["NetworkSettings"]), fields(&new["NetworkSettings"]));
        assert!(BEFORE_1_52.iter().all(|name| was.contains(name) && !is.contains(name)));
        assert_eq!(is.len(), was.len() - BEFORE_1_52.len());
        assert!(fields(&old["Config"]).contains(&"OnBuild") && !fields(&new["Config"]).contains(&"OnBuild"));
    }

    #[test]
    fn an_images_document_follows_the_version() {
        let identity = Some(wire::Identity { pull: vec![wire::PullIdentity { repository: "a".into() }] });
        let document = wire::ImageInspect { config: Some(Default::default()), identity, ..Default::default() };
        let at = |minor| image((1, minor), &document).unwrap();
        for (minor, name, there) in [
            (51, "Parent", true),
            (52, "Parent", false),
            (52, "Author", false),
            (52, "Architecture", true),
            (52, "Identity", false),
            (53, "Identity", true),
        ] {
            assert_eq!(fields(&at(minor)).contains(&name), there, "{name} in 1.{minor}");
        }
        assert_eq!(fields(&at(52)["Config"]), Vec::<&str>::new());
        assert_eq!((fields(&at(51)["Config"]).len(), fields(&at(49)["Config"]).len()), (8, 17));
    }

    #[test]
    fn a_request_has_the_fields_of_its_version() {
        let text = br#"{"MacAddress": "02:42:ac:11:00:02", "HostConfig": {"Umask": 63, "KernelMemoryTCP": 5, "PortBindings": {"80/tcp": []}}}"#;
        for (minor, umask, warned) in [(51, None, 0), (52, None, 2), (56, Some(63), 2)] {
            let mut request: wire::ContainerCreateRequest = wire::decode(text).unwrap();
            assert_eq!(create((1, minor), &mut request).len(), warned, "1.{minor}");
            assert_eq!(request.host_config.umask, umask);
            assert_eq!(request.config.mac_address.is_empty(), minor > 51);
            assert_eq!(request.host_config.resources.kernel_memory_tcp, if minor > 51 { 0 } else { 5 });
        }
    }

    #[test]
    fn an_empty_list_of_devices_is_not_the_same_as_none() {
        let document = json!({"BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": null, "BlkioWeightDevice": [{}]});
        for (minor, emptied) in [(54, vec![]), (55, vec!["BlkioDeviceReadBps".to_owned()])] {
            let mut request = wire::ContainerUpdateRequest::default();
            update((1, minor), &document, &mut request);
            assert_eq!(request.emptied, emptied, "1.{minor}");
        }
    }
}
