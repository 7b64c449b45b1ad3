//! [`Limits`]: how much an untrusted archive may ask for.

/// Bounds on one archive. The defaults are far above any real image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of an entry's name or link target.
    pub name: usize,
    /// Components of an entry's name.
    pub depth: usize,
    /// Bytes of content written to disk, holes not counted.
    pub bytes: u64,
    /// Bytes of extended headers of one entry.
    pub metadata: u64,
    /// Pieces of one sparse file.
    pub extents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 10_000_000, name: 4095, depth: 1024, bytes: 1 << 40, metadata: 1 << 20, extents: 1 << 17 }
    }
}
