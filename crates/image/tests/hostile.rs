//! Archives that mean harm, and archives with damage at random: refused or confined, and nothing stays.

mod fixture;

use fixture::{Ground, archive, config, docker_archive, gzip, layer, oci_archive, zstd};
use hull_archive::tar::{Entry, EntryKind, Writer};
use hull_image::Progress;
use proptest::prelude::*;

fn quiet(_: Progress) {}

/// A layer of entries without content.
fn entries(of: &[(EntryKind, &[u8], &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (kind, path, link) in of {
        let entry = Entry { kind: *kind, path: path.to_vec(), link: link.to_vec(), mode: 0o777, ..Entry::default() };
        writer.append(&entry, std::io::empty()).unwrap();
    }
    writer.finish().unwrap()
}

fn loaded(ground: &Ground, layer: &[u8]) -> bool {
    let bytes = docker_archive(&[(config(&[layer]), vec![gzip(layer)], vec!["hostile:1"])]);
    ground.images.load(&bytes[..], &quiet).is_ok()
}

#[test]
fn layers_reach_nothing_outside_however_they_name_it() {
    use EntryKind::{Directory, File, HardLink, Symlink};
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("canary"), "alive").unwrap();
    let out = outside.path().to_str().unwrap().as_bytes();
    let canary = [out, b"/canary"].concat();
    let up = [&b"../".repeat(40)[..], &canary[1..]].concat();
    let deep = b"d/".repeat(1_500);
    let long = b"n".repeat(4_097);
    let refused: Vec<(&str, Vec<u8>)> = vec![
        ("..", entries(&[(File, &up, b"")])),
        ("a hard link to the host", entries(&[(HardLink, b"h", &canary)])),
        ("a hard link upwards", entries(&[(HardLink, b"h", &up)])),
        ("a hard link through a link", entries(&[(Symlink, b"l", out), (HardLink, b"h", b"l/canary")])),
        ("a level too deep", entries(&[(Directory, &deep, b"")])),
        ("a name too long", entries(&[(File, &long, b"")])),
    ];
    for (what, layer) in refused {
        let ground = Ground::new();
        assert!(!loaded(&ground, &layer), "{what}");
        ground.sweep();
        assert_eq!((ground.count("layers"), ground.count("content/blobs/sha256")), (0, 0), "{what}");
    }
    let confined: Vec<(&str, Vec<u8>)> = vec![
        ("a file through a link", entries(&[(Symlink, b"l", out), (File, b"l/canary", b"")])),
        ("a directory over a link", entries(&[(Symlink, b"l", out), (Directory, b"l", b""), (File, b"l/canary", b"")])),
        ("a whiteout through a link", entries(&[(Symlink, b"l", out), (File, b"l/.wh.canary", b"")])),
        ("an opaque marker through a link", entries(&[(Symlink, b"l", out), (File, b"l/.wh..wh..opq", b"")])),
        ("an absolute name", entries(&[(File, &canary, b"")])),
    ];
    for (what, layer) in confined {
        let ground = Ground::new();
        // Refused or unpacked beneath the layer's own root: both are safe.
        _ = loaded(&ground, &layer);
        let left: Vec<_> = std::fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["canary"], "{what}");
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("canary")).unwrap(), "alive");
    let mut names = [0; 256];
    let marks = rustix::fs::listxattr(outside.path(), &mut names).unwrap_or(0);
    assert!(!names[..marks].windows(7).any(|word| word == b"overlay"), "no mark on the host's directory");
}

#[test]
fn documents_above_their_bound_are_refused() {
    let ground = Ground::new();
    let huge = format!("[{}]", " ".repeat(5 << 20));
    for name in ["manifest.json", "index.json"] {
        let error = ground.images.load(&archive(&[(name, huge.as_bytes())])[..], &quiet).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
    // Deep nesting costs no stack.
    let nested = "[".repeat(200_000);
    assert!(ground.images.load(&archive(&[("manifest.json", nested.as_bytes())])[..], &quiet).is_err());
}

/// Packed with a window of 2^`log` bytes.
fn with_window(plain: &[u8], log: u32) -> Vec<u8> {
    let mut to = zstd::Encoder::new(Vec::new(), 1).unwrap();
    to.window_log(log).unwrap();
    std::io::Write::write_all(&mut to, plain).unwrap();
    to.finish().unwrap()
}

#[test]
fn layers_with_large_windows_take_turns_and_nobody_waits_for_ever() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for image in 0..4 {
            let ground = &ground;
            scope.spawn(move || {
                // Each looks at the layers below, where its directory is.
                let name = |at| (format!("dir/{image}-{at}"), format!("{at}"));
                let plain: Vec<Vec<u8>> = (0..7).map(name).map(|(path, text)| layer(&[(&path, &text)])).collect();
                let packed = plain.iter().enumerate().map(|(at, one)| with_window(one, [25, 24, 20][at % 3])).collect();
                let layers: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
                let bytes = docker_archive(&[(config(&layers), packed, vec![&format!("turns:{image}")])]);
                ground.images.load(&bytes[..], &quiet).unwrap();
            });
        }
    });
    assert_eq!(ground.images.check(false).unwrap().broken, vec![]);
}

#[test]
fn a_zstd_stream_that_asks_for_much_memory_is_refused() {
    let ground = Ground::new();
    let plain = layer(&[("f", "x")]);
    let greedy = with_window(&plain, 27);
    let bytes = docker_archive(&[(config(&[&plain]), vec![greedy], vec!["greedy:1"])]);
    let error = ground.images.load(&bytes[..], &quiet).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

/// What happens to an archive on its way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Double(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        6 => (at(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Double(from, to)),
    ]
}

fn damaged(mut bytes: Vec<u8>, by: &[Damage]) -> Vec<u8> {
    for damage in by {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Double(from, to) => {
                let (from, to) = (from.index(bytes.len()) / 512 * 512, to.index(bytes.len()) / 512 * 512);
                let block: Vec<u8> = bytes[from..].iter().take(512).copied().collect();
                bytes.splice(to..to, block);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn damage_at_random_is_refused_whole_or_does_not_matter(
        by in proptest::collection::vec(damage(), 1..4),
        form in 0..3,
    ) {
        let (base, top) = (layer(&[("base", "1"), ("dir/a", "2")]), layer(&[("dir/.wh.a", ""), ("b", "3")]));
        let text = config(&[&base, &top]);
        let whole = match form {
            0 => docker_archive(&[(text, vec![gzip(&base), zstd(&top)], vec!["app:1"])]),
            1 => docker_archive(&[(text, vec![base, top], vec!["app:1"])]),
            _ => oci_archive(text.as_bytes(), &[base, top], &[("org.opencontainers.image.ref.name", "app:1")]),
        };
        let ground = Ground::new();
        match ground.images.load(&damaged(whole, &by)[..], &quiet) {
            // What was accepted is what its digests say.
            Ok(_) => prop_assert_eq!(ground.images.check(false).unwrap().broken, vec![]),
            Err(_) => {
                ground.sweep();
                let left = ["layers", "trash", "content/ingest", "content/blobs/sha256"].map(|dir| ground.count(dir));
                prop_assert_eq!(left, [0; 4]);
            }
        }
    }
}
