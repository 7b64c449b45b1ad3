//! Exactly once: bytes through real pipes, a forgotten index, bounds, ends of runs.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::collector::Collector;

fn streams() -> (Sources, std::fs::File, std::fs::File) {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).unwrap();
    let ((stdout, out), (stderr, err)) = (pipe(), pipe());
    (Sources::Streams { stdout, stderr }, out.into(), err.into())
}

fn everything(spool: &Arc<Spool>) -> Vec<(Stream, String)> {
    let mut reader = spool.reader_at_start();
    let mut all: Vec<(Stream, String)> = Vec::new();
    while let Some(chunk) = reader.next_now() {
        let text = String::from_utf8(chunk.bytes).unwrap();
        match all.last_mut() {
            Some((stream, so_far)) if *stream == chunk.stream => so_far.push_str(&text),
            _ => all.push((chunk.stream, text)),
        }
    }
    all
}

#[test]
fn what_was_written_is_there_when_the_run_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let collector = Collector::start().unwrap();
    let spool = Spool::open(log.clone(), None).unwrap();
    let (sources, mut out, mut err) = streams();
    let run = collector.begin(&spool, sources).unwrap();
    assert!(!log.exists(), "nothing is made before the first byte");
    let mut live = spool.reader_at_end();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    out.write_all(b"hello\n").unwrap();
    assert_eq!(runtime.block_on(live.next()).unwrap().bytes, b"hello\n");
    err.write_all(b"oops\n").unwrap();
    assert_eq!(runtime.block_on(live.next()).unwrap().bytes, b"oops\n");
    out.write_all(b"last words").unwrap();
    drop((out, err));
    if !collector.finish(&spool, run) {
        spool.finish();
    }
    assert_eq!(runtime.block_on(live.next()).unwrap().bytes, b"last words");
    assert_eq!(runtime.block_on(live.next()), None);
    let whole = [
        (Stream::Stdout, "hello\n".to_owned()),
        (Stream::Stderr, "oops\n".to_owned()),
        (Stream::Stdout, "last words".to_owned()),
    ];
    assert_eq!(everything(&spool), whole);
    drop(spool);
    assert_eq!(everything(&Spool::open(log, None).unwrap()), whole, "after a restart");
}

#[test]
fn a_run_that_writes_nothing_leaves_nothing_and_ends_its_readers() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let spool = Spool::open(log.clone(), None).unwrap();
    let mut reader = spool.reader_at_end();
    let (sources, out, err) = streams();
    spool.begin(sources);
    drop((out, err));
    spool.finish();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(reader.next()), None);
    assert!(!log.exists());
}

#[test]
fn bytes_that_the_index_misses_are_adopted_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path().into(), None).unwrap();
    let (sources, mut out, _err) = streams();
    spool.begin(sources);
    out.write_all(b"indexed ").unwrap();
    assert_eq!(spool.pump(Stream::Stdout), Moved::Bytes(8));
    drop(spool);
    // As if the engine were killed between the splice and the index, and the index torn.
    let mut raw = std::fs::OpenOptions::new().append(true).open(dir.path().join("stdout.raw")).unwrap();
    raw.write_all(b"spliced").unwrap();
    let mut index = std::fs::OpenOptions::new().append(true).open(dir.path().join("index")).unwrap();
    index.write_all(&[0; 11]).unwrap();
    for _ in 0..2 {
        let spool = Spool::open(dir.path().into(), None).unwrap();
        assert_eq!(everything(&spool), [(Stream::Stdout, "indexed spliced".to_owned())]);
    }
    std::fs::write(dir.path().join("index"), b"garbage").unwrap();
    let spool = Spool::open(dir.path().into(), None).unwrap();
    assert_eq!(everything(&spool), [(Stream::Stdout, "indexed spliced".to_owned())]);
}

#[test]
fn a_bounded_log_keeps_its_end_and_its_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let bound = 64 * 1024;
    let spool = Spool::open(dir.path().into(), Some(bound)).unwrap();
    let (sources, mut out, _err) = streams();
    spool.begin(sources);
    let mut reader = spool.reader_at_start();
    for n in 0..400_u32 {
        out.write_all(format!("{n:01023}\n").as_bytes()).unwrap();
        spool.pump(Stream::Stdout);
        // Entries must not grow together, or there is nothing to give up.
        std::thread::sleep(std::time::Duration::from_micros(1200));
    }
    let all = everything(&spool);
    let text = &all[0].1;
    assert!(text.ends_with("0399\n") && text.len() as u64 <= bound * 5 / 4, "{}", text.len());
    assert_eq!(text.len() % 1024, 0, "whole entries");
    let first = reader.next_now().unwrap();
    assert_eq!(first.bytes[..], text.as_bytes()[..first.bytes.len()], "a slow reader goes on behind the hole");
    let meta = std::fs::metadata(dir.path().join("stdout.raw")).unwrap();
    assert_eq!(meta.len(), 400 * 1024, "offsets stay");
    drop(spool);
    assert_eq!(everything(&Spool::open(dir.path().into(), Some(bound)).unwrap()), all);
}

/// Numbered lines of 1 KiB, each an entry of its own.
fn write_lines(spool: &Spool, out: &mut std::fs::File, numbers: std::ops::Range<u32>) {
    for n in numbers {
        out.write_all(format!("{n:01023}\n").as_bytes()).unwrap();
        spool.pump(Stream::Stdout);
        std::thread::sleep(std::time::Duration::from_micros(1200));
    }
}

fn pieces(dir: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pieces: Vec<_> = names.filter(|name| !name.ends_with("raw") && name != "index").collect();
    pieces.sort();
    pieces
}

#[test]
fn what_is_old_is_compressed_and_read_as_if_it_were_not() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep { bytes: Some(1 << 20), packed_after: Some(64 * 1024) };
    let spool = Spool::open(dir.path().into(), keep).unwrap();
    let (sources, mut out, _err) = streams();
    spool.begin(sources);
    let mut early = spool.reader_at_start();
    write_lines(&spool, &mut out, 0..900);
    assert_eq!(pieces(dir.path()), ["stdout.00000000.zst", "stdout.00000001.zst", "stdout.00000002.zst"]);
    let wanted: String = (0..900).map(|n| format!("{n:01023}\n")).collect();
    assert_eq!(everything(&spool), [(Stream::Stdout, wanted.clone())]);
    assert_eq!(early.next_now().unwrap().bytes, wanted.as_bytes()[..1024]);
    use std::os::unix::fs::MetadataExt;
    let blocks = || std::fs::metadata(dir.path().join("stdout.raw")).unwrap().blocks() * 512;
    assert!(blocks() < 300 * 1024, "{}", blocks());
    drop((spool, early));
    // The next engine: the same, also after one that was killed in the middle.
    std::fs::write(dir.path().join("stdout.00000003.part"), "half").unwrap();
    let spool = Spool::open(dir.path().into(), keep).unwrap();
    assert_eq!(pieces(dir.path()).len(), 3);
    assert_eq!(everything(&spool), [(Stream::Stdout, wanted.clone())]);
    // One that is damaged is left out; the others are read.
    std::fs::write(dir.path().join("stdout.00000001.zst"), "rubbish").unwrap();
    let text = &everything(&spool)[0].1;
    assert_eq!(text.len(), (900 - 256) * 1024);
    assert!(text.starts_with(&wanted[..256 * 1024]) && text.ends_with(&wanted[512 * 1024..]));
    // What the bound gives up goes with its piece.
    let (sources, mut out, _err) = streams();
    spool.begin(sources);
    write_lines(&spool, &mut out, 900..1600);
    let all = everything(&spool);
    let text: String = all.iter().map(|(_, text)| text.as_str()).collect();
    assert!(text.ends_with("1599\n") && text.len() <= 9 << 17, "{}", text.len());
    assert!(!pieces(dir.path()).contains(&"stdout.00000000.zst".to_owned()), "{:?}", pieces(dir.path()));
}

#[test]
fn a_terminal_passes_through_its_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path().into(), None).unwrap();
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave: OwnedFd = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap();
    rustix::io::ioctl_fionbio(&master, true).unwrap();
    let (pipe_read, pipe_write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    spool.begin(Sources::Terminal { master, pipe_read, pipe_write });
    assert_eq!(spool.pump(Stream::Stdout), Moved::NothingNow);
    rustix::io::write(&slave, b"prompt\n").unwrap();
    assert_eq!(spool.pump(Stream::Stdout), Moved::Bytes(8));
    rustix::io::write(&slave, b"bye\n").unwrap();
    drop(slave);
    spool.finish();
    assert_eq!(everything(&spool), [(Stream::Stdout, "prompt\r\nbye\r\n".to_owned())]);
}
