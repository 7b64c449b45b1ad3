//! `GET /hull/containers/{id}/explain`, which is hull's own: what a running container is, as the kernel shows it now, beside
//! what was asked for.
//!
//! `Asked` is empty where nothing was; `By` names the flag or the part of the image that a fact comes from.

use crate::macros::wire;
use crate::trace::PortTrace;

wire! {
    /// One container. Of one that does not run (`Status` tells), every `Now` is empty.
    struct Explanation {
        id: String,
        name: String,
        image: String,
        status: String,
        process: ExplainedProcess,
        namespaces: Vec<ExplainedNamespace>,
        limits: ExplainedLimits,
        root_filesystem: ExplainedRoot,
        confinement: ExplainedConfinement,
        network: ExplainedNetwork,
    }

    /// `GET /hull/containers/{id}/postmortem`: why a container ended. `Why` is one paragraph, `Hint` what to do, `LastLines` its
    /// last output.
    struct Postmortem {
        id: String,
        name: String,
        image: String,
        status: String,
        removed: bool,
        exit_code: i64,
        why: String,
        hint: String,
        evidence: Vec<ExplainedFact>,
        last_lines: Vec<String>,
    }

    /// `GET /hull/containers/{id}/start`: what was done when in a container's latest start. `Took` is in nanoseconds, from
    /// the engine's first step to the last before whoever asked is answered. `Error` is empty unless the start failed; then
    /// the last step did.
    struct StartStory {
        id: String,
        name: String,
        image: String,
        began: hull_types::Timestamp,
        took: i64,
        error: String,
        steps: Vec<StartStep>,
    }

    /// A step of a start. `At` is when it began, counted from the start's beginning, `Took` how long it took; both in
    /// nanoseconds. `By` is `engine`, `keeper` or `child`. `Failed`: it is what the start failed at.
    struct StartStep {
        at: i64,
        took: i64,
        by: String,
        part: String,
        what: String,
        failed: bool,
    }

    /// `GET /hull/containers/{id}/by-hand`: a container as a script of bash, and what differs in what that makes.
    struct ByHand {
        script: String,
        differences: Vec<String>,
    }

    /// A fact of the kernel.
    struct ExplainedFact {
        name: String,
        now: String,
        asked: String,
        by: String,
    }

    /// The processes, who stands above them, and who they are.
    struct ExplainedProcess {
        tree: Vec<ExplainedTask>,
        above: Vec<ExplainedTask>,
        reaped_by: String,
        uids: Vec<ExplainedIds>,
        gids: Vec<ExplainedIds>,
        facts: Vec<ExplainedFact>,
    }

    /// A process. `Pid` and `User` are the host's, `PidInside` and `UserInside` the container's; -1 inside: it has none there.
    struct ExplainedTask {
        pid: i32,
        pid_inside: i32,
        parent: i32,
        user: u32,
        user_inside: i64,
        command: String,
        omit executable: String,
        omit directory: String,
    }

    /// A range of ids: `Size` ids from `Inside` on are those from `Outside` on.
    struct ExplainedIds {
        inside: u32,
        outside: u32,
        size: u32,
    }

    /// A namespace. `Standing` is `private`, `host`, `engine` (hull's own, where hull itself runs in a container) or `shared`; `With` are the other containers in it; `Enter` is a command, if there is one: nobody enters the
    /// user namespace that he stands in.
    struct ExplainedNamespace {
        kind: String,
        flag: String,
        inode: u64,
        standing: String,
        with: Vec<String>,
        asked: String,
        by: String,
        enter: String,
    }

    /// The cgroup: its directory in each hierarchy, its limits, and how long its tasks waited.
    struct ExplainedLimits {
        groups: Vec<ExplainedGroup>,
        limits: Vec<ExplainedLimit>,
        pressure: Vec<ExplainedFact>,
    }

    /// A directory of the cgroup, and the controllers there.
    struct ExplainedGroup {
        controllers: Vec<String>,
        path: String,
    }

    /// A limit: as asked, as written, what is used, and what has happened.
    struct ExplainedLimit {
        name: String,
        asked: String,
        by: String,
        file: String,
        written: String,
        used: String,
        events: Vec<ExplainedFact>,
    }

    /// The root file system.
    struct ExplainedRoot {
        layers: Vec<ExplainedLayer>,
        changed: i64,
        changes: Vec<String>,
        mounts: Vec<ExplainedMount>,
        masked: Vec<String>,
        read_only: Vec<String>,
    }

    /// A layer, lowest first. `Id` is its chain id, `Digest` that of its files, as the image names it; `Step` made it.
    struct ExplainedLayer {
        id: String,
        omit digest: String,
        size: i64,
        step: String,
    }

    /// A mount, as in the container's `mountinfo`.
    struct ExplainedMount {
        target: String,
        kind: String,
        source: String,
        root: String,
        flags: String,
        propagation: String,
        idmapped: bool,
        by: String,
    }

    /// What PID 1 may do.
    struct ExplainedConfinement {
        kept: Vec<String>,
        dropped: Vec<String>,
        effective: Vec<String>,
        by: String,
        facts: Vec<ExplainedFact>,
        syscalls: Vec<ExplainedFact>,
    }

    /// The network.
    struct ExplainedNetwork {
        mode: String,
        interfaces: Vec<ExplainedInterface>,
        routes: Vec<ExplainedFact>,
        names: Vec<ExplainedFact>,
        ports: Vec<PortTrace>,
    }

    /// An interface inside, and what it hangs on outside.
    struct ExplainedInterface {
        name: String,
        network: String,
        up: bool,
        mac: String,
        addresses: Vec<String>,
        peer: String,
        bridge: String,
        by: String,
    }
}
