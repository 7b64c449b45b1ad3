//! Archives that ask for more than they are: refused early, with bounded memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use hull_archive::tar::{Entry, EntryKind, Mtime, Writer};
use hull_archive::{Error, Limits, Lowers, Unpacked, unpack};

fn run(from: impl Read + Send, limits: Limits) -> (tempfile::TempDir, Result<Unpacked, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let root = File::open(dir.path()).unwrap();
    let result = unpack(from, root.as_fd(), Lowers::default(), limits);
    (dir, result)
}

fn is_byte_limit(result: &Result<Unpacked, Error>) -> bool {
    matches!(result, Err(Error::Limit { what: "bytes", .. }))
}

/// A tar of one file of zeros, or nothing but zeros, `size` bytes long.
fn zeros(size: u64, in_a_file: bool) -> impl Read {
    let mut header = Vec::new();
    if in_a_file {
        let entry = Entry { path: b"zeros".to_vec(), size, ..Entry::default() };
        // The content is not written: the header alone is taken.
        _ = Writer::new(&mut header).append(&entry, io::empty());
    }
    io::Cursor::new(header).chain(io::repeat(0).take(size))
}

fn gzip(mut from: impl Read) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut from, &mut to).unwrap();
    to.finish().unwrap()
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let limits = Limits { bytes: 4 << 20, ..Limits::default() };
    for in_a_file in [true, false] {
        let gzip = gzip(zeros(64 << 20, in_a_file));
        assert!(is_byte_limit(&run(&gzip[..], limits).1), "gzip, in a file: {in_a_file}");
        let zstd = zstd::encode_all(zeros(64 << 20, in_a_file), 1).unwrap();
        assert!(is_byte_limit(&run(&zstd[..], limits).1), "zstd, in a file: {in_a_file}");
        assert!(is_byte_limit(&run(zeros(64 << 20, in_a_file), limits).1), "plain, in a file: {in_a_file}");
    }
}

#[test]
fn a_stream_that_never_ends_is_refused_at_the_limit() {
    let limits = Limits { bytes: 4 << 20, ..Limits::default() };
    assert!(run(io::repeat(b'x'), limits).1.is_err());
    assert!(is_byte_limit(&run(io::repeat(0), limits).1));
}

#[test]
fn a_source_that_fails_is_the_cause_that_is_told() {
    struct Fails(u32);
    impl Read for Fails {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 3 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            zeros(1 << 20, true).read(buffer)
        }
    }
    let (_dir, result) = run(Fails(0), Limits::default());
    assert!(matches!(result, Err(Error::Read(error)) if error.kind() == io::ErrorKind::ConnectionReset));
}

#[test]
fn trailing_bytes_belong_to_the_digest() {
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry { path: b"a".to_vec(), ..Entry::default() }, io::empty()).unwrap();
    let mut bytes = writer.finish().unwrap();
    bytes.extend(vec![0; 100_000]);
    let (_dir, result) = run(&bytes[..], Limits::default());
    let unpacked = result.unwrap();
    assert_eq!((unpacked.diff_id, unpacked.bytes), (hull_types::Digest::of(&bytes), bytes.len() as u64));
}

#[test]
fn times_of_many_directories_are_kept_without_keeping_them_in_memory() {
    const COUNT: usize = 12_000;
    let mut writer = Writer::new(Vec::new());
    let mtime = Mtime { secs: 1_000_000, nanos: 7 };
    for at in 0..COUNT {
        let path = format!("{}-{at:05}/", "d".repeat(90)).into_bytes();
        let entry = Entry { path, kind: EntryKind::Directory, mode: 0o700, mtime, ..Entry::default() };
        writer.append(&entry, io::empty()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let (dir, result) = run(&bytes[..], Limits::default());
    assert_eq!(result.unwrap().extracted.entries, COUNT as u64);
    let mut seen = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let meta = entry.unwrap().metadata().unwrap();
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_000_000, 7));
        seen += 1;
    }
    assert_eq!(seen, COUNT);
}

#[test]
fn a_huge_hole_costs_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let sparse = File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let out = std::process::Command::new("tar")
        .args(["--format=pax", "--sparse", "-c", "-f", "-", "sparse"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(out.status.success() && out.stdout.len() < 1 << 20);
    let (unpacked, result) = run(&out.stdout[..], Limits::default());
    result.unwrap();
    let meta = std::fs::metadata(unpacked.path().join("sparse")).unwrap();
    assert_eq!((meta.len(), meta.blocks()), (1 << 40, 0));
    _ = io::stdout().flush();
}
