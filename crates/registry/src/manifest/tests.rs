//! Documents that are refused, and the choice among platforms.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(media_type: &str, text: &str) -> Result<Manifest> {
    let text = text.replace('#', &format!(r#""digest":"sha256:{HEX}","size":3"#));
    let bytes = text.into_bytes();
    Document { digest: Digest::of(&bytes), bytes, media_type: media_type.to_owned() }.parse("r")
}

#[test]
fn an_index_and_a_manifest_are_never_confused() {
    let index = r#"{"schemaVersion":2,"manifests":[{#}]}"#;
    let image = r#"{"schemaVersion":2,"config":{#},"layers":[{#},{#}]}"#;
    for media_type in [media::OCI_INDEX, media::DOCKER_LIST] {
        assert!(matches!(parse(media_type, index), Ok(Manifest::Index(_))));
        assert!(parse(media_type, image).is_err(), "a manifest under {media_type}");
    }
    for media_type in [media::OCI_MANIFEST, media::DOCKER_MANIFEST] {
        assert!(matches!(parse(media_type, image), Ok(Manifest::Image(found)) if found.layers.len() == 2));
        assert!(parse(media_type, index).is_err(), "an index under {media_type}");
    }
    assert!(matches!(parse("application/json", image), Ok(Manifest::Image(_))));
    for (media_type, text, part) in [
        (media::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, "at once"),
        (media::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[],"config":{#}}"#, "at once"),
        (
            media::OCI_MANIFEST,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":{#},"layers":[]}"#,
            "calls itself",
        ),
        ("", r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema version 1"),
        ("", r#"{"schemaVersion":2}"#, "neither"),
        ("", r#"[2]"#, "no JSON object"),
        ("", r#"{"schemaVersion":2,"config":{"digest":"sha256:x","size":1},"layers":[]}"#, "digest"),
        ("", r#"{"schemaVersion":2,"config":{#},"layers":[{"digest":"sha256:HEX","size":-1}]}"#, "digest"),
    ] {
        let error = parse(media_type, text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let deep = format!(r#"{{"schemaVersion":2,"x":{}}}"#, "[".repeat(100_000));
    assert!(parse("", &deep).is_err());
}

#[test]
fn sizes_out_of_range_are_refused() {
    let large = format!(r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{HEX}","size":4194305}},"layers":[]}}"#);
    assert!(parse("", &large).is_err());
    let negative = format!(
        r#"{{"schemaVersion":2,"config":{{#}},"layers":[{{"digest":"sha256:{HEX}","size":9223372036854775808}}]}}"#
    );
    assert!(parse("", &negative).is_err());
}

#[test]
fn the_nearest_variant_is_chosen() {
    let entry = |os: &str, architecture: &str, variant: &str| {
        format!(r#"{{#,"platform":{{"os":"{os}","architecture":"{architecture}","variant":"{variant}"}}}}"#)
    };
    let list = [
        entry("unknown", "unknown", ""),
        entry("linux", "arm", "v5"),
        entry("linux", "arm", "v6"),
        entry("linux", "arm", "v7"),
        entry("linux", "amd64", ""),
        entry("linux", "arm64", "v8"),
        entry("windows", "amd64", ""),
    ];
    let Ok(Manifest::Index(index)) =
        parse(media::OCI_INDEX, &format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(",")))
    else {
        panic!("an index")
    };
    for (wanted, found) in [
        ("linux/arm/v6", Some("linux/arm/v6")),
        ("linux/arm/v7", Some("linux/arm/v7")),
        ("linux/arm64", Some("linux/arm64")),
        ("linux/amd64", Some("linux/amd64")),
        ("linux/s390x", None),
    ] {
        let chosen = index.choose(&wanted.parse().unwrap());
        assert_eq!(chosen.ok().and_then(Entry::platform).map(|p| p.to_string()).as_deref(), found, "{wanted}");
    }
    let error = index.choose(&"linux/s390x".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("linux/arm/v6") && !error.contains("unknown"), "{error}");
}
