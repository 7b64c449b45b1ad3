//! Names of volumes, which are names of directories.

use crate::error::Error;

/// `NAME_MAX`.
const LONGEST: usize = 255;

/// docker's grammar: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
///
/// # Errors
/// [`Error::Name`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && rest && (2..=LONGEST).contains(&name.len()) {
        return Ok(());
    }
    Err(Error::Name(name.chars().take(64).flat_map(char::escape_debug).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ab", "data-1", "A.b_c", &"x".repeat(255)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(1 << 20);
        for bad in ["", "a", ".a", "-a", "a/b", "..", "a b", "a\n", "ä1", "a\0b", &long] {
            let error = check_name(bad).expect_err("must be refused");
            assert!(error.to_string().len() < 400, "{error}");
        }
    }
}
