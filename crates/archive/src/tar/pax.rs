//! PAX extended records: `<length> <key>=<value>\n`. Pure.
//!
//! Source: POSIX.1-2017 `pax`; `SCHILY.xattr.*` and `GNU.sparse.*` as star and GNU tar write them.

use super::entry::{Extent, Mtime};

/// The records that hull understands; others are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<Mtime>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: PaxSparse,
}

/// The three generations of GNU's sparse records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaxSparse {
    pub version: (Option<u64>, Option<u64>),
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    /// Versions 0.0 and 0.1: the map itself.
    pub map: Option<Vec<Extent>>,
    pending: Option<u64>,
}

impl Pax {
    /// Parses all records of one extended header; `Err` says what is wrong.
    pub fn parse(mut data: &[u8], max_extents: usize) -> Result<Self, &'static str> {
        let mut pax = Self::default();
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or("an extended record is malformed")?;
            pax.apply(key, value, max_extents)?;
            data = rest;
        }
        if pax.sparse.pending.is_some() {
            return Err("a sparse record lacks its length");
        }
        Ok(pax)
    }

    fn apply(&mut self, key: &[u8], value: &[u8], max_extents: usize) -> Result<(), &'static str> {
        const NUMBER: &str = "an extended record is not the number that it should be";
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            if name.is_empty() || name.contains(&0) {
                return Err("an extended attribute's name is malformed");
            }
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        // POSIX: an empty value takes an earlier one back.
        if value.is_empty() {
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(name(value)?),
            b"linkpath" => self.link = Some(name(value)?),
            b"size" => self.size = Some(decimal(value).ok_or(NUMBER)?),
            b"uid" => self.uid = Some(id(value).ok_or(NUMBER)?),
            b"gid" => self.gid = Some(id(value).ok_or(NUMBER)?),
            b"mtime" => self.mtime = Some(time(value).ok_or(NUMBER)?),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.apply(key, value, max_extents)?;
                }
            }
        }
        Ok(())
    }
}

impl PaxSparse {
    fn apply(&mut self, key: &[u8], value: &[u8], max_extents: usize) -> Result<(), &'static str> {
        const NUMBER: &str = "a sparse record is not the number that it should be";
        let read = |value| decimal(value).ok_or(NUMBER);
        match key {
            b"major" => self.version.0 = Some(read(value)?),
            b"minor" => self.version.1 = Some(read(value)?),
            b"name" => self.name = Some(name(value)?),
            b"size" | b"realsize" => self.size = Some(read(value)?),
            b"offset" if self.pending.is_some() => return Err("a sparse record lacks its length"),
            b"offset" => self.pending = Some(read(value)?),
            b"numbytes" => {
                let offset = self.pending.take().ok_or("a sparse record lacks its offset")?;
                self.push(Extent { offset, length: read(value)? }, max_extents)?;
            }
            b"map" => {
                self.map = Some(Vec::new());
                let mut numbers = value.split(|byte| *byte == b',');
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or("the sparse map has an odd number of values")?;
                    self.push(Extent { offset: read(offset)?, length: read(length)? }, max_extents)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, extent: Extent, max_extents: usize) -> Result<(), &'static str> {
        let map = self.map.get_or_insert_default();
        if map.len() >= max_extents {
            return Err("a sparse file has too many pieces");
        }
        map.push(extent);
        Ok(())
    }
}

/// The first record's key and value, and what follows it.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    if length <= space + 1 || length > data.len() {
        return None;
    }
    let (whole, rest) = data.split_at(length);
    let body = whole[space + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

fn name(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.contains(&0) { Err("a name holds a NUL byte") } else { Ok(value.to_vec()) }
}

/// Digits only: no sign, no space.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

fn id(text: &[u8]) -> Option<u32> {
    decimal(text).and_then(|id| u32::try_from(id).ok())
}

/// `1234567890.123456789`, may be negative; digits beyond nanoseconds are cut.
fn time(text: &[u8]) -> Option<Mtime> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = dot.map_or((text, &b""[..]), |dot| (&text[..dot], &text[dot + 1..]));
    let secs = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0_u32, |sum, i| sum * 10 + fraction.get(i).map_or(0, |byte| u32::from(byte - b'0')));
    match (negative, nanos) {
        (false, _) => Some(Mtime { secs, nanos }),
        (true, 0) => Some(Mtime { secs: -secs, nanos }),
        (true, _) => Some(Mtime { secs: -secs - 1, nanos: 1_000_000_000 - nanos }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_strictly() {
        let pax = Pax::parse(b"9 path=a\n13 size=1234\n30 mtime=1350244992.023960108\n9 path=b\n8 path=\n", 10);
        let pax = pax.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(pax.path.as_deref(), Some(&b"b"[..]), "the last one counts, an empty one does not");
        assert_eq!(pax.size, Some(1234));
        assert_eq!(pax.mtime, Some(Mtime { secs: 1_350_244_992, nanos: 23_960_108 }));
    }

    #[test]
    fn malformed_records_are_refused() {
        let rows: &[&[u8]] = &[
            b"9 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"99999999999999999999 path=a\n",
            b" path=a\n",
            b"9path=ab\n",
            b"-9 path=a\n",
            b"4 =\n\n",
            b"5 a\n\n\n",
            b"2 \n",
            b"11 path=a\0b\n",
            b"9 size=x\n",
            b"10 size=-1\n",
            b"18 uid=4294967296\n",
            b"\0\0\0\0",
            b"9 path=a\n\0",
            b"24 GNU.sparse.map=0,1,2\n",
            b"23 GNU.sparse.offset=5\n",
            b"25 GNU.sparse.numbytes=5\n",
        ];
        for row in rows {
            assert!(Pax::parse(row, 10).is_err(), "{}", row.escape_ascii());
        }
    }

    #[test]
    fn times() {
        type Row = (&'static [u8], Option<(i64, u32)>);
        let rows: &[Row] = &[
            (b"0", Some((0, 0))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.", Some((1, 0))),
            (b"-1.25", Some((-2, 750_000_000))),
            (b"-3", Some((-3, 0))),
            (b"1.0000000019", Some((1, 1))),
            (b".5", None),
            (b"1.x", None),
            (b"99999999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(time(text).map(|t| (t.secs, t.nanos)), *expected, "{}", text.escape_ascii());
        }
    }
}
