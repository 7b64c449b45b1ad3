//! A profile read line by line, for one call: what the compiled program must agree with.

use std::collections::HashMap;

use super::super::profile::{Action, Arch, Arg, Condition, Op, Profile, Rule};
use super::super::{Target, syscalls};
use super::machine::Call;

const ENOSYS: Action = Action::Errno(38);

/// A profile with its rules looked up by number, once.
pub(super) struct Naive<'a> {
    profile: &'a Profile,
    target: &'a Target,
    rules: HashMap<(Arch, u32), Vec<(&'a Rule, &'a str)>>,
}

impl<'a> Naive<'a> {
    pub(super) fn new(profile: &'a Profile, target: &'a Target) -> Self {
        let mut rules: HashMap<_, Vec<_>> = HashMap::new();
        for arch in [Arch::X86_64, Arch::X32, Arch::X86, Arch::Aarch64, Arch::Arm] {
            for rule in &profile.rules {
                for name in &rule.names {
                    if let Some(number) = syscalls::number(arch, name) {
                        let list = rules.entry((arch, number)).or_default();
                        list.push((rule, name.as_ref()));
                    }
                }
            }
        }
        Self { profile, target, rules }
    }

    /// What the call gets.
    pub(super) fn judge(&self, call: &Call) -> Action {
        let native = self.target.arch;
        let x32 = call.arch == super::X86_64 && call.number >= 0x4000_0000;
        let arch = match call.arch {
            super::X86_64 if x32 => Arch::X32,
            super::X86_64 => Arch::X86_64,
            super::X86 => Arch::X86,
            super::AARCH64 => Arch::Aarch64,
            super::ARM => Arch::Arm,
            _ => return Action::KillProcess,
        };
        let compat = self.profile.compat.iter().find(|(arch, _)| *arch == native);
        let listed = compat.is_some_and(|(_, others)| others.contains(&arch));
        if arch != native && !(listed && (arch != Arch::X32 || native == Arch::X86_64)) {
            let skipped = x32 && native == Arch::X86_64 && call.number == u32::MAX;
            return if skipped { ENOSYS } else { Action::KillProcess };
        }
        // Below 512 x32 has x86-64's calls; those it lacks are ENOSYS in the kernel itself.
        let arch = match arch {
            Arch::X32 if call.number < 0x4000_0200 => Arch::X86_64,
            arch => arch,
        };
        self.by_rules(arch, if x32 { call.number - 0x4000_0000 } else { call.number }, call)
    }

    fn by_rules(&self, arch: Arch, number: u32, call: &Call) -> Action {
        let named = self.rules.get(&(arch, number));
        let in_force = |rule: &Rule| in_force(rule, self.target) && rule.action != self.profile.default;
        let rules: Vec<(&Rule, &str)> =
            named.into_iter().flatten().copied().filter(|(rule, _)| in_force(rule)).collect();
        if let Some((rule, _)) = rules.iter().find(|(rule, _)| rule.args.is_empty()) {
            return rule.action;
        }
        match rules.iter().find(|(rule, name)| matches(rule, arch, name, call)) {
            Some((rule, _)) => rule.action,
            None if self.beyond(arch, number) => ENOSYS,
            None => self.profile.default,
        }
    }

    fn beyond(&self, arch: Arch, number: u32) -> bool {
        if matches!(self.profile.default, Action::Allow | Action::Log | Action::Trace(_)) {
            return false;
        }
        let mut numbers = self.rules.keys().filter(|(of, _)| *of == arch).map(|(_, n)| *n).peekable();
        let any = numbers.peek().is_some();
        // arm's private calls are a space of their own.
        let same = |other: &u32| arch != Arch::Arm || (*other >= 0xf_0000) == (number >= 0xf_0000);
        any && numbers.filter(same).max().is_none_or(|highest| number > highest)
    }
}

fn in_force(rule: &Rule, target: &Target) -> bool {
    let holds = |condition: &Condition| {
        let cap = |bit: u32| target.caps.0 & (1 << bit) != 0;
        let asked: Vec<u32> = (0..64).filter(|bit| condition.caps.0 & (1 << bit) != 0).collect();
        let go = match target.arch {
            Arch::Aarch64 => "arm64",
            _ => "amd64",
        };
        let arch = condition.arches.iter().any(|arch| arch == go);
        let kernel = condition.min_kernel.map(|least| least <= target.kernel);
        (asked.iter().all(|bit| cap(*bit)), asked.iter().any(|bit| cap(*bit)), arch, kernel)
    };
    let (all, _, arch, kernel) = holds(&rule.includes);
    let included = all && (arch || rule.includes.arches.is_empty()) && kernel != Some(false);
    let (_, any, arch, kernel) = holds(&rule.excludes);
    included && !any && !arch && kernel != Some(true)
}

fn matches(rule: &Rule, arch: Arch, name: &str, call: &Call) -> bool {
    let mut indexes: Vec<u8> = rule.args.iter().map(|arg| arg.index).collect();
    let given = indexes.len();
    indexes.sort_unstable();
    indexes.dedup();
    let mut results = rule.args.iter().map(|arg| compare(arg, arch, name, call));
    if indexes.len() < given { results.any(|holds| holds) } else { results.all(|holds| holds) }
}

fn compare(arg: &Arg, arch: Arch, name: &str, call: &Call) -> bool {
    let whole = call.args[usize::from(arg.index)];
    let int = match name {
        "socket" => arg.index < 3,
        "ioctl" => arg.index < 2,
        "personality" | "keyctl" | "bpf" => arg.index == 0,
        _ => false,
    };
    let lower = |value: u64| value & 0xffff_ffff;
    let narrow = int || matches!(arch, Arch::X86 | Arch::Arm);
    let small = arg.value <= 0xffff_ffff;
    // -1 of an int, as a 64-bit number.
    let negative = arg.value >= 0xffff_ffff_8000_0000;
    match arg.op {
        Op::Equal | Op::NotEqual => {
            let same =
                if narrow && (small || negative) { lower(whole) == lower(arg.value) } else { whole == arg.value };
            same == (arg.op == Op::Equal)
        }
        Op::MaskedEqual => {
            let wanted = arg.second & arg.value;
            if narrow && wanted <= 0xffff_ffff {
                lower(whole) & lower(arg.value) == wanted
            } else {
                whole & arg.value == wanted
            }
        }
        _ => {
            let left = if narrow && small { lower(whole) } else { whole };
            match arg.op {
                Op::Less => left < arg.value,
                Op::LessOrEqual => left <= arg.value,
                Op::Greater => left > arg.value,
                _ => left >= arg.value,
            }
        }
    }
}
