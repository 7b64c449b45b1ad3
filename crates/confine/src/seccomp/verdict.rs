//! What each system call number of one architecture gets, as a list of ranges.
//!
//! Owns how rules combine, which is libseccomp's way: of the unconditional rules for a call the first
//! one holds and every conditional one is void; else the first rule whose arguments all match.
//! A rule that repeats the default action is void; a rule that tests one argument twice is one rule
//! per test (both as runc does).

use std::collections::BTreeMap;

use super::compile::Target;
use super::profile::{Action, Arch, Arg, Condition, ENOSYS, Op, Profile, Rule};
use super::syscalls::{self, ARM_PRIVATE};

/// One comparison. `narrow`: the kernel reads the lower half of the argument only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub arg: Arg,
    pub narrow: bool,
}

/// All tests must hold for the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub tests: Vec<Test>,
    pub action: Action,
}

/// The first clause that holds, else the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub clauses: Vec<Clause>,
    pub action: Action,
}

impl Verdict {
    pub(super) fn always(action: Action) -> Self {
        Self { clauses: Vec::new(), action }
    }
}

/// Arguments that the kernel declares as `int`: comparing 64 bits would let `1 << 32 | AF_VSOCK` pass
/// for another family, and `1 << 32 | TIOCSTI` for another ioctl (CVE-2019-10063).
const NARROW: [(&str, &[u8]); 11] = [
    ("arch_prctl", &[0]),
    ("bpf", &[0]),
    ("fcntl", &[0, 1]),
    ("ioctl", &[0, 1]),
    ("keyctl", &[0]),
    ("kill", &[0, 1]),
    ("personality", &[0]),
    ("prctl", &[0]),
    ("setns", &[0, 1]),
    ("socket", &[0, 1, 2]),
    ("socketpair", &[0, 1, 2]),
];

/// The first number of x32 that x86-64 does not have.
pub(super) const X32_OWN: u32 = 512;

/// The ranges of the number space of `arch`: first number of each range, ascending from 0, neighbours
/// different. x32's hold from [`X32_OWN`] on; below it the numbers are x86-64's.
pub(super) fn ranges(profile: &Profile, target: &Target, arch: Arch) -> Vec<(u32, Verdict)> {
    let mut ranges = space(profile, target, arch);
    if arch == Arch::X32 {
        let first = ranges.partition_point(|(start, _)| *start <= X32_OWN) - 1;
        ranges.drain(..first);
        ranges[0].0 = 0;
    }
    ranges
}

fn space(profile: &Profile, target: &Target, arch: Arch) -> Vec<(u32, Verdict)> {
    let known = known(profile, target, arch);
    let mut ranges = vec![(0, Verdict::always(profile.default))];
    let mut next = 0;
    for (number, verdict) in known {
        if number > next {
            ranges.push((next, Verdict::always(profile.default)));
        }
        ranges.push((number, verdict));
        next = number + 1;
    }
    ranges.push((next, Verdict::always(profile.default)));
    if let Some(answer) = newer(profile) {
        for (first, last) in beyond(profile, arch) {
            overlay(&mut ranges, first, last, &answer, profile.default);
        }
    }
    ranges.dedup_by(|later, earlier| {
        // Of two that start together the later one counts.
        if later.0 == earlier.0 {
            earlier.1 = later.1.clone();
        }
        later.0 == earlier.0
    });
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// Numbers above all that the profile names do not exist for it: a libc that tries a new call must
/// hear ENOSYS to fall back, not EPERM. As runc, unless the default is permissive.
fn newer(profile: &Profile) -> Option<Verdict> {
    let already = profile.default.permits() || profile.default == Action::Errno(ENOSYS);
    (!already).then(|| Verdict::always(Action::Errno(ENOSYS)))
}

/// The ranges of numbers above those that any rule of the profile names, in force or not.
fn beyond(profile: &Profile, arch: Arch) -> Vec<(u32, u32)> {
    let named = profile.rules.iter().flat_map(|rule| &rule.names);
    let numbers: Vec<u32> = named.filter_map(|name| syscalls::number(arch, name)).collect();
    if numbers.is_empty() {
        return Vec::new();
    }
    let above = |limit: u32| {
        let highest = numbers.iter().filter(|number| **number < limit).max();
        highest.map_or(0, |highest| highest + 1)
    };
    match arch {
        Arch::Arm => vec![(above(ARM_PRIVATE), ARM_PRIVATE - 1), (above(u32::MAX).max(ARM_PRIVATE), u32::MAX)],
        _ => vec![(above(u32::MAX), u32::MAX)],
    }
}

/// Replaces what holds from `first` to `last`, where only the default action stands.
fn overlay(ranges: &mut Vec<(u32, Verdict)>, first: u32, last: u32, verdict: &Verdict, default: Action) {
    if first > last {
        return;
    }
    let at = ranges.partition_point(|(start, _)| *start < first);
    let end = ranges.partition_point(|(start, _)| *start <= last);
    let mut new = vec![(first, verdict.clone())];
    let follows = ranges.get(end).is_some_and(|(start, _)| last.checked_add(1) == Some(*start));
    if last != u32::MAX && !follows {
        new.push((last + 1, Verdict::always(default)));
    }
    ranges.splice(at..end, new);
}

/// The verdict of every number that a rule in force names.
fn known(profile: &Profile, target: &Target, arch: Arch) -> BTreeMap<u32, Verdict> {
    let mut known: BTreeMap<u32, (Option<Action>, Vec<Clause>)> = BTreeMap::new();
    let in_force = profile.rules.iter().filter(|rule| rule.action != profile.default && applies(rule, target));
    for rule in in_force {
        for name in &rule.names {
            let Some(number) = syscalls::number(arch, name) else {
                continue;
            };
            let (unconditional, clauses) = known.entry(number).or_default();
            if rule.args.is_empty() {
                unconditional.get_or_insert(rule.action);
            } else {
                clauses.extend(clauses_of(rule, arch, name));
            }
        }
    }
    let decide = |(number, (unconditional, clauses))| {
        let verdict = match unconditional {
            Some(action) => Verdict::always(action),
            None => Verdict { clauses, action: profile.default },
        };
        (number, verdict)
    };
    known.into_iter().map(decide).collect()
}

fn applies(rule: &Rule, target: &Target) -> bool {
    let Condition { caps, unknown_caps, arches, min_kernel } = &rule.includes;
    let native = |arches: &[std::borrow::Cow<'_, str>]| arches.iter().any(|arch| arch == target.arch.go_name());
    let included = target.caps.contains(*caps)
        && !unknown_caps
        && (arches.is_empty() || native(arches))
        && min_kernel.is_none_or(|least| target.kernel >= least);
    let excluded = !target.caps.and(rule.excludes.caps).is_empty()
        || native(&rule.excludes.arches)
        || rule.excludes.min_kernel.is_some_and(|least| target.kernel >= least);
    included && !excluded
}

fn clauses_of(rule: &Rule, arch: Arch, name: &str) -> Vec<Clause> {
    let tests: Vec<Test> = rule.args.iter().map(|arg| test(*arg, arch, name)).collect();
    let twice = (0..6).any(|index| rule.args.iter().filter(|arg| arg.index == index).count() > 1);
    let clause = |tests: &[Test]| Clause { tests: tests.to_vec(), action: rule.action };
    if twice { tests.chunks(1).map(clause).collect() } else { vec![clause(&tests)] }
}

/// Settles which halves are compared. A value that needs its upper half keeps it, except that a
/// negative `int`, written with all upper bits set, is what its lower half says.
fn test(mut arg: Arg, arch: Arch, name: &str) -> Test {
    let declared = NARROW.iter().any(|(call, indexes)| *call == name && indexes.contains(&arg.index));
    if arg.op == Op::MaskedEqual {
        arg.second &= arg.value;
    }
    let fits = match arg.op {
        Op::MaskedEqual => arg.second >> 32 == 0,
        Op::Equal | Op::NotEqual => arg.value >> 32 == 0 || arg.value as i64 == i64::from(arg.value as i32),
        _ => arg.value >> 32 == 0,
    };
    let narrow = fits && (declared || matches!(arch, Arch::X86 | Arch::Arm));
    if narrow {
        arg.value &= u64::from(u32::MAX);
    }
    Test { arg, narrow }
}
