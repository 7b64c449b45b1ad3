//! Maps of sparse files: GNU's old format, and PAX versions 0.0, 0.1 and 1.0.
//!
//! Source: GNU tar manual, "Storing Sparse Files".

use super::BLOCK;
use super::entry::Extent;
use super::header::number;
use super::pax::decimal;

/// Descriptors in the header block of an old GNU sparse file, and whether more blocks follow.
pub(crate) fn old_header(block: &[u8; BLOCK], map: &mut Vec<Extent>) -> Option<bool> {
    descriptors(&block[386..386 + 4 * 24], map)?;
    Some(block[482] != 0)
}

/// The logical size in the header block of an old GNU sparse file.
pub(crate) fn old_size(block: &[u8; BLOCK]) -> Option<u64> {
    u64::try_from(number(&block[483..495])?).ok()
}

/// Descriptors in a continuation block, and whether more blocks follow.
pub(crate) fn old_more(block: &[u8; BLOCK], map: &mut Vec<Extent>) -> Option<bool> {
    descriptors(&block[..21 * 24], map)?;
    Some(block[504] != 0)
}

fn descriptors(fields: &[u8], map: &mut Vec<Extent>) -> Option<()> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 {
            return Some(());
        }
        let part = |field: &[u8]| number(field).and_then(|n| u64::try_from(n).ok());
        map.push(Extent { offset: part(&field[..12])?, length: part(&field[12..])? });
    }
    Some(())
}

/// The decimal lines before the content of a PAX 1.0 sparse file.
#[derive(Default)]
pub(crate) struct MapLines {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl MapLines {
    /// Takes one block; the map, if this block ends it.
    pub fn block(&mut self, block: &[u8; BLOCK], max: usize) -> Result<Option<Vec<Extent>>, &'static str> {
        const BAD: &str = "the sparse map is malformed";
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err(BAD);
                }
                continue;
            }
            self.numbers.push(decimal(&self.line).ok_or(BAD)?);
            self.line.clear();
            let count = usize::try_from(self.numbers[0]).unwrap_or(usize::MAX);
            if count > max {
                return Err("a sparse file has too many pieces");
            }
            if self.numbers.len() > count * 2 {
                let pairs = self.numbers[1..].chunks_exact(2);
                return Ok(Some(pairs.map(|pair| Extent { offset: pair[0], length: pair[1] }).collect()));
            }
        }
        Ok(None)
    }
}

/// Pieces must ascend, not overlap, lie within the file and hold exactly the stored bytes.
pub(crate) fn check(map: &[Extent], size: u64, stored: u64) -> Result<(), &'static str> {
    const BAD: &str = "the sparse map contradicts the file's size";
    let (mut end, mut sum) = (0_u64, 0_u64);
    for extent in map {
        if extent.offset < end {
            return Err("pieces of a sparse file overlap");
        }
        end = extent.offset.checked_add(extent.length).ok_or(BAD)?;
        sum += extent.length;
    }
    if end > size || sum != stored || size > i64::MAX.cast_unsigned() { Err(BAD) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie_are_refused() {
        let extent = |offset, length| Extent { offset, length };
        assert!(check(&[extent(0, 5), extent(10, 5)], 20, 10).is_ok());
        assert!(check(&[extent(0, 5), extent(5, 0), extent(20, 0)], 20, 5).is_ok());
        let rows = [
            (vec![extent(0, 5), extent(4, 5)], 20, 10),
            (vec![extent(0, 5), extent(10, 5)], 14, 10),
            (vec![extent(0, 5), extent(10, 5)], 20, 11),
            (vec![extent(u64::MAX, 5)], 20, 5),
            (vec![extent(10, 5), extent(0, 5)], 20, 10),
            (vec![], u64::MAX, 0),
        ];
        for (map, size, stored) in rows {
            assert!(check(&map, size, stored).is_err(), "{map:?}");
        }
    }

    #[test]
    fn map_lines_end_where_the_count_says() {
        let block = |text: &[u8]| {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text);
            block
        };
        let map = MapLines::default().block(&block(b"1\n512\n1024\n"), 9).unwrap();
        assert_eq!(map, Some(vec![Extent { offset: 512, length: 1024 }]));
        assert_eq!(MapLines::default().block(&block(b"0\n"), 9).unwrap(), Some(vec![]));
        for bad in [&b"1\n-5\n3\n"[..], b"x\n", b"99\n", b"111111111111111111111111\n", b""] {
            assert!(MapLines::default().block(&block(bad), 9).is_err(), "{}", bad.escape_ascii());
        }
    }
}
