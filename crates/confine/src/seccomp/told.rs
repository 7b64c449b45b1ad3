//! What a named system call gets, for people.

use super::compile::Target;
use super::profile::{Action, Arg, Op, Profile};
use super::{syscalls, verdict};

impl Profile {
    /// What the system call of this name gets of the native architecture, as pairs of a condition on its arguments
    /// (`arg 0 = 5`, empty for always or otherwise) and the action, the first that holds deciding. `None`: no such call is
    /// known.
    pub fn told(&self, target: &Target, name: &str) -> Option<Vec<(String, Action)>> {
        let number = syscalls::number(target.arch, name)?;
        let ranges = verdict::ranges(self, target, target.arch);
        let at = ranges.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        let found = &ranges[at].1;
        let clause = |clause: &verdict::Clause| {
            let tests: Vec<String> = clause.tests.iter().map(|test| words(&test.arg)).collect();
            (tests.join(" and "), clause.action)
        };
        Some(found.clauses.iter().map(clause).chain([(String::new(), found.action)]).collect())
    }
}

impl Action {
    /// In a few words.
    pub fn words(self) -> String {
        match self {
            Self::KillProcess => "the process is killed (SIGSYS)".into(),
            Self::KillThread => "the thread is killed".into(),
            Self::Trap => "the thread gets SIGSYS".into(),
            Self::Errno(number) => format!("refused: {}", std::io::Error::from_raw_os_error(number.into())),
            Self::Trace(_) => "a tracer is asked".into(),
            Self::Log => "allowed, and logged".into(),
            Self::Notify => "a listener is asked".into(),
            Self::Allow => "allowed".into(),
        }
    }
}

fn words(arg: &Arg) -> String {
    let (index, value) = (arg.index, arg.value);
    let sign = match arg.op {
        Op::NotEqual => "≠",
        Op::Less => "<",
        Op::LessOrEqual => "≤",
        Op::Equal => "=",
        Op::GreaterOrEqual => "≥",
        Op::Greater => ">",
        Op::MaskedEqual => return format!("arg {index} & {value:#x} = {:#x}", arg.second),
    };
    format!("arg {index} {sign} {value:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{CapSet, DEFAULT};
    use crate::seccomp::{Arch, Kernel};

    fn told(caps: CapSet, name: &str) -> Option<Vec<(String, Action)>> {
        let target = Target { arch: Arch::NATIVE, caps, kernel: Kernel(6, 1) };
        Profile::builtin().told(&target, name)
    }

    #[test]
    fn a_capability_changes_the_verdict_of_mount() {
        assert_eq!(told(DEFAULT, "mount"), Some(vec![(String::new(), Action::Errno(1))]));
        let more = DEFAULT.or(CapSet::named("SYS_ADMIN").unwrap());
        assert_eq!(told(more, "mount"), Some(vec![(String::new(), Action::Allow)]));
        assert_eq!(told(DEFAULT, "read"), Some(vec![(String::new(), Action::Allow)]));
        assert_eq!(told(DEFAULT, "no_such_call"), None);
    }

    #[test]
    fn conditions_on_arguments_are_told() {
        let clone = told(DEFAULT, "clone").unwrap();
        assert_eq!(clone.first().unwrap(), &("arg 0 & 0x7e020000 = 0x0".to_owned(), Action::Allow));
        assert_eq!(clone.last().unwrap(), &(String::new(), Action::Errno(1)));
    }
}
