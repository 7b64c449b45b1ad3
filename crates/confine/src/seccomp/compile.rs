//! [`compile`]: a profile for one container, as a BPF program.
//!
//! Owns the shape of the program: architecture, tree over numbers, argument tests. What a number gets
//! is decided in `verdict`.

use super::assemble::{Assembler, Jump, Label};
use super::profile::{Action, Arch, ENOSYS, Kernel, Op, Profile};
use super::verdict::{self, Clause, Test, Verdict};
use crate::Error;
use crate::caps::CapSet;

/// `BPF_MAXINSNS`
const LONGEST: usize = 4096;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;
/// Bit 30 marks a number of x86-64 as x32's.
const X32_BIT: u32 = 0x4000_0000;
/// No kernel has a call beyond; wide ranges above do not draw the tree to themselves.
const COUNTED: u32 = 512;
/// Single numbers that a leaf tests one after the other.
const EXCEPTIONS: usize = 3;

/// What a program depends on besides the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The machine's own architecture: x86-64 or aarch64.
    pub arch: Arch,
    /// The container's bounding set.
    pub caps: CapSet,
    /// The running kernel.
    pub kernel: Kernel,
}

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `struct sock_filter`, eight bytes each, as they lie in memory.
    pub filter: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2).
    pub flags: u32,
    /// Whether a process may always ask for the time (`clock_gettime`).
    pub clock: bool,
}

/// Compiles `profile` for `target`.
pub fn compile(profile: &Profile, target: &Target) -> Result<Program, Error> {
    let mut out = Assembler::default();
    let mut entry = out.ret(Action::KillProcess.code());
    let others = compat(profile, target.arch).iter().filter(|arch| **arch != Arch::X32 && **arch != target.arch);
    // ORDER: the native architecture is written last, hence tested first.
    for arch in others.chain([&target.arch]) {
        let tree = numbers(&mut out, &verdict::ranges(profile, target, *arch));
        let tree = match arch {
            Arch::X86_64 => x32(&mut out, profile, target, tree),
            _ => tree,
        };
        let body = out.load(NUMBER, tree);
        entry = out.branch(Jump::Equal, audit(*arch), body, entry);
        if out.len() > LONGEST {
            break;
        }
    }
    out.load(ARCH, entry);
    if out.len() > LONGEST {
        return Err(Error::SeccompTooLarge(out.len()));
    }
    Ok(Program { filter: out.finish(), flags: profile.flags, clock: clock(profile, target) })
}

/// Most kernels tell the time without a call, but none promises that.
fn clock(profile: &Profile, target: &Target) -> bool {
    let told = profile.told(target, "clock_gettime");
    told.is_some_and(|told| told.iter().all(|(_, action)| *action == Action::Allow))
}

/// The architectures whose calls a process of `native` may use besides its own.
pub(super) fn compat(profile: &Profile, native: Arch) -> &[Arch] {
    let found = profile.compat.iter().find(|(arch, _)| *arch == native);
    found.map_or(&[], |(_, others)| others)
}

/// `AUDIT_ARCH_*`; x32 has x86-64's.
fn audit(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 | Arch::X32 => 0xc000_003e,
        Arch::X86 => 0x4000_0003,
        Arch::Aarch64 => 0xc000_00b7,
        Arch::Arm => 0x4000_0028,
    }
}

/// x86-64's tree preceded by the test of bit 30. Below 512 an x32 call has x86-64's number and gets
/// x86-64's answer (a number that x32 lacks is ENOSYS in the kernel, whatever the filter says), so
/// the bit is cleared and the same tree walked.
fn x32(out: &mut Assembler, profile: &Profile, target: &Target, native: Label) -> Label {
    let marked = if compat(profile, Arch::X86_64).contains(&Arch::X32) {
        let mut ranges = verdict::ranges(profile, target, Arch::X32);
        for (start, _) in &mut ranges {
            *start |= X32_BIT;
        }
        let own = numbers(out, &ranges);
        let shared = out.and(!X32_BIT, native);
        out.branch(Jump::GreaterOrEqual, X32_BIT | verdict::X32_OWN, own, shared)
    } else {
        // A number of -1 is what a tracer leaves to skip the call.
        let skipped = out.ret(Action::Errno(ENOSYS).code());
        let killed = out.ret(Action::KillProcess.code());
        out.branch(Jump::Equal, u32::MAX, skipped, killed)
    };
    out.branch(Jump::GreaterOrEqual, X32_BIT, marked, native)
}

/// A stretch of numbers with one verdict, but for a few.
struct Stretch<'a> {
    start: u32,
    verdict: &'a Verdict,
    exceptions: Vec<(u32, &'a Verdict)>,
}

/// Finds the verdict of the number in the accumulator.
///
/// The kernel runs the filter for each of its calls when it is loaded, to learn which are always
/// allowed; so both the length of the program and the mean length of a path cost time at each start.
fn numbers(out: &mut Assembler, ranges: &[(u32, Verdict)]) -> Label {
    let stretches = stretches(ranges);
    let end = stretches.last().map_or(0, |last| place(last) + 1);
    tree(out, &stretches, end.max(COUNTED))
}

/// Takes single numbers between two ranges of one verdict as exceptions: one comparison, not two.
fn stretches(ranges: &[(u32, Verdict)]) -> Vec<Stretch<'_>> {
    let mut stretches: Vec<Stretch<'_>> = Vec::new();
    let mut rest = ranges;
    while let [(start, verdict), after @ ..] = rest {
        rest = after;
        if let (Some(last), [(next, following), further @ ..]) = (stretches.last_mut(), after)
            && next - start == 1
            && following == last.verdict
            && last.exceptions.len() < EXCEPTIONS
        {
            last.exceptions.push((*start, verdict));
            rest = further;
        } else {
            stretches.push(Stretch { start: *start, verdict, exceptions: Vec::new() });
        }
    }
    stretches
}

/// A tree balanced by how many numbers lie on each side; `end` is the first one after the last.
fn tree(out: &mut Assembler, stretches: &[Stretch<'_>], end: u32) -> Label {
    match stretches {
        [] => out.ret(Action::KillProcess.code()),
        [stretch] => {
            let usual = leaf(out, stretch.verdict);
            let exceptions = stretch.exceptions.iter();
            exceptions.fold(usual, |next, (number, verdict)| {
                let special = leaf(out, verdict);
                out.branch(Jump::Equal, *number, special, next)
            })
        }
        _ => {
            let (low, high) = stretches.split_at(middle(stretches, end));
            let above = tree(out, high, end);
            let below = tree(out, low, place(&high[0]));
            out.branch(Jump::GreaterOrEqual, high[0].start, above, below)
        }
    }
}

/// Where to split two or more stretches: at the start nearest to the middle of the numbers.
fn middle(stretches: &[Stretch<'_>], end: u32) -> usize {
    let wanted = u32::midpoint(place(&stretches[0]), end);
    let candidates = 1..stretches.len();
    candidates.min_by_key(|at| place(&stretches[*at]).abs_diff(wanted)).unwrap_or(1)
}

fn place(stretch: &Stretch<'_>) -> u32 {
    stretch.start & !X32_BIT
}

fn leaf(out: &mut Assembler, verdict: &Verdict) -> Label {
    let otherwise = out.ret(verdict.action.code());
    let clauses = verdict.clauses.iter().rev();
    clauses.fold(otherwise, |next, clause| self::clause(out, clause, next))
}

fn clause(out: &mut Assembler, clause: &Clause, otherwise: Label) -> Label {
    let matched = out.ret(clause.action.code());
    let tests = clause.tests.iter().rev();
    tests.fold(matched, |yes, test| self::test(out, test, yes, otherwise))
}

/// Compares one argument: the upper half where it counts, then the lower.
fn test(out: &mut Assembler, test: &Test, yes: Label, no: Label) -> Label {
    let arg = &test.arg;
    let lower = ARGS + 8 * u32::from(arg.index);
    let upper = lower + 4;
    let (high, low) = ((arg.value >> 32) as u32, arg.value as u32);
    let (jump, yes, no) = match arg.op {
        Op::MaskedEqual => return masked(out, test, yes, no),
        Op::Equal => (Jump::Equal, yes, no),
        Op::NotEqual => (Jump::Equal, no, yes),
        Op::Greater => (Jump::Greater, yes, no),
        Op::LessOrEqual => (Jump::Greater, no, yes),
        Op::GreaterOrEqual => (Jump::GreaterOrEqual, yes, no),
        Op::Less => (Jump::GreaterOrEqual, no, yes),
    };
    let compared = out.branch(jump, low, yes, no);
    let below = out.load(lower, compared);
    if test.narrow {
        return below;
    }
    let equal = out.branch(Jump::Equal, high, below, no);
    let first = match jump {
        Jump::Equal => equal,
        Jump::Greater | Jump::GreaterOrEqual => out.branch(Jump::Greater, high, yes, equal),
    };
    out.load(upper, first)
}

fn masked(out: &mut Assembler, test: &Test, yes: Label, no: Label) -> Label {
    let arg = &test.arg;
    let lower = ARGS + 8 * u32::from(arg.index);
    let half = |out: &mut Assembler, offset, mask: u32, value: u32, yes| {
        let compared = out.branch(Jump::Equal, value, yes, no);
        let masked = out.and(mask, compared);
        out.load(offset, masked)
    };
    let low = half(out, lower, arg.value as u32, arg.second as u32, yes);
    let mask = (arg.value >> 32) as u32;
    if test.narrow || mask == 0 {
        return low;
    }
    half(out, lower + 4, mask, (arg.second >> 32) as u32, low)
}
