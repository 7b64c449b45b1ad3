//! Capability sets of the coming command.

use hull_sys::Result;
use hull_sys::caps::{self, Sets};

/// Reduces the bounding set, then writes the sets, then raises ambient ones. Only bits that the
/// process has are asked for: the keeper (or the kernel) may lack some.
pub(super) fn capabilities(bounding: u64, wanted: Sets, ambient: u64) -> Result<()> {
    let have = caps::get()?;
    // A change of uid empties the effective set; CAP_SETPCAP is needed to reduce the bounding set.
    if have.effective != have.permitted {
        caps::set(Sets { effective: have.permitted, ..have })?;
    }
    caps::limit_bounding(bounding)?;
    let permitted = wanted.permitted & have.permitted;
    let inheritable = wanted.inheritable & have.permitted;
    caps::set(Sets { effective: wanted.effective & permitted, permitted, inheritable })?;
    caps::set_ambient(ambient & permitted & inheritable)
}
