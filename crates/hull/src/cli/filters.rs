//! `--filter name=value`.

use hull_types::Fault;
use hull_wire::Filters;

use super::failure::Failure;
use super::parse::shortened;

/// All flags as the API's filters.
pub(super) fn filters(flags: &[String]) -> Result<Filters, Failure> {
    let mut out = Filters::new();
    for flag in flags {
        match flag.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => out.add(name.trim().to_lowercase(), value.trim()),
            _ => {
                let shown = shortened(flag);
                return Err(Failure::usage(Fault::invalid(format!(
                    "invalid filter `{shown}`: write it as name=value"
                ))));
            }
        };
    }
    Ok(out)
}
