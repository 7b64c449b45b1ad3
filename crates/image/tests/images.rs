//! Importing, loading, naming and removing images.

mod fixture;

use std::collections::BTreeMap;
use std::io::Read;

use fixture::{Ground, archive, config, digest_name, docker_archive, gzip, layer, oci_archive};
use hull_image::{Error, HOST_IMAGE, ImportOptions, Progress, RemoveOptions, Removed, Use};
use hull_types::Digest;
use serde_json::json;

fn named(name: &str) -> ImportOptions {
    ImportOptions { reference: name.to_owned(), ..ImportOptions::default() }
}

fn quiet(_: Progress) {}

#[test]
fn an_imported_root_file_system_is_an_image() {
    let ground = Ground::new();
    let options = ImportOptions {
        reference: "busybox".to_owned(),
        changes: vec!["CMD [\"sh\"]".to_owned(), "ENV A=1".to_owned()],
        message: "made by hand".to_owned(),
        ..ImportOptions::default()
    };
    let image = ground.images.import(&gzip(&layer(&[("bin/sh", "x"), ("etc/passwd", "root")]))[..], &options).unwrap();
    assert_eq!((image.tags.as_slice(), image.size), (&["busybox:latest".to_owned()][..], 5));
    assert_eq!(
        (image.config.config.cmd.as_slice(), image.config.config.env.as_slice()),
        (&["sh".to_owned()][..], &["A=1".to_owned()][..])
    );
    assert_eq!(image.config.comment, "made by hand");
    assert_eq!(image.config.rootfs.diff_ids.len(), 1);
    assert_eq!(ground.read(&image, "etc/passwd"), "root");
    let hex = image.id.hex();
    for text in
        ["busybox", "busybox:latest", "docker.io/library/busybox", hex, &hex[..12], &hex[..3], image.id.as_str()]
    {
        assert_eq!(ground.images.resolve(text).unwrap().id, image.id, "{text}");
    }
    let history = ground.images.history("busybox").unwrap();
    assert_eq!((history.len(), history[0].id, history[0].size), (1, Some(image.id), 5));
    let again = ground.reopened();
    let image = again.images.resolve("busybox").unwrap();
    assert_eq!((image.id.hex(), again.read(&image, "bin/sh").as_str()), (hex, "x"));
}

#[test]
fn what_is_wrong_with_an_import_is_said_before_anything_is_read() {
    struct Never;
    impl Read for Never {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("nothing may be read");
        }
    }
    let ground = Ground::new();
    for options in [
        named("UPPER"),
        named("a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        named(HOST_IMAGE),
        ImportOptions { changes: vec!["RUN true".to_owned()], ..named("a") },
        ImportOptions { platform: "a/b/c/d".to_owned(), ..named("a") },
    ] {
        assert!(ground.images.import(Never, &options).is_err(), "{options:?}");
    }
}

#[test]
fn a_failed_import_leaves_nothing() {
    let ground = Ground::new();
    let whole = layer(&[("a", "b")]);
    let before = ground.files();
    for bad in [
        &b"this is no archive at all, but it is long enough to be looked at"[..],
        &whole[..700],
        b"\x1f\x8b\x08\x00garbage",
    ] {
        assert!(ground.images.import(bad, &named("bad")).is_err());
        ground.sweep();
        assert_eq!(ground.files(), before);
        assert!(matches!(ground.images.resolve("bad"), Err(Error::NoSuchImage(_))));
    }
}

#[test]
fn a_docker_archive_brings_its_images() {
    let ground = Ground::new();
    let base = layer(&[("base", "1"), ("gone", "x")]);
    let top = layer(&[("top", "2"), (".wh.gone", "")]);
    let bytes = docker_archive(&[
        (config(&[&base, &top]), vec![base.clone(), top], vec!["two:a", "two:b"]),
        (config(&[&base]), vec![base.clone()], vec!["one:latest"]),
    ]);
    let loaded = ground.images.load(&bytes[..], &quiet).unwrap();
    assert_eq!(
        loaded.iter().map(|image| image.tags.clone()).collect::<Vec<_>>(),
        [vec!["two:a".to_owned(), "two:b".to_owned()], vec!["one:latest".to_owned()]]
    );
    let two = ground.images.resolve("two:b").unwrap();
    let one = ground.images.resolve("one").unwrap();
    assert_eq!((ground.read(&two, "base").as_str(), ground.read(&two, "top").as_str()), ("1", "2"));
    assert!(!ground.exists(&two, "gone") && ground.exists(&one, "gone"));
    assert_eq!(ground.count("layers"), 2, "the shared layer is stored once");
    assert_eq!(two.layers()[0], one.layers()[0]);
    // Once more changes nothing.
    let files = ground.files();
    assert_eq!(ground.images.load(&gzip(&bytes)[..], &quiet).unwrap(), loaded);
    assert_eq!(ground.files(), files);
}

#[test]
fn links_in_a_docker_archive_are_other_names_of_layers() {
    let ground = Ground::new();
    let base = layer(&[("base", "1")]);
    let config = config(&[&base]);
    let manifest = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["x/layer.tar"]}]).to_string();
    let bytes = fixture::with_link(
        &[("real.tar", &base), ("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())],
        ("x/layer.tar", "../real.tar"),
    );
    let loaded = ground.images.load(&bytes[..], &quiet).unwrap();
    assert_eq!(loaded[0].id, Digest::of(config.as_bytes()));
    assert!(ground.images.get(&loaded[0].id).unwrap().tags.is_empty(), "dangling");
}

#[test]
fn an_oci_layout_brings_its_images() {
    let ground = Ground::new();
    let base = layer(&[("base", "1")]);
    let zstd = fixture::zstd(&layer(&[("top", "2")]));
    let config = config(&[&base, &layer(&[("top", "2")])]);
    let bytes = oci_archive(
        config.as_bytes(),
        &[gzip(&base), zstd],
        &[("org.opencontainers.image.ref.name", "hub.example/app:v1")],
    );
    let loaded = ground.images.load(&bytes[..], &quiet).unwrap();
    assert_eq!((loaded.len(), loaded[0].tags.as_slice()), (1, &["hub.example/app:v1".to_owned()][..]));
    let image = ground.images.resolve("hub.example/app:v1").unwrap();
    assert_eq!((ground.read(&image, "base").as_str(), ground.read(&image, "top").as_str()), ("1", "2"));
}

#[test]
fn whatever_does_not_match_is_refused_and_nothing_stays() {
    let ground = Ground::new();
    let base = layer(&[("base", "1")]);
    let other = layer(&[("other", "1")]);
    let good = config(&[&base]);
    let oci = |config: &str, layers: &[Vec<u8>]| oci_archive(config.as_bytes(), layers, &[]);
    let manifest = |value: serde_json::Value| archive(&[("manifest.json", value.to_string().as_bytes())]);
    let twisted = |from: &str, to: &str| {
        let bytes = oci_archive(good.as_bytes(), std::slice::from_ref(&base), &[]);
        fixture::rename(&bytes, from, to)
    };
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("diffID of docker's", docker_archive(&[(config(&[&other]), vec![base.clone()], vec!["bad:1"])])),
        ("diffID of oci's", oci(&config(&[&other]), std::slice::from_ref(&base))),
        (
            "more layers than diffIDs",
            docker_archive(&[(good.clone(), vec![base.clone(), other.clone()], vec!["bad:1"])]),
        ),
        ("fewer layers than diffIDs", oci(&config(&[&base, &other]), std::slice::from_ref(&base))),
        (
            "a good and a bad image",
            docker_archive(&[
                (good.clone(), vec![base.clone()], vec!["bad:1"]),
                (config(&[&other]), vec![base.clone()], vec!["bad:2"]),
            ]),
        ),
        ("a blob with another's name", twisted(&digest_name(&base), &digest_name(b"else"))),
        ("no file of a layer", manifest(json!([{"Config": "c.json", "RepoTags": ["bad:1"], "Layers": ["gone"]}]))),
        ("an empty manifest", manifest(json!([]))),
        ("a manifest of another shape", manifest(json!({"a": 1}))),
        ("no index at all", archive(&[("hello", b"world")])),
        ("only the old form", archive(&[("repositories", b"{}")])),
        ("a name that is none", docker_archive(&[(good.clone(), vec![base.clone()], vec!["BAD:1"])])),
        ("the built-in image's name", docker_archive(&[(good.clone(), vec![base.clone()], vec![HOST_IMAGE])])),
        (
            "an index and manifest at once",
            archive(&[("index.json", json!({"manifests": [], "layers": [], "config": null}).to_string().as_bytes())]),
        ),
        (
            "a configuration above 4 MiB",
            docker_archive(&[(format!("{good}{}", " ".repeat(5 << 20)), vec![base.clone()], vec!["bad:1"])]),
        ),
        ("a configuration that is a list", docker_archive(&[("[]".to_owned(), vec![], vec!["bad:1"])])),
        (
            "an image for another system",
            docker_archive(&[(good.replace("linux", "windows"), vec![base.clone()], vec!["bad:1"])]),
        ),
        ("a configuration that is none", docker_archive(&[("[1]".to_owned(), vec![], vec!["bad:1"])])),
        ("a layer that leads out", {
            let evil = layer(&[("../evil", "1")]);
            docker_archive(&[(config(&[&evil]), vec![evil], vec!["bad:1"])])
        }),
        (
            "a name twice",
            [archive(&[("a", b"1")])[..1024].to_vec(), archive(&[("a", b"2"), ("manifest.json", b"[]")])].concat(),
        ),
    ];
    let before = ground.files();
    for (what, bytes) in rows {
        assert!(ground.images.load(&bytes[..], &quiet).is_err(), "{what}");
        ground.sweep();
        assert_eq!(ground.files(), before, "{what}");
        for name in ["bad:1", "bad:2"] {
            assert!(ground.images.resolve(name).is_err(), "{what}");
        }
    }
}

#[test]
fn another_platforms_image_is_refused_with_its_platform() {
    let ground = Ground::new();
    let index = json!({"manifests": [{"digest": Digest::of(b"x"), "size": 1, "platform": {"os": "linux", "architecture": "riscv64"}}]});
    let bytes = archive(&[("index.json", index.to_string().as_bytes())]);
    let error = ground.images.load(&bytes[..], &quiet).unwrap_err();
    assert!(error.to_string().ends_with("it is for linux/riscv64"), "{error}");
}

#[test]
fn a_name_moves_to_the_image_that_took_it() {
    let ground = Ground::new();
    let one = ground.import("app", &[("a", "1")]);
    let base = layer(&[("a", "2")]);
    let bytes = docker_archive(&[(config(&[&base]), vec![base], vec!["app:latest"])]);
    let told = std::sync::Mutex::new(Vec::new());
    ground.images.load(&bytes[..], &|progress| told.lock().unwrap().push(progress)).unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.contains(&Progress::Renamed { name: "app:latest".to_owned(), old: one.id.to_string() }));
    assert!(told.iter().any(|progress| matches!(progress, Progress::Layer { .. })));
    assert!(ground.images.get(&one.id).unwrap().tags.is_empty());
    let pruned = ground.images.prune(false, |_| false, Vec::new).unwrap();
    assert_eq!(pruned.removed[0], Removed::Deleted(one.id));
    assert!(ground.images.get(&one.id).is_none());
}

#[test]
fn removing_the_last_name_removes_the_image_and_only_its_own_layers() {
    let ground = Ground::new();
    let empty = ground.files();
    let base = layer(&[("base", "1")]);
    let top = layer(&[("top", "2")]);
    let bytes = docker_archive(&[
        (config(&[&base, &top]), vec![base.clone(), top], vec!["two:a", "two:b"]),
        (config(&[&base]), vec![base], vec!["one:latest"]),
    ]);
    ground.images.load(&bytes[..], &quiet).unwrap();
    let two = ground.images.resolve("two:a").unwrap();
    let options = RemoveOptions::default();
    assert_eq!(ground.images.remove("two:a", options, &[]).unwrap(), [Removed::Untagged("two:a".to_owned())]);
    assert_eq!(
        ground.images.remove("two:b", options, &[]).unwrap(),
        [Removed::Untagged("two:b".to_owned()), Removed::Deleted(two.id), Removed::Deleted(two.layers()[1])]
    );
    assert_eq!(ground.count("layers"), 1);
    assert!(matches!(ground.images.remove("two:b", options, &[]), Err(Error::NoSuchImage(_))));
    ground.images.remove("one", options, &[]).unwrap();
    ground.sweep();
    assert_eq!(ground.files(), empty);
    assert!(ground.reopened().images.list().is_empty());
}

#[test]
fn docker_s_conflicts() {
    let ground = Ground::new();
    let image = ground.import("app", &[("a", "1")]);
    let used =
        |running| vec![Use { container: "c".repeat(64), image: image.id, layers: image.layers().to_vec(), running }];
    let short = image.id.short();
    let (soft, hard) = (
        RemoveOptions { force: false, ..RemoveOptions::default() },
        RemoveOptions { force: true, ..RemoveOptions::default() },
    );
    let said = |text: &str, options, uses: &[Use]| ground.images.remove(text, options, uses).unwrap_err().to_string();
    assert_eq!(
        said("app", soft, &used(false)),
        format!(
            "conflict: unable to remove repository reference \"app\" (must force) - container cccccccccccc is using its referenced image {short}"
        )
    );
    assert_eq!(
        said(short, soft, &used(false)),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container cccccccccccc"
        )
    );
    assert_eq!(
        said(short, hard, &used(true)),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container cccccccccccc"
        )
    );
    ground.images.tag("app", "other:v2").unwrap();
    assert_eq!(
        said(short, soft, &[]),
        format!("conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories")
    );
    assert_eq!(ground.images.remove("app", soft, &used(true)).unwrap(), [Removed::Untagged("app:latest".to_owned())]);
    let removed = ground.images.remove(short, hard, &used(false)).unwrap();
    assert_eq!(removed, [Removed::Untagged("other:v2".to_owned()), Removed::Deleted(image.id)]);
    assert_eq!(ground.count("layers"), 1, "the stopped container still stands on it");
    assert_eq!(ground.images.collect(&used(false)).unwrap(), 0);
    assert!(ground.images.collect(&[]).unwrap() >= 1);
    assert_eq!(ground.count("layers"), 0);
}

#[test]
fn the_host_is_always_there_and_cannot_be_changed() {
    let ground = Ground::new();
    let host = ground.images.resolve(HOST_IMAGE).unwrap();
    assert!(host.is_host() && host.layers().is_empty());
    assert_eq!(ground.images.resolve("hull/host:latest").unwrap().id, host.id);
    assert_eq!(ground.images.resolve(host.id.short()).unwrap().id, host.id);
    assert_eq!((ground.images.built_in().id, ground.images.list().len()), (host.id, 0));
    assert_eq!(ground.images.history(HOST_IMAGE).unwrap().len(), 1);
    let force = RemoveOptions { force: true, ..RemoveOptions::default() };
    assert!(matches!(ground.images.remove(HOST_IMAGE, force, &[]), Err(Error::BuiltIn(_))));
    assert!(matches!(ground.images.tag(HOST_IMAGE, "mine"), Err(Error::BuiltIn(_))));
    ground.import("app", &[("a", "1")]);
    assert!(matches!(ground.images.tag("app", HOST_IMAGE), Err(Error::BuiltIn(_))));
}

#[test]
fn a_damaged_image_hides_no_other() {
    let ground = Ground::new();
    let one = ground.import("one", &[("a", "1")]);
    ground.import("two", &[("b", "2")]);
    let blob = ground.dir.path().join("content/blobs/sha256").join(one.id.hex());
    std::fs::write(blob, "{}").unwrap();
    let again = ground.reopened();
    assert!(again.images.resolve("two").is_ok());
    assert!(matches!(again.images.resolve("one"), Err(Error::NoSuchImage(_))));
    assert_eq!(again.images.collect(&[]).unwrap(), 0, "what is left of it stays");
    again.import("one", &[("a", "1")]);
    assert!(again.images.resolve("one").is_ok());
}

#[test]
fn names_and_ids_that_are_none_are_not_found() {
    let ground = Ground::new();
    ground.import("app", &[("a", "1")]);
    for text in ["x", "app:v2", "other/app", "fff", &"f".repeat(64), &format!("sha256:{}", "f".repeat(64))] {
        assert!(matches!(ground.images.resolve(text), Err(Error::NoSuchImage(_))), "{text}");
    }
    for text in ["", "../app", "app\0", "app\n", "sha256:", "sha256:zz", "ABC", &"a".repeat(1 << 20)] {
        let error = ground.images.resolve(text).unwrap_err();
        assert!(error.to_string().len() < 300, "{text:.20}");
    }
}

#[test]
fn loads_at_the_same_time_share_layers() {
    let ground = Ground::new();
    let base = layer(&[("base", "1")]);
    let top = |at: usize| layer(&[("top", &at.to_string())]);
    std::thread::scope(|scope| {
        for at in 0..6 {
            let (base, top, images) = (base.clone(), top(at), ground.images.clone());
            scope.spawn(move || {
                let name = format!("app:{at}");
                let bytes = docker_archive(&[(config(&[&base, &top]), vec![base, top], vec![&name])]);
                images.load(&bytes[..], &quiet).unwrap();
            });
        }
    });
    ground.sweep();
    assert_eq!(ground.count("layers"), 7);
    let tops: BTreeMap<String, String> = (0..6)
        .map(|at| (at.to_string(), ground.read(&ground.images.resolve(&format!("app:{at}")).unwrap(), "top")))
        .collect();
    assert!(tops.iter().all(|(at, top)| at == top));
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing() {
    use std::os::fd::{AsFd, AsRawFd};
    // A tmpfs that is attached nowhere, reached through its descriptor.
    let small = hull_mount::tmpfs(&[("size", Some("3m")), ("mode", Some("0755"))], 0).unwrap();
    let root = std::path::PathBuf::from(format!("/proc/self/fd/{}", small.as_fd().as_raw_fd()));
    let elsewhere = tempfile::tempdir().unwrap();
    let snapshots = hull_snapshot::Snapshots::open(&root).unwrap();
    let db = hull_records::Db::open(elsewhere.path().join("state.db")).unwrap();
    let images = hull_image::Images::open(&root, db, snapshots.clone()).unwrap();
    // Not compressible, so that neither the blob nor the layer fits twice.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(2 << 20)
    .collect();
    let archive = archive(&[("noise", &noise)]);
    let error = images.import(&archive[..], &named("big")).unwrap_err();
    let fault = hull_types::Fault::from(error);
    assert_eq!(fault.hint.as_deref(), Some("free some disk space"), "{fault:?}");
    snapshots.sweep().unwrap();
    images.sweep().unwrap();
    for directory in ["layers", "trash", "content/ingest", "content/blobs/sha256"] {
        assert_eq!(std::fs::read_dir(root.join(directory)).unwrap().count(), 0, "{directory}");
    }
    images.import(&layer(&[("small", "1")])[..], &named("small")).unwrap();
}

#[test]
fn a_held_image_keeps_its_layers() {
    let ground = Ground::new();
    let image = ground.import("app", &[("a", "1")]);
    let (_, hold) = ground.images.resolve_held("app").unwrap();
    let removed = ground.images.remove("app", RemoveOptions::default(), &[]).unwrap();
    assert_eq!(removed.last(), Some(&Removed::Deleted(image.id)));
    assert_eq!((ground.count("layers"), ground.images.collect(&[]).unwrap()), (1, 0));
    drop(hold);
    ground.images.collect(&[]).unwrap();
    assert_eq!(ground.count("layers"), 0);
}
