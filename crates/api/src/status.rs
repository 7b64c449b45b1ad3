//! Faults as HTTP: the status of each kind, and the body.

use hull_types::{Fault, Kind};
use hull_wire::ErrorResponse;

use crate::http::Reply;

/// The HTTP status of a kind. Docker's where it has one.
pub(crate) fn of(kind: Kind) -> u16 {
    match kind {
        Kind::NotModified => 304,
        // COMPAT(docker 28): a command that cannot be executed is the client's mistake.
        Kind::Invalid | Kind::NotExecutable | Kind::CommandNotFound => 400,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::Internal => 500,
        Kind::Unsupported => 501,
        Kind::Unavailable => 503,
    }
}

/// The answer that tells of a fault.
pub(crate) fn reply(fault: &Fault) -> Reply {
    with_status(of(fault.kind), fault)
}

/// As [`reply`], with a status that no kind has.
pub(crate) fn with_status(status: u16, fault: &Fault) -> Reply {
    if status == 304 {
        return Reply::empty(304);
    }
    match serde_json::to_vec(&ErrorResponse::from(fault)) {
        Ok(body) => Reply::json(status, body),
        Err(_) => Reply::empty(500),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_its_parts_on_the_way() {
        let fault = Fault::conflict("cannot do `x`").cause("because").hint("try y");
        let Reply::Whole { status, body, .. } = reply(&fault) else { panic!("a whole answer") };
        assert_eq!(status, 409);
        let decoded: ErrorResponse = hull_wire::decode(&body).unwrap();
        assert_eq!(decoded.message, "cannot do `x`: because");
        assert_eq!(decoded.into_fault(Kind::Internal), fault);
        assert!(matches!(reply(&Fault::new(Kind::NotModified, "")), Reply::Whole { status: 304, .. }));
    }
}
