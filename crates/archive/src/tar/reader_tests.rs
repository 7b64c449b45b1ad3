//! Archives that contradict themselves, byte by byte. Each was, or is like, one that some program
//! read differently from another.

use super::*;
use crate::tar::Writer;

/// A header block with a flag, a name and a size.
fn block(flag: u8, name: &str, size: &str) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size.as_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut block);
    block
}

fn sum(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out.resize(bytes.len().next_multiple_of(BLOCK), 0);
    out
}

/// An extension: header and content.
fn extension(flag: u8, content: &[u8]) -> Vec<u8> {
    [block(flag, "ext", &format!("{:o}", content.len())), padded(content)].concat()
}

fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// Names and contents, or what is wrong.
fn read(parts: &[Vec<u8>]) -> Result<Vec<(String, String)>, String> {
    let bytes = parts.concat();
    let limits = Limits { metadata: 1 << 16, extents: 16, ..Limits::default() };
    let mut reader = Reader::new(&bytes[..], limits);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(|error| error.to_string())? {
        let mut content = String::new();
        reader.read_to_string(&mut content).map_err(|error| error.to_string())?;
        out.push((String::from_utf8_lossy(&entry.path).into_owned(), content));
    }
    Ok(out)
}

fn pairs(of: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(of.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect())
}

#[test]
fn a_size_in_an_extended_header_decides_where_the_next_entry_starts() {
    let inner = block(b'0', "smuggled", "0");
    let content = padded(&inner);
    let parts =
        [extension(b'x', b"12 size=512\n"), block(b'0', "a", "0"), content.clone(), block(b'0', "b", "0"), end()];
    let names: Vec<String> = read(&parts).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
    let parts = [extension(b'x', b"10 size=0\n"), block(b'0', "a", "1000"), block(b'0', "b", "0"), end()];
    assert_eq!(read(&parts), pairs(&[("a", ""), ("b", "")]));
}

#[test]
fn links_and_directories_have_no_content_whatever_their_size_says() {
    for flag in *b"123456" {
        let parts = [block(flag, "a", "1000"), block(b'0', "b", "2"), padded(b"hi"), end()];
        assert_eq!(read(&parts), pairs(&[("a", ""), ("b", "hi")]), "{}", char::from(flag));
    }
}

#[test]
fn long_names_and_prefixes() {
    let long = "n".repeat(200);
    let gnu = [extension(b'L', format!("{long}\0").as_bytes()), block(b'0', "cut", "0"), end()];
    assert_eq!(read(&gnu), pairs(&[(&long, "")]));
    let mut prefixed = block(b'0', "name", "0");
    prefixed[345..351].copy_from_slice(b"prefix");
    sum(&mut prefixed);
    assert_eq!(read(&[prefixed, end()]), pairs(&[("prefix/name", "")]));
    // The old GNU header keeps times where POSIX keeps the prefix.
    let mut old = block(b'0', "name", "0");
    old[257..265].copy_from_slice(b"ustar  \0");
    old[345..351].copy_from_slice(b"123456");
    sum(&mut old);
    assert_eq!(read(&[old, end()]), pairs(&[("name", "")]));
}

#[test]
fn an_archive_may_end_without_its_mark() {
    let entry = [block(b'0', "a", "2"), padded(b"hi")].concat();
    for tail in [vec![], vec![0; BLOCK], end(), vec![0; 20 * BLOCK], [end(), block(b'0', "after", "0")].concat()] {
        assert_eq!(read(&[entry.clone(), tail]), pairs(&[("a", "hi")]));
    }
    assert_eq!(read(&[]), pairs(&[]));
    assert_eq!(read(&[end()]), pairs(&[]));
}

#[test]
fn contradictions_are_refused() {
    let file = || block(b'0', "a", "0");
    let mut unsigned = file();
    unsigned[148..156].copy_from_slice(b"0000001\0");
    let long = |text: &str| extension(b'L', text.as_bytes());
    let pax = |text: &str| extension(b'x', text.as_bytes());
    let mut negative = block(b'0', "a", "0");
    negative[124..136].fill(0xff);
    sum(&mut negative);
    let mut old_sparse = block(b'S', "a", "5");
    old_sparse[257..265].copy_from_slice(b"ustar  \0");
    old_sparse[386..397].copy_from_slice(b"00000000000");
    old_sparse[398..409].copy_from_slice(b"00000000006");
    old_sparse[483..494].copy_from_slice(b"00000000006");
    sum(&mut old_sparse);
    let sparse = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.realsize=99\n";
    let rows: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("checksum", vec![unsigned]),
        ("two extended headers", vec![pax("9 path=b\n"), pax("9 path=c\n"), file()]),
        ("two long names", vec![long("b"), long("c"), file()]),
        ("a long name and another path", vec![long("b"), pax("9 path=c\n"), file()]),
        ("a NUL in a long name", vec![long("b\0c"), file()]),
        ("an extension without its entry", vec![long("b"), end()]),
        ("an extension at the end", vec![pax("9 path=b\n")]),
        ("a malformed record", vec![pax("7 path=b\n"), file()]),
        ("a global name", vec![extension(b'g', b"9 path=b\n"), file()]),
        ("a global size", vec![extension(b'g', b"12 size=512\n"), file()]),
        ("a lone zero block", vec![vec![0; BLOCK], file(), end()]),
        ("a cut header", vec![file()[..100].to_vec()]),
        ("cut content", vec![block(b'0', "a", "5"), b"abc".to_vec()]),
        ("cut padding", vec![block(b'0', "a", "5"), b"abcde".to_vec()]),
        ("a huge size", vec![block(b'0', "a", "77777777777"), padded(b"x")]),
        ("a negative size", vec![negative]),
        ("a size that is no number", vec![block(b'0', "a", "12x")]),
        ("metadata without end", vec![block(b'x', "a", "77777777777")]),
        ("metadata above the limit", vec![extension(b'L', &[b'n'; 1 << 17]), file()]),
        ("an unknown type", vec![block(b'M', "a", "0")]),
        ("an empty name", vec![block(b'0', "", "0")]),
        ("a file whose name says directory", vec![block(b'0', "a/", "2"), padded(b"hi")]),
        ("a sparse map that lies", vec![old_sparse, padded(b"abcde")]),
        ("a sparse map without end", vec![pax(sparse), block(b'0', "a", "1000"), vec![b'1'; BLOCK]]),
        ("a sparse map of a million pieces", vec![pax(sparse), block(b'0', "a", "1000"), padded(b"1000000\n")]),
        ("a sparse map longer than its file", vec![pax(sparse), block(b'0', "a", "0"), padded(b"0\n")]),
    ];
    for (what, parts) in rows {
        assert!(read(&parts).is_err(), "{what}: {:?}", read(&parts));
    }
}

#[test]
fn bytes_at_random_never_panic() {
    let mut writer = Writer::new(Vec::new());
    for at in 0..4_u32 {
        let entry = Entry {
            path: vec![b'p'; 60 * at as usize + 1],
            uid: at * 1_000_000,
            size: 4,
            xattrs: vec![(b"user.x".to_vec(), b"y".to_vec())],
            ..Entry::default()
        };
        writer.append(&entry, &b"data"[..]).unwrap_or_else(|error| panic!("{error}"));
    }
    let whole = writer.finish().unwrap_or_else(|error| panic!("{error}"));
    // A small generator of our own keeps failures repeatable.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
            // Repair the checksum of the block, so that the damage is looked at.
            let start = at - at % BLOCK;
            if bytes[start + 257..start + 262] == *b"ustar" {
                sum(&mut bytes[start..start + BLOCK]);
            }
        }
        bytes.truncate(random(bytes.len()) + 1);
        _ = read(&[bytes]);
    }
}

#[test]
fn device_numbers_that_the_kernel_would_cut_are_refused_and_count_for_devices_only() {
    let device = |flag, major: &[u8; 7], minor: &[u8; 7]| {
        let mut block = block(flag, "node", "0");
        block[329..336].copy_from_slice(major);
        block[337..344].copy_from_slice(minor);
        sum(&mut block);
        let bytes = [block, end()].concat();
        let first = Reader::new(&bytes[..], Limits::default()).next_entry();
        first.map(|entry| entry.unwrap().device).map_err(|error| error.to_string())
    };
    assert_eq!(device(b'3', b"0007777", b"3777777"), Ok((0xfff, 0xf_ffff)));
    for (major, minor) in [(b"0010000", b"0000000"), (b"0000000", b"4000000"), (b"0000009", b"0000000")] {
        let refused = device(b'4', major, minor).unwrap_err();
        assert!(refused.contains("a device number is malformed"), "{refused}");
        assert_eq!(device(b'0', major, minor), Ok((0, 0)));
    }
}
