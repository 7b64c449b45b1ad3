//! [`Profile`]: what is asked for, before architecture, capabilities and kernel are known.
//!
//! Owns the vocabulary (actions, operators, architectures) and hull's default.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::table::{Only, ROWS};
use crate::Error;
use crate::caps::CapSet;

/// `EPERM`, the errno of a refusal that names none.
pub(super) const EPERM: u16 = 1;
/// `ENOSYS`: as if the kernel did not have the call.
pub(super) const ENOSYS: u16 = 38;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: what runc sets unless the profile names flags.
pub(super) const SPEC_ALLOW: u32 = 1 << 2;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(super) const NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
pub(super) const WAIT_KILLABLE: u32 = 1 << 5;

/// What a system call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The process dies of SIGSYS.
    KillProcess,
    /// The thread dies.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// The call fails with this errno.
    Errno(u16),
    /// A tracer is asked; this is its message.
    Trace(u16),
    /// The call is logged and happens.
    Log,
    /// A listener is asked.
    Notify,
    /// The call happens.
    Allow,
}

impl Action {
    /// `SECCOMP_RET_*` with its data (linux/seccomp.h).
    pub fn code(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Trace(message) => 0x7ff0_0000 | u32::from(message),
            Self::Log => 0x7ffc_0000,
            Self::Notify => 0x7fc0_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// A call that the profile does not know happens anyway (a tracer is trusted to answer ENOSYS).
    pub(super) fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `argument & value == second & value`
    MaskedEqual,
}

/// One condition on an argument; unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Arg {
    pub index: u8,
    pub op: Op,
    pub value: u64,
    pub second: u64,
}

impl Arg {
    pub(super) const fn new(index: u8, op: Op, value: u64) -> Self {
        Self { index, op, value, second: 0 }
    }

    pub(super) const fn masked(index: u8, mask: u64, second: u64) -> Self {
        Self { index, op: Op::MaskedEqual, value: mask, second }
    }
}

/// An architecture whose system calls hull can filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// x86-64 with 32-bit pointers.
    X32,
    /// i386.
    X86,
    /// 64-bit arm.
    Aarch64,
    /// 32-bit arm.
    Arm,
}

impl Arch {
    /// The architecture that this binary was built for.
    pub const NATIVE: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// Go's name, as profiles have it in `arches`.
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X32 => "x32",
            Self::X86 => "x86",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
        }
    }
}

/// A kernel's version: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kernel(pub u32, pub u32);

impl FromStr for Kernel {
    type Err = Error;

    /// Reads `6.1`, and uname's `6.1.0-22-amd64`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |part: Option<&str>| {
            let digits = part?.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        let mut parts = text.trim().split('.');
        match (number(parts.next()), number(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self(major, minor)),
            _ => Err(Error::KernelVersion(text.chars().take(64).collect())),
        }
    }
}

/// A condition on the container: all of it to include a rule, any of it to exclude one.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub caps: CapSet,
    /// A capability that hull does not know is held by nobody.
    pub unknown_caps: bool,
    pub arches: Vec<Cow<'static, str>>,
    pub min_kernel: Option<Kernel>,
}

/// These system calls get this action where all arguments match.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub names: Vec<Cow<'static, str>>,
    pub action: Action,
    pub args: Vec<Arg>,
    pub includes: Condition,
    pub excludes: Condition,
}

/// A seccomp profile.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(super) default: Action,
    /// For each native architecture, the others that its processes may use.
    pub(super) compat: Vec<(Arch, Vec<Arch>)>,
    pub(super) rules: Vec<Rule>,
    pub(super) flags: u32,
    digest: [u8; 32],
}

impl Profile {
    /// hull's default: docker's, less its two gaps (see `hardened`).
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Profile> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let mut rules: Vec<Rule> = ROWS.iter().map(Rule::from).collect();
            hardened(&mut rules);
            Self {
                default: Action::Errno(EPERM),
                compat: vec![(Arch::X86_64, vec![Arch::X86, Arch::X32]), (Arch::Aarch64, vec![Arch::Arm])],
                rules,
                flags: SPEC_ALLOW,
                digest: Sha256::digest(b"builtin").into(),
            }
        })
    }

    /// Reads docker's form or the OCI runtime specification's.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut profile = super::json::parse(text, false)?;
        profile.digest = Sha256::digest(text).into();
        Ok(profile)
    }

    /// As [`Profile::parse`], for a launcher that hands the listener on: the filter of a profile that
    /// [asks](Profile::asks) has one.
    pub fn parse_bundle(text: &str) -> Result<Self, Error> {
        let mut profile = super::json::parse(text, true)?;
        profile.flags &= !NEW_LISTENER;
        if profile.asks() {
            profile.flags |= NEW_LISTENER;
        } else {
            profile.flags &= !WAIT_KILLABLE;
        }
        Ok(profile)
    }

    /// Whether a listener is asked about some call.
    pub fn asks(&self) -> bool {
        self.default == Action::Notify || self.rules.iter().any(|rule| rule.action == Action::Notify)
    }

    /// SHA-256 of the source text; equal profiles compile to equal programs.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    pub(super) fn assembled(default: Action, compat: Vec<(Arch, Vec<Arch>)>, rules: Vec<Rule>, flags: u32) -> Self {
        Self { default, compat, rules, flags, digest: [0; 32] }
    }
}

/// `socketcall(SYS_SOCKET, …)` of i386 hides the address family behind a pointer, so that AF_ALG
/// (CVE-2026-31431) and AF_VSOCK, refused to `socket`, could be had by any process through `int 0x80`.
/// docker leaves that to AppArmor, which hull cannot presume. The kernel has had the direct call
/// since 4.3. The other gap, high bits in an `int`, is closed in `verdict` for every profile.
fn hardened(rules: &mut Vec<Rule>) {
    const SYS_SOCKET: u64 = 1;
    for rule in rules.iter_mut() {
        rule.names.retain(|name| name != "socketcall");
    }
    rules.push(Rule {
        names: vec!["socketcall".into()],
        action: Action::Allow,
        args: vec![Arg::new(0, Op::NotEqual, SYS_SOCKET)],
        includes: Condition::default(),
        excludes: Condition::default(),
    });
}

impl From<&super::table::Row> for Rule {
    fn from(row: &super::table::Row) -> Self {
        Self {
            names: row.names.iter().map(|name| (*name).into()).collect(),
            action: row.action,
            args: row.args.to_vec(),
            includes: row.includes.into(),
            excludes: row.excludes.into(),
        }
    }
}

impl From<Only> for Condition {
    fn from(only: Only) -> Self {
        let mut condition = Self {
            arches: only.arches.iter().map(|arch| (*arch).into()).collect(),
            min_kernel: only.min_kernel,
            ..Self::default()
        };
        condition.add_caps(only.caps);
        condition
    }
}

impl Condition {
    pub(super) fn add_caps<S: AsRef<str>>(&mut self, names: &[S]) {
        for name in names {
            match CapSet::named(name.as_ref()) {
                Some(cap) => self.caps = self.caps.or(cap),
                None => self.unknown_caps = true,
            }
        }
    }
}
