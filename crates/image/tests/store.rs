//! What leaves the store and what stays in it: saving, committing, pruning, counting, checking.

mod fixture;

use std::fs;
use std::path::Path;
use std::process::Command;

use fixture::{Ground, config, digest_name, docker_archive, gzip, layer, oci_archive, zstd};
use hull_image::{CommitOptions, Error, ImportOptions, Progress, RemoveOptions, Removed, Use};
use hull_types::Digest;
use serde_json::Value;

fn quiet(_: Progress) {}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn saved(ground: &Ground, of: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ground.images.save(&names(of)).unwrap().write(&mut bytes).unwrap();
    bytes
}

/// Two images that share a layer, compressed in different ways.
fn two(ground: &Ground) -> (Digest, Digest) {
    two_by(ground, zstd)
}

fn two_by(ground: &Ground, compress: fn(&[u8]) -> Vec<u8>) -> (Digest, Digest) {
    let (base, one, two) = (layer(&[("base", "bb")]), layer(&[("one", "1")]), layer(&[("two", "22")]));
    let compressed = |top: &[u8]| vec![gzip(&base), compress(top)];
    let archive = docker_archive(&[
        (config(&[&base, &one]), compressed(&one), vec!["app:one", "app:same"]),
        (config(&[&base, &two]), compressed(&two), vec!["reg.example:5000/team/two:2"]),
    ]);
    let loaded = ground.images.load(&archive[..], &quiet).unwrap();
    (loaded[0].id, loaded[1].id)
}

#[test]
fn what_is_saved_is_loaded_again_with_names_ids_and_layers() {
    let ground = Ground::new();
    let (one, two) = two(&ground);
    let bytes = saved(&ground, &["app", "reg.example:5000/team/two:2"]);
    assert_eq!(bytes, saved(&ground, &["app", "reg.example:5000/team/two:2"]), "the same every time");
    let fresh = Ground::new();
    let loaded = fresh.images.load(&bytes[..], &quiet).unwrap();
    let told: Vec<(Digest, Vec<String>)> = loaded.into_iter().map(|image| (image.id, image.tags)).collect();
    assert_eq!(told, [(one, names(&["app:one", "app:same"])), (two, names(&["reg.example:5000/team/two:2"]))]);
    assert_eq!(fresh.count("layers"), 3, "the shared layer is there once");
    let image = fresh.images.resolve("app:one").unwrap();
    assert_eq!((fresh.read(&image, "base"), fresh.read(&image, "one")), ("bb".to_owned(), "1".to_owned()));
}

#[test]
fn a_name_saves_itself_a_repository_all_its_tags_and_an_id_none() {
    let ground = Ground::new();
    let (one, _) = two(&ground);
    for (text, tags) in [("app:one", vec!["app:one"]), ("app", vec!["app:one", "app:same"]), (one.as_str(), vec![])] {
        let fresh = Ground::new();
        let loaded = fresh.images.load(&saved(&ground, &[text])[..], &quiet).unwrap();
        assert_eq!((loaded.len(), &loaded[0].tags), (1, &names(&tags)), "{text}");
    }
    assert!(matches!(ground.images.save(&names(&["app:one", "nothing"])), Err(Error::NoSuchImage(_))));
    assert!(matches!(ground.images.save(&names(&["hull/host"])), Err(Error::Unsupported(_))));
}

#[test]
fn an_oci_manifest_is_saved_as_it_came() {
    let ground = Ground::new();
    let base = layer(&[("f", "x")]);
    let archive = oci_archive(config(&[&base]).as_bytes(), &[base], &[("org.opencontainers.image.ref.name", "app:1")]);
    ground.images.load(&archive[..], &quiet).unwrap();
    let manifest = |bytes: &[u8]| {
        let mut reader = hull_archive::tar::Reader::new(bytes, hull_archive::Limits::default());
        while let Some(entry) = reader.next_entry().unwrap() {
            if entry.path == b"index.json" {
                let index: Value = serde_json::from_reader(&mut reader).unwrap();
                return index["manifests"][0]["digest"].clone();
            }
        }
        Value::Null
    };
    assert_eq!(manifest(&saved(&ground, &["app:1"])), manifest(&archive));
}

#[test]
fn a_damaged_blob_is_not_saved_as_if_it_were_whole() {
    let ground = Ground::new();
    let image = ground.import("app", &[("file", "content")]);
    let blobs = ground.dir.path().join("content/blobs/sha256");
    let layer = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path());
    let layer = layer.into_iter().find(|path| !path.ends_with(image.id.hex())).unwrap();
    flip(&layer, 600);
    let error = ground.images.save(&names(&["app"])).unwrap().write(std::io::sink()).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn skopeo_reads_both_forms_of_the_archive_and_hull_reads_skopeos() {
    let ground = Ground::new();
    // skopeo's docker archives cannot hold zstd.
    let (one, two) = two_by(&ground, gzip);
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("saved.tar"), saved(&ground, &["app:one", "reg.example:5000/team/two:2"])).unwrap();
    let skopeo = |from: &str, to: &str| {
        let out = Command::new("skopeo")
            .args(["--insecure-policy", "--tmpdir"])
            .arg(work.path())
            .args(["copy", "--quiet", from, to])
            .output()
            .expect("skopeo is installed by cargo xtask test");
        assert!(out.status.success(), "{from} → {to}: {}", String::from_utf8_lossy(&out.stderr));
    };
    // Both images by docker's index, and the layout by its own.
    skopeo(&format!("docker-archive:{}:app:one", at("saved.tar")), &format!("dir:{}", at("one")));
    skopeo(
        &format!("docker-archive:{}:reg.example:5000/team/two:2", at("saved.tar")),
        &format!("oci-archive:{}:two:2", at("oci.tar")),
    );
    fs::write(at("single.tar"), saved(&ground, &["reg.example:5000/team/two:2"])).unwrap();
    skopeo(&format!("oci-archive:{}", at("single.tar")), &format!("docker-archive:{}:again:1", at("docker.tar")));
    assert!(Path::new(&at("one")).join(one.hex()).exists(), "the configuration is the same bytes");
    for (file, tag) in [("oci.tar", "two:2"), ("docker.tar", "again:1")] {
        let fresh = Ground::new();
        let loaded = fresh.images.load(fs::File::open(at(file)).unwrap(), &quiet).unwrap();
        assert_eq!((loaded[0].id, &loaded[0].tags), (two, &names(&[tag])), "{file}");
        let image = fresh.images.resolve(tag).unwrap();
        assert_eq!(fresh.read(&image, "two"), "22");
    }
}

#[test]
fn a_commit_is_its_image_and_one_more_layer() {
    let ground = Ground::new();
    let base = ground.images.import(
        &layer(&[("base", "1")])[..],
        &ImportOptions {
            reference: "base".into(),
            changes: names(&["ENV A=1", "USER app"]),
            ..ImportOptions::default()
        },
    );
    let base = base.unwrap();
    let options = CommitOptions {
        reference: "made:2".into(),
        author: "me".into(),
        message: "why".into(),
        changes: names(&["ENV B=$A", "CMD [\"x\"]"]),
        config: base.config.config.clone(),
        created_by: "sh -c true".into(),
        ..CommitOptions::default()
    };
    let commit = |options: CommitOptions, files: &[(&str, &str)]| {
        let bytes = layer(files);
        ground.images.commit(&base.id, options.check().unwrap(), |to| {
            to.write_all(&bytes).unwrap();
            Ok(files.len() as u64)
        })
    };
    let image = commit(options.clone(), &[("new", "2")]).unwrap();
    assert_eq!((ground.read(&image, "base"), ground.read(&image, "new")), ("1".to_owned(), "2".to_owned()));
    let made = &image.config;
    assert_eq!((made.author.as_str(), made.comment.as_str(), made.config.user.as_str()), ("me", "why", "app"));
    assert_eq!((&made.config.env, &made.config.cmd), (&names(&["A=1", "B=1"]), &names(&["x"])));
    let history = ground.images.history("made:2").unwrap();
    assert_eq!((history.len(), history[0].created_by.as_str(), history[0].size), (2, "sh -c true", 1));
    // Nothing changed: no layer, but a step.
    let image = commit(CommitOptions { reference: "made:3".into(), ..options.clone() }, &[]).unwrap();
    assert_eq!((image.layers(), image.config.history.len()), (base.layers(), 2));
    assert!(image.config.history[1].empty_layer);
    assert!(CommitOptions { changes: names(&["RUN x"]), ..options.clone() }.check().is_err());
    let failed = ground.images.commit(&base.id, options.check().unwrap(), |_| Err(Error::Unsupported("no")));
    assert!(failed.is_err());
    ground.sweep();
    assert_eq!((ground.count("layers"), ground.count("content/ingest")), (2, 0));
}

#[test]
fn every_byte_is_counted_once_and_pruning_gives_back_what_was_promised() {
    let ground = Ground::new();
    let (one, _) = two(&ground);
    let usage = ground.images.usage(&[]).unwrap();
    assert_eq!(usage.layers, 2 + 1 + 2);
    let of =
        |id: Digest| usage.images.iter().find(|of| of.image.id == id).map(|of| (of.image.size, of.shared)).unwrap();
    assert_eq!(of(one), (3, 2));
    assert_eq!(usage.reclaimable, usage.layers + usage.blobs, "nobody uses anything");
    let image = ground.images.resolve("app:one").unwrap();
    let used = Use { container: "c".repeat(64), image: one, layers: image.layers().to_vec(), running: false };
    let promised = ground.images.usage(std::slice::from_ref(&used)).unwrap().reclaimable;
    let pruned = ground.images.prune(true, |_| false, || vec![used.clone()]).unwrap();
    assert_eq!(pruned.reclaimed, promised);
    assert!(pruned.removed.contains(&Removed::Untagged("reg.example:5000/team/two:2".into())));
    let left = ground.images.usage(&[used]).unwrap();
    assert_eq!((left.images.len(), left.layers, left.reclaimable), (1, 3, 0));
    assert_eq!(left.blobs + left.layers + promised, usage.blobs + usage.layers);
    // What has a name stays without `all`; what `keep` names stays, too.
    assert_eq!(ground.images.prune(false, |_| false, Vec::new).unwrap().removed, []);
    assert_eq!(ground.images.prune(true, |_| true, Vec::new).unwrap().removed, []);
}

#[test]
fn an_image_that_comes_again_in_other_blobs_leaves_none_of_the_former() {
    let ground = Ground::new();
    let base = layer(&[("base", "1")]);
    let text = config(&[&base]);
    let first = docker_archive(&[(text.clone(), vec![base.clone()], vec!["app:1"])]);
    let again = oci_archive(text.as_bytes(), &[gzip(&base)], &[("org.opencontainers.image.ref.name", "app:1")]);
    ground.images.load(&first[..], &quiet).unwrap();
    assert_eq!(ground.count("content/blobs/sha256"), 2, "configuration, layer");
    ground.images.load(&again[..], &quiet).unwrap();
    assert_eq!(ground.count("content/blobs/sha256"), 3, "configuration, manifest, the layer as it came now");
    let usage = ground.images.usage(&[]).unwrap();
    assert_eq!(usage.reclaimable, usage.layers + usage.blobs);
    assert_eq!(ground.images.prune(true, |_| false, Vec::new).unwrap().reclaimed, usage.reclaimable);
}

#[test]
fn a_check_names_what_is_broken_and_repairs_what_it_can() {
    let ground = Ground::new();
    let (one, two) = two(&ground);
    assert_eq!(ground.images.check(false).unwrap().broken, []);
    let image = ground.images.resolve("app:one").unwrap();
    let base = image.layers()[0];
    let file = ground.dir.path().join("layers").join(base.hex()).join("fs/base");
    fs::write(&file, "xx").unwrap();
    let told = ground.images.check(false).unwrap();
    assert_eq!((told.broken.len(), told.broken[0].what, told.broken[0].digest), (1, "layer", base));
    let mut both = vec![one, two];
    both.sort();
    assert_eq!((&told.broken[0].images, told.broken[0].repaired), (&both, false));
    assert_eq!(fs::read_to_string(&file).unwrap(), "xx", "without --repair nothing is touched");
    assert!(ground.images.check(true).unwrap().broken[0].repaired);
    assert_eq!(fs::read_to_string(&file).unwrap(), "bb");
    assert_eq!(ground.images.check(false).unwrap().broken, []);
}

#[test]
fn what_cannot_be_repaired_is_set_aside_and_comes_back_when_loaded_again() {
    let ground = Ground::new();
    let archive = {
        two(&ground);
        saved(&ground, &["app", "reg.example:5000/team/two:2"])
    };
    let image = ground.images.resolve("app:one").unwrap();
    // The configuration of one image, and the archive and the files of its own layer.
    flip(
        &ground
            .dir
            .path()
            .join("content")
            .join(digest_name(b"").split('/').next().unwrap())
            .join("sha256")
            .join(image.id.hex()),
        3,
    );
    fs::remove_dir_all(ground.dir.path().join("layers").join(image.layers()[1].hex())).unwrap();
    let told = ground.images.check(true).unwrap();
    assert_eq!(told.set_aside, [image.id]);
    assert!(ground.dir.path().join("content/broken").join(image.id.hex()).exists());
    assert!(ground.images.resolve("app:one").is_err());
    assert!(ground.images.resolve("reg.example:5000/team/two:2").is_ok(), "the other one is not touched");
    ground.images.load(&archive[..], &quiet).unwrap();
    let image = ground.images.resolve("app:one").unwrap();
    assert_eq!(ground.read(&image, "one"), "1");
    assert_eq!(ground.images.check(false).unwrap().broken, []);
}

#[test]
fn an_image_in_use_is_not_pruned_however_many_names_it_has() {
    let ground = Ground::new();
    let image = ground.import("app", &[("a", "1")]);
    ground.images.tag("app", "other/name:1").unwrap();
    let used = Use { container: "c".repeat(64), image: image.id, layers: image.layers().to_vec(), running: false };
    assert_eq!(ground.images.prune(true, |_| false, || vec![used.clone()]).unwrap().removed, []);
    assert_eq!(ground.images.resolve("app").unwrap().tags.len(), 2);
    let removed = ground.images.prune(true, |_| false, Vec::new).unwrap().removed;
    assert_eq!(removed.len(), 4, "two names, the image, its layer: {removed:?}");
    assert!(ground.images.remove("app", RemoveOptions::default(), &[]).is_err());
}
