//! What a bundle may say and hull does not do, refused by name before any effect.

use crate::config::{Config, Linux, Resources};
use crate::error::{Error, Result};

/// Looks at the whole document.
pub fn check(config: &Config) -> Result<()> {
    for (field, present) in [
        ("solaris", config.solaris.is_some()),
        ("windows", config.windows.is_some()),
        ("vm", config.vm.is_some()),
        ("zos", config.zos.is_some()),
    ] {
        if present {
            return Err(Error::unsupported(field, "this host runs Linux"));
        }
    }
    if !config.oci_version.is_empty() && !matches!(config.oci_version.split('.').next(), Some("0" | "1")) {
        return Err(Error::unsupported("ociVersion", format!("{:?} is neither 0.x nor 1.x", config.oci_version)));
    }
    if config.oci_version.is_empty() {
        return Err(Error::invalid("ociVersion", "is missing in config.json"));
    }
    if let Some(process) = &config.process
        && process.command_line.is_some()
    {
        return Err(Error::unsupported("process.commandLine", "it is for Windows"));
    }
    config.linux.as_ref().map_or(Ok(()), linux)
}

fn linux(linux: &Linux) -> Result<()> {
    if linux.intel_rdt.is_some() {
        return Err(Error::unsupported("linux.intelRdt", "there is no support for resctrl"));
    }
    if linux.memory_policy.is_some() {
        return Err(Error::unsupported("linux.memoryPolicy", "there is no support for set_mempolicy"));
    }
    linux.resources.as_ref().map_or(Ok(()), resources)
}

/// Of `linux.resources`, and of what `update` reads.
pub fn resources(resources: &Resources) -> Result<()> {
    let limited = |value: Option<i64>| value.is_some_and(|value| value > 0);
    if let Some(memory) = &resources.memory {
        for (field, value) in [("kernel", memory.kernel), ("kernelTCP", memory.kernel_tcp)] {
            if limited(value) {
                let field = format!("linux.resources.memory.{field}");
                return Err(Error::unsupported(field, "kernels since 5.4 have no limit of their own for it"));
            }
        }
    }
    if let Some(io) = &resources.block_io
        && (io.leaf_weight.is_some_and(|weight| weight > 0)
            || io.weight_device.iter().any(|device| device.leaf_weight.is_some_and(|weight| weight > 0)))
    {
        return Err(Error::unsupported("linux.resources.blockIO.leafWeight", "kernels since 5.0 have no leaf weights"));
    }
    Ok(())
}
