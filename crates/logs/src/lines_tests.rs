//! What `docker logs` shows, as a table over one small log.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::*;
use crate::entry::{Entry, Header};
use crate::spool::Spool;

/// A spool whose entries are these: (time, stream, bytes).
fn spool(dir: &std::path::Path, entries: &[(i64, Stream, &str)]) -> Arc<Spool> {
    let index = std::fs::File::create(dir.join("index")).unwrap();
    index.write_all_at(&Header::default().encode(), 0).unwrap();
    let mut end = [0_u64; 2];
    for (number, (time, stream, text)) in entries.iter().enumerate() {
        let offset = end[stream.index()];
        let entry = Entry { time: *time, offset, len: text.len() as u32, stream: *stream };
        index.write_all_at(&entry.encode(), crate::entry::position(number as u64)).unwrap();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join(stream.file_name())).unwrap();
        file.write_all_at(text.as_bytes(), offset).unwrap();
        end[stream.index()] = entry.end();
    }
    Spool::open(dir.to_owned(), None).unwrap()
}

fn shown(spool: &Arc<Spool>, options: LineOptions) -> String {
    let mut lines = Lines::new(spool.reader_at_start(), options);
    let mut out = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while let Some((_, bytes)) = runtime.block_on(lines.next()) {
        out.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    out
}

fn all() -> LineOptions {
    LineOptions { stdout: true, stderr: true, ..LineOptions::default() }
}

#[test]
fn options_choose_what_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (Stream::Stdout, Stream::Stderr);
    let log = spool(
        dir.path(),
        &[(10, out, "one\ntw"), (20, out, "o\n"), (30, err, "bad\n"), (40, out, "three\nfour\n"), (50, out, "five")],
    );
    let rows: [(&str, LineOptions, &str); 12] = [
        ("all", all(), "one\ntwo\nbad\nthree\nfour\nfive"),
        ("stdout", LineOptions { stderr: false, ..all() }, "one\ntwo\nthree\nfour\nfive"),
        ("stderr", LineOptions { stdout: false, ..all() }, "bad\n"),
        ("tail 0", LineOptions { tail: Some(0), ..all() }, ""),
        ("tail 1", LineOptions { tail: Some(1), ..all() }, "five"),
        ("tail 2", LineOptions { tail: Some(2), ..all() }, "four\nfive"),
        ("tail 4", LineOptions { tail: Some(4), ..all() }, "bad\nthree\nfour\nfive"),
        ("tail 5", LineOptions { tail: Some(5), ..all() }, "two\nbad\nthree\nfour\nfive"),
        ("tail many", LineOptions { tail: Some(99), ..all() }, "one\ntwo\nbad\nthree\nfour\nfive"),
        ("since", LineOptions { since: Some(30), ..all() }, "bad\nthree\nfour\nfive"),
        ("until", LineOptions { until: Some(30), ..all() }, "one\ntwo\nbad\n"),
        ("since, tail", LineOptions { since: Some(50), tail: Some(9), ..all() }, "five"),
    ];
    for (name, options, expected) in rows {
        assert_eq!(shown(&log, options), expected, "{name}");
    }
}

#[test]
fn a_line_in_pieces_gets_one_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = spool(dir.path(), &[(1, Stream::Stdout, "a"), (2, Stream::Stdout, "b\nc"), (3, Stream::Stderr, "e\n")]);
    let stamp = |n: u32| format!("1970-01-01T00:00:00.{n:09}Z");
    let expected = format!("{} ab\n{} e\n{} c", stamp(2), stamp(3), stamp(2));
    assert_eq!(shown(&log, LineOptions { timestamps: true, ..all() }), expected);
}

#[test]
fn no_line_is_shown_in_two_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (Stream::Stdout, Stream::Stderr);
    let long = "x".repeat(PART);
    let log = spool(
        dir.path(),
        &[
            (10, out, "one\ntw"),
            (20, err, "bad"),
            (30, out, "o\nsi"),
            (35, out, &long),
            (40, out, "x\n"),
            (50, out, "five"),
        ],
    );
    let mut lines = Lines::new(log.reader_at_start(), all());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut shown = Vec::new();
    while let Some((stream, bytes)) = runtime.block_on(lines.next()) {
        shown.push((stream, String::from_utf8(bytes).unwrap()));
    }
    // One that has no end for longer than docker waits is shown in parts.
    let parts =
        [(out, "one\n"), (out, "two\n"), (out, &format!("si{long}")), (out, "x\n"), (out, "five"), (err, "bad")];
    assert_eq!(shown, parts.map(|(stream, text)| (stream, text.to_owned())));
}
