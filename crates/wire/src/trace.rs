//! `GET /hull/trace/{container}`, which is hull's own: the way of a packet to a process, and from where it can be gone.

use crate::macros::wire;

wire! {
    /// One container's ports.
    struct NetworkTrace {
        id: String,
        name: String,
        ports: Vec<PortTrace>,
    }

    /// One port of a container: the hops from outside to the process, and who reaches it.
    struct PortTrace {
        port: String,
        hops: Vec<TraceHop>,
        from: Vec<TraceFrom>,
    }

    /// One step of the way. `Kind` is `address`, `rule`, `host`, `bridge`, `parent`, `wire`, `interface` or `socket`; where
    /// `Passes` is false, the way ends here for some, and `Says` tells for whom.
    struct TraceHop {
        kind: String,
        at: String,
        says: String,
        passes: bool,
    }

    /// Somebody, and whether that one reaches the port: where, or why not.
    struct TraceFrom {
        who: String,
        reaches: bool,
        at: Vec<String>,
        why: String,
    }
}
