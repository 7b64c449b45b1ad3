use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::sync::{Condvar, Mutex};

use hull_archive::tar::{Entry, EntryKind, Writer};
use hull_records::Db;
use hull_snapshot::Snapshots;
use hull_types::Digest;

use super::{LayerSource, Session, Wanted};
use crate::{Error, Images, Result};

fn images() -> (tempfile::TempDir, Images) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("state.db")).unwrap();
    let images = Images::open(dir.path(), db, Snapshots::open(dir.path()).unwrap()).unwrap();
    (dir, images)
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.append(entry, &b"content"[..usize::try_from(entry.size).unwrap()]).unwrap();
    }
    writer.finish().unwrap()
}

fn file(path: &str) -> Entry {
    Entry { path: path.into(), size: 7, mode: 0o644, ..Entry::default() }
}

/// Layers as a download brings them. The first one is held back until `together` have been asked for.
struct Download {
    layers: Vec<Vec<u8>>,
    opened: Mutex<usize>,
    more: Condvar,
    together: usize,
}

impl Download {
    fn new(layers: Vec<Vec<u8>>, together: usize) -> Self {
        Self { layers, opened: Mutex::new(0), more: Condvar::new(), together }
    }

    fn wanted(&self) -> Vec<Wanted> {
        let plain = |layer: &[u8]| {
            let mut plain = Vec::new();
            hull_archive::Decompressor::new(layer).unwrap().read_to_end(&mut plain).unwrap();
            Digest::of(&plain)
        };
        let layers = self.layers.iter();
        layers
            .map(|layer| Wanted {
                diff_id: plain(layer),
                blob: Digest::of(layer),
                size: Some(layer.len() as u64),
                exact: true,
            })
            .collect()
    }
}

impl LayerSource for Download {
    fn open(&self, at: usize) -> Result<Box<dyn Read + Send + '_>> {
        let mut opened = self.opened.lock().unwrap();
        *opened += 1;
        self.more.notify_all();
        while at == 0 && *opened < self.together {
            opened = self.more.wait(opened).unwrap();
        }
        Ok(Box::new(Cursor::new(&self.layers[at][..])))
    }

    fn progress(&self, _: usize, _: u64) {}
}

fn chain_of(rows: &[crate::records::LayerRow], dir: &tempfile::TempDir, at: usize) -> std::path::PathBuf {
    dir.path().join("layers").join(rows[at].chain_id.hex()).join("fs")
}

fn commit(mut session: Session<'_>, rows: Vec<crate::records::LayerRow>) {
    session.image(crate::ImageConfig::default(), b"{}", rows, None, Vec::new()).unwrap();
    session.commit().unwrap();
}

#[test]
fn layers_come_together_and_still_see_those_below() {
    let (dir, images) = images();
    let bottom = Entry { path: b"dir".to_vec(), kind: EntryKind::Directory, mode: 0o1710, uid: 7, ..Entry::default() };
    let mut layers = vec![tar(&[bottom, file("dir/base")])];
    for at in 1..12 {
        // Neither the directory nor the link's target is in this layer.
        let link = Entry {
            path: format!("dir/link-{at}").into(),
            link: b"dir/base".to_vec(),
            kind: EntryKind::HardLink,
            ..Entry::default()
        };
        layers.push(zstd::encode_all(&tar(&[file(&format!("dir/{at}")), link])[..], 1).unwrap());
    }
    let source = Download::new(layers, 4);
    let mut session = Session::new(&images).unwrap();
    let rows = session.layers(&source.wanted(), &source).unwrap();
    commit(session, rows.clone());
    for at in 1..12 {
        let layer = chain_of(&rows, &dir, at);
        let meta = std::fs::metadata(layer.join("dir")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o1710, 7), "layer {at}");
        assert_eq!(std::fs::read(layer.join(format!("dir/link-{at}"))).unwrap(), b"content");
        assert_eq!(rows[at].media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
        assert_eq!(images.inner.content.size(&rows[at].blob).unwrap(), source.layers[at].len() as u64);
    }
}

#[test]
fn what_is_there_is_not_asked_for_again_and_one_blob_comes_once() {
    let (_dir, images) = images();
    let (one, two) = (tar(&[file("one")]), tar(&[file("two")]));
    let source = Download::new(vec![one.clone(), two.clone(), one.clone(), two.clone()], 1);
    let mut session = Session::new(&images).unwrap();
    let rows = session.layers(&source.wanted(), &source).unwrap();
    commit(session, rows);
    assert_eq!(*source.opened.lock().unwrap(), 2, "two blobs make four layers");
    let more = Download::new(vec![one, two, tar(&[file("three")])], 1);
    let mut session = Session::new(&images).unwrap();
    session.layers(&more.wanted(), &more).unwrap();
    assert_eq!(*more.opened.lock().unwrap(), 1, "only the third layer is new");
}

#[test]
fn wrong_bytes_are_named_and_leave_nothing() {
    let (dir, images) = images();
    let (one, two) = (tar(&[file("one")]), tar(&[file("two")]));
    let lie = |change: &dyn Fn(&mut Wanted), bytes: Vec<u8>| {
        let source = Download::new(vec![one.clone(), two.clone()], 1);
        let mut wanted = source.wanted();
        change(&mut wanted[1]);
        let sent = Download::new(vec![one.clone(), bytes], 1);
        Session::new(&images).unwrap().layers(&wanted, &sent).unwrap_err()
    };
    let other = Digest::of(b"other");
    let flipped = |at: usize| {
        let mut bytes = two.clone();
        bytes[at] ^= 1;
        bytes
    };
    let is_content = |error: &Error| matches!(error, Error::Content(hull_content::Error::Mismatch { .. }));
    assert!(matches!(lie(&|w| w.diff_id = other, two.clone()), Error::Mismatch { .. }));
    assert!(is_content(&lie(&|w| w.blob = other, two.clone())));
    // Whether the archive is still readable or not, the digest is what is told.
    assert!(is_content(&lie(&|_| {}, flipped(0))));
    let longer = [&two[..], b"x"].concat();
    assert!(matches!(lie(&|_| {}, longer), Error::SizeMismatch { .. }));
    assert!(matches!(lie(&|w| w.size = Some(1 << 30), two.clone()), Error::SizeMismatch { .. }));
    images.inner.snapshots.sweep().unwrap();
    for directory in ["layers", "trash", "content/ingest", "content/blobs/sha256"] {
        assert_eq!(std::fs::read_dir(dir.path().join(directory)).unwrap().count(), 0, "{directory}");
    }
}

#[test]
fn a_download_that_breaks_is_the_cause_although_others_stop_for_it() {
    struct Breaks;
    impl LayerSource for Breaks {
        fn open(&self, at: usize) -> Result<Box<dyn Read + Send + '_>> {
            if at == 2 {
                return Err(Error::Read(io::ErrorKind::ConnectionReset.into()));
            }
            // The others never end.
            Ok(Box::new(Cursor::new(tar(&[Entry { size: 0, ..file("x") }])).chain(io::repeat(0))))
        }

        fn progress(&self, _: usize, _: u64) {}
    }
    let (_dir, images) = images();
    let wanted =
        |at: u8| Wanted { diff_id: Digest::of(&[at]), blob: Digest::of(&[at]), size: Some(u64::MAX), exact: true };
    let error = Session::new(&images).unwrap().layers(&[0, 1, 2, 3].map(wanted), &Breaks).unwrap_err();
    assert!(matches!(&error, Error::Read(cause) if cause.kind() == io::ErrorKind::ConnectionReset), "{error}");
}
