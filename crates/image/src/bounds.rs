//! [`Bounds`]: how much a layer may unpack to, as the host's owner wants it, in one file.
//!
//! ```json
//! /etc/hull/images.json
//! { "max-layer-size": "100g", "max-layer-entries": 2000000 }
//! ```

use std::path::Path;

use hull_archive::Limits;
use hull_types::{ByteSize, Fault};
use serde::Deserialize;

/// The file's name.
const FILE: &str = "images.json";

/// What one layer may at most unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the uncompressed archive.
    pub size: u64,
    /// Files, directories and everything else in it.
    pub entries: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        let Limits { bytes, entries, .. } = Limits::default();
        Self { size: bytes, entries }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    max_layer_size: Option<String>,
    max_layer_entries: Option<u64>,
}

impl Bounds {
    /// Reads `images.json` in this directory, which may be absent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(etc: &Path) -> Result<Self, Fault> {
        let path = etc.join(FILE);
        let wrong = |why: &dyn std::fmt::Display| {
            Fault::invalid(format!("{} cannot be used: {why}", path.display()))
                .hint("mend it, then `hull engine restart`; until then no image is brought in")
        };
        let file: File = match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => File::default(),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(wrong(&error)),
        };
        let usual = Self::default();
        let size = match &file.max_layer_size {
            Some(text) => text.parse::<ByteSize>().map_err(|error| wrong(&error))?.bytes().try_into().unwrap_or(0),
            None => usual.size,
        };
        let entries = file.max_layer_entries.unwrap_or(usual.entries);
        if size == 0 || entries == 0 {
            return Err(wrong(&"a bound of 0 would let no image in"));
        }
        Ok(Self { size, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Bounds, Fault> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Bounds::read(dir.path())
    }

    #[test]
    fn the_file_is_read_or_refused() {
        let usual = Bounds::default();
        assert_eq!(Bounds::read(Path::new("/does/not/exist")), Ok(usual));
        assert_eq!((read(" "), read("{}")), (Ok(usual), Ok(usual)));
        assert_eq!(read(r#"{"max-layer-size":"2g"}"#), Ok(Bounds { size: 2 << 30, ..usual }));
        assert_eq!(read(r#"{"max-layer-size":"512","max-layer-entries":7}"#), Ok(Bounds { size: 512, entries: 7 }));
        for bad in [
            r#"{"max-size":"2g"}"#,
            r#"{"max-layer-size":"much"}"#,
            r#"{"max-layer-size":"-1"}"#,
            r#"{"max-layer-size":"0"}"#,
            r#"{"max-layer-size":5}"#,
            r#"{"max-layer-entries":"5"}"#,
            r#"{"max-layer-entries":-5}"#,
            r#"{"max-layer-entries":0}"#,
            "{",
        ] {
            let fault = read(bad).unwrap_err();
            assert!(fault.summary.contains("images.json cannot be used"), "{bad}: {fault}");
        }
    }
}
