//! Single lines: image references and `WWW-Authenticate`.

use hull_registry::Challenge;
use hull_types::ImageRef;

/// A reference that is read means the same when it is written, in both of its forms.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = text.parse::<ImageRef>() else { return };
    for form in [found.full(), found.familiar()] {
        assert_eq!(form.parse::<ImageRef>().as_ref(), Ok(&found), "`{text}` becomes `{form}`");
    }
    assert!(!found.path().is_empty() && !found.domain().is_empty(), "`{text}`");
    let outside = |c: char| !(c.is_ascii_alphanumeric() || "._-/:@[]+".contains(c));
    assert!(!found.full().contains(outside) && !found.path().contains(".."), "`{text}` is `{}`", found.full());
}

/// A challenge invents nothing: what it holds stands in the header.
pub fn challenge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(Challenge::Bearer { realm, service, scope }) = Challenge::parse(text) else { return };
    let parts = [Some(realm), service, scope];
    let length: usize = parts.iter().flatten().map(String::len).sum();
    assert!(length <= text.len(), "{parts:?} of `{text}`");
}
