//! The 512-byte header block: its fields and numbers. Pure.

use super::BLOCK;

/// One header block.
pub(crate) struct Header<'a>(pub &'a [u8; BLOCK]);

/// Which dialect a header speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Before POSIX: no magic.
    V7,
    /// POSIX; PAX builds on it.
    Ustar,
    /// GNU.
    Gnu,
}

impl<'a> Header<'a> {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Whether the stored checksum is that of the block; old tars summed signed bytes.
    pub fn checksum_holds(&self) -> bool {
        let summed = |index: usize| if (148..156).contains(&index) { b' ' } else { self.0[index] };
        let unsigned: i64 = (0..BLOCK).map(|i| i64::from(summed(i))).sum();
        let signed: i64 = (0..BLOCK).map(|i| i64::from(summed(i).cast_signed())).sum();
        number(&self.0[148..156]).is_some_and(|stored| stored == unsigned || stored == signed)
    }

    pub fn dialect(&self) -> Dialect {
        match &self.0[257..265] {
            b"ustar  \0" => Dialect::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    pub fn flag(&self) -> u8 {
        self.0[156]
    }

    pub fn name(&self) -> &'a [u8] {
        text(&self.0[..100])
    }

    pub fn link(&self) -> &'a [u8] {
        text(&self.0[157..257])
    }

    /// The part of a POSIX name before its last slashes.
    pub fn prefix(&self) -> &'a [u8] {
        if self.dialect() == Dialect::Ustar { text(&self.0[345..500]) } else { &[] }
    }

    pub fn mode(&self) -> Option<i64> {
        number(&self.0[100..108])
    }

    pub fn uid(&self) -> Option<i64> {
        number(&self.0[108..116])
    }

    pub fn gid(&self) -> Option<i64> {
        number(&self.0[116..124])
    }

    pub fn size(&self) -> Option<u64> {
        number(&self.0[124..136]).and_then(|size| u64::try_from(size).ok())
    }

    pub fn mtime(&self) -> Option<i64> {
        number(&self.0[136..148])
    }

    /// Twelve bits of major and twenty of minor number: the kernel would cut what is larger, and make another device.
    pub fn device(&self) -> Option<(u32, u32)> {
        if self.dialect() == Dialect::V7 {
            return Some((0, 0));
        }
        let part = |field: &[u8], bits: u32| number(field).filter(|n| (0..1 << bits).contains(n)).map(|n| n as u32);
        Some((part(&self.0[329..337], 12)?, part(&self.0[337..345], 20)?))
    }
}

/// Up to the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// Octal digits between spaces and NULs, or GNU's big-endian two's complement behind a set top bit.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80.. => base256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let digits = text(field.trim_ascii_start()).trim_ascii_end();
    digits.iter().try_fold(0_i64, |sum, byte| match byte {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    // The top bit is the marker, the next one the sign.
    let first = (field[0] << 1).cast_signed() >> 1;
    field[1..].iter().try_fold(i64::from(first), |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_spelling() {
        let rows: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"+000644\0", None),
            (b"77777777777", Some(0o77_777_777_777)),
            (&[0x80, 0, 0, 0, 0, 0, 1, 0], Some(256)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(-1)),
            (&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(i64::MAX)),
            (&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
        ];
        for (field, expected) in rows {
            assert_eq!(number(field), *expected, "{}", field.escape_ascii());
        }
    }
}
