//! System call numbers by name, for each architecture.
//!
//! The tables are sorted by name. x32's numbers stand without its marking bit.

mod aarch64;
mod arm;
mod x32;
mod x86;
mod x86_64;

use super::profile::Arch;

/// The first number that is not the kernel's generic range but arm's own (`__ARM_NR_BASE`).
pub(super) const ARM_PRIVATE: u32 = 0xf_0000;

/// The number of a system call, if this architecture has it.
pub(super) fn number(arch: Arch, name: &str) -> Option<u32> {
    let table = numbers(arch);
    let at = table.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(table[at].1)
}

/// The name of a system call of this architecture, by its number.
pub fn syscall_name(arch: Arch, number: u32) -> Option<&'static str> {
    numbers(arch).iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

fn numbers(arch: Arch) -> &'static [(&'static str, u32)] {
    match arch {
        Arch::X86_64 => x86_64::NUMBERS,
        Arch::X32 => x32::NUMBERS,
        Arch::X86 => x86::NUMBERS,
        Arch::Aarch64 => aarch64::NUMBERS,
        Arch::Arm => arm::NUMBERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_known_numbers_stand() {
        for arch in [Arch::X86_64, Arch::X32, Arch::X86, Arch::Aarch64, Arch::Arm] {
            assert!(numbers(arch).is_sorted_by(|a, b| a.0 < b.0), "{arch:?}");
            assert_eq!(number(arch, "openat2"), Some(437), "{arch:?}");
            assert_eq!(number(arch, "no_such_call"), None);
        }
        let table = [
            (Arch::X86_64, "keyctl", 250),
            (Arch::X86_64, "pwritev2", 328),
            (Arch::X32, "pwritev2", 547),
            (Arch::X32, "execve", 520),
            (Arch::X86, "socketcall", 102),
            (Arch::X86, "socket", 359),
            (Arch::X86, "clone", 120),
            (Arch::Aarch64, "socket", 198),
            (Arch::Aarch64, "clone", 220),
            (Arch::Arm, "socket", 281),
            (Arch::Arm, "set_tls", 0xf0005),
        ];
        for (arch, name, expected) in table {
            assert_eq!(number(arch, name), Some(expected), "{arch:?} {name}");
        }
        assert_eq!(syscall_name(Arch::X86_64, 83), Some("mkdir"));
        assert_eq!(syscall_name(Arch::X86_64, 99_999), None);
        assert_eq!(number(Arch::Aarch64, "open"), None);
    }
}
