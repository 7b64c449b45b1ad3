//! Cases that `hull oci` does not meet yet. They are `ignored`, not hidden: `--run-ignored all` runs them.

/// By module and name.
pub const GAPS: &[&str] = &[];
