//! All targets for a short time each, without a fuzzer: every seed as it is, then seeds changed at random.
//!
//! This is no search: it does not know what the code does with its input. It begins at the same place each time, so
//! that a failure on one machine is one on the next. `HULL_FUZZ_SECONDS` makes it longer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hull_fuzz::{TARGETS, Target};

const SECONDS: u64 = 2;
/// Inputs that are tried however slow the machine is.
const LEAST: u64 = 200;
const MAX: usize = 64 << 10;

/// Pieces that the formats give a meaning.
const WORDS: &[&[u8]] = &[
    b"18446744073709551615",
    b"9223372036854775808",
    b"-1",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"\\u0000",
    b"\0",
    b"777777777777",
    b"\x80\0\0\0\xff\xff\xff\xff",
    b"ustar\0",
    b"ustar  \0",
    b"30 path=../../x\n",
    b"20 size=5\n",
    b"../",
    b"/",
    b":",
    b"@sha256:",
    b",",
    b"=",
    b"realm=",
    b"\"manifests\":[],",
    b"\"layers\":[],",
    b"\xff\xff\xff\xff",
];

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % end.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = 1 << self.below(10);
        start..start + self.below((length - start).min(most) + 1)
    }
}

fn change(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let length = data.len();
    let at = random.below(length);
    match random.below(8) {
        0 if length > 0 => data[at] ^= 1 << random.below(8),
        1 if length > 0 => data[at] = random.next().to_le_bytes()[3],
        2 => drop(data.drain(random.range(length))),
        3 => {
            let piece = data[random.range(length)].to_vec();
            data.splice(at..at, piece);
        }
        4 => {
            let word = WORDS[random.below(WORDS.len())];
            let end = if random.below(2) == 0 { at } else { length.min(at + word.len()) };
            data.splice(at.min(end)..end, word.iter().copied());
        }
        5 => {
            let piece = other[random.range(other.len())].to_vec();
            data.splice(random.range(length), piece);
        }
        6 => data.truncate(at),
        _ => {
            let piece = data[random.range(length)].to_vec();
            let end = length.min(at + piece.len());
            data[at.min(end)..end].copy_from_slice(&piece[..end - at.min(end)]);
        }
    }
    data.truncate(MAX);
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let found = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{}: too few seeds", dir.display());
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

fn tried((name, target): Target, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(data))).is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&kept, data).expect("the finding is kept");
        panic!("`{name}` fails with what is kept in {}: it belongs into fuzz/corpus/{name}", kept.display());
    }
}

fn drive(name: &str) {
    let target = *TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let seeds = corpus(name);
    seeds.iter().for_each(|seed| tried(target, seed));
    let seconds = std::env::var("HULL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut count = 0_u64;
    while count < LEAST || Instant::now() < end {
        let mut data = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            let other = random.below(seeds.len());
            change(&mut data, &seeds[other], &mut random);
        }
        tried(target, &data);
        count += 1;
    }
    eprintln!("{name}: {count} inputs made of {} seeds", seeds.len());
}

macro_rules! driven {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            drive(stringify!($name));
        }
    )*};
}

driven!(tar gzip zstd manifest index config reference challenge);

#[test]
fn every_target_has_an_entry_for_the_fuzzer() {
    for (name, _) in TARGETS {
        let entry = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&entry).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        assert!(text.contains(&format!("hull_fuzz::{name}(data)")), "{}", entry.display());
    }
}
