//! Docker's reference grammar as a table, and the properties that hold for any text.

use proptest::prelude::*;

use super::ImageRef;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_normalise_as_docker_does() {
    let by_digest = format!("busybox@sha256:{HEX}");
    let by_both = format!("busybox:1@sha256:{HEX}");
    let rows = [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("hull/host", "docker.io/hull/host", "hull/host"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/a", "localhost/a", "localhost/a"),
        ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b"),
        ("ghcr.io/x/y-z__w.v", "ghcr.io/x/y-z__w.v", "ghcr.io/x/y-z__w.v"),
        ("Host/a", "Host/a", "Host/a"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
        ("a:5000", "docker.io/library/a:5000", "a:5000"),
    ];
    for (text, full, familiar) in rows {
        let parsed: ImageRef = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((parsed.full().as_str(), parsed.familiar().as_str()), (full, familiar), "{text}");
        assert_eq!(parsed.to_string().parse(), Ok(parsed));
    }
    assert_eq!(by_digest.parse::<ImageRef>().map(|r| r.familiar()), Ok(by_digest));
    assert_eq!(by_both.parse::<ImageRef>().map(|r| r.familiar()), Ok(by_both));
}

#[test]
fn malformed_references_are_refused_with_the_part_named() {
    let long = "a".repeat(300);
    let rows = [
        ("", "empty"),
        ("Busybox", "lowercase"),
        ("a b", "repository"),
        ("a//b", "repository"),
        ("../a", "registry"),
        ("a/..", "repository"),
        ("a:", "tag"),
        ("a:-b", "tag"),
        ("a@sha256:12", "digest"),
        ("a@", "digest"),
        ("a___b", "repository"),
        ("a..b", "repository"),
        ("-a", "repository"),
        ("a.-/b", "registry"),
        ("a\n", "repository"),
        ("a\0", "repository"),
        ("é", "repository"),
        (HEX, "image id"),
        (&long, "255"),
    ];
    for (text, part) in rows {
        let error = text.parse::<ImageRef>().expect_err(text).to_string();
        assert!(error.contains(part), "{text:?}: {error}");
        assert!(!error.contains(['\n', '\0']));
    }
}

#[test]
fn a_default_tag_is_added_only_where_nothing_is_named() {
    let rows = [("a", Some("latest")), ("a:b", Some("b"))];
    for (text, tag) in rows {
        assert_eq!(text.parse::<ImageRef>().unwrap().with_default_tag().tag(), tag);
    }
    let pinned: ImageRef = format!("a@sha256:{HEX}").parse().unwrap();
    assert_eq!(pinned.clone().with_default_tag(), pinned);
}

proptest! {
    #[test]
    fn any_text_is_a_reference_or_an_error(text in ".{0,80}") {
        if let Ok(parsed) = text.parse::<ImageRef>() {
            prop_assert_eq!(parsed.full().parse::<ImageRef>(), Ok(parsed.clone()));
            prop_assert_eq!(parsed.familiar().parse::<ImageRef>(), Ok(parsed));
        }
    }

    #[test]
    fn grammatical_references_survive_both_forms(
        text in "([a-z0-9]{1,8}\\.[a-z]{2,3}(:[0-9]{1,5})?/)?[a-z0-9]{1,9}((_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,9}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,20})?"
    ) {
        let parsed = text.parse::<ImageRef>().unwrap();
        prop_assert_eq!(parsed.full().parse::<ImageRef>(), Ok(parsed.clone()));
        prop_assert_eq!(parsed.familiar().parse::<ImageRef>(), Ok(parsed));
    }
}
