//! What a file is that would not run: from its first bytes.

/// A command's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    /// An ELF file (elf(5)).
    Elf {
        /// Its architecture in Go's words (`arm64`), or `machine N`.
        machine: String,
        /// The program interpreter that it names, as far as the bytes reach.
        interpreter: Option<String>,
    },
    /// A text that begins with `#!`.
    Script {
        /// The interpreter that it names.
        interpreter: String,
    },
    /// Anything else: empty, a text without `#!`, another system's binary.
    Unknown,
}

impl Binary {
    /// From the first bytes of the file.
    pub(super) fn of(head: &[u8]) -> Self {
        if let Some(line) = head.strip_prefix(b"#!") {
            return script(line);
        }
        match Elf::of(head) {
            Some(elf) => Self::Elf { machine: elf.machine(), interpreter: elf.interpreter() },
            None => Self::Unknown,
        }
    }
}

fn script(line: &[u8]) -> Binary {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    match text.split_whitespace().next() {
        // A carriage return belongs to the name: that is what the kernel looks for.
        Some(_) => {
            let name = text.trim_start_matches([' ', '\t']);
            let end = name.find([' ', '\t']).unwrap_or(name.len());
            Binary::Script { interpreter: name[..end].to_owned() }
        }
        None => Binary::Unknown,
    }
}

/// `PT_INTERP`.
const INTERPRETER: u64 = 3;

/// An ELF header with the bytes around it.
struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

impl<'a> Elf<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let ident = bytes.get(..16)?;
        if !ident.starts_with(b"\x7fELF") {
            return None;
        }
        let elf = Self { bytes, wide: ident[4] == 2, big_endian: ident[5] == 2 };
        elf.number(18, 2)?;
        Some(elf)
    }

    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    fn machine(&self) -> String {
        match (self.number(18, 2).unwrap_or(0), self.wide) {
            (3, _) => "386".to_owned(),
            (62, _) => "amd64".to_owned(),
            (40, _) => "arm".to_owned(),
            (183, _) => "arm64".to_owned(),
            (243, true) => "riscv64".to_owned(),
            (21, _) if self.big_endian => "ppc64".to_owned(),
            (21, _) => "ppc64le".to_owned(),
            (22, _) => "s390x".to_owned(),
            (258, true) => "loong64".to_owned(),
            (8, true) => "mips64".to_owned(),
            (8, false) => "mips".to_owned(),
            (other, _) => format!("machine {other}"),
        }
    }

    fn interpreter(&self) -> Option<String> {
        // e_phoff, e_phentsize, e_phnum; then p_type, p_offset, p_filesz of each entry.
        let ((table, entry, count), (offset, length, width)) = if self.wide {
            ((self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?), (8, 32, 8))
        } else {
            ((self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?), (4, 16, 4))
        };
        for index in 0..count {
            let at = usize::try_from(table.checked_add(index.checked_mul(entry)?)?).ok()?;
            if self.number(at, 4)? == INTERPRETER {
                let start = usize::try_from(self.number(at.checked_add(offset)?, width)?).ok()?;
                let size = usize::try_from(self.number(at.checked_add(length)?, width)?).ok()?;
                let text = self.bytes.get(start..start.checked_add(size)?)?;
                let text = text.split(|byte| *byte == 0).next()?;
                return Some(String::from_utf8_lossy(text).into_owned());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_interpreter() {
        for (head, want) in [
            ("#!/bin/sh\nexit", "/bin/sh"),
            ("#! /usr/bin/env python\n", "/usr/bin/env"),
            ("#!/bin/sh\r\n", "/bin/sh\r"),
        ] {
            assert_eq!(Binary::of(head.as_bytes()), Binary::Script { interpreter: want.into() });
        }
        for head in ["", "#!", "#!\n", "echo hello\n", "\x7fELF"] {
            assert_eq!(Binary::of(head.as_bytes()), Binary::Unknown, "{head:?}");
        }
    }

    #[test]
    fn elf_files_name_machine_and_interpreter() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let Binary::Elf { machine, interpreter } = Binary::of(&own[..4096.min(own.len())]) else {
            panic!("not ELF");
        };
        assert_eq!(machine, super::super::host_architecture());
        assert!(interpreter.is_none_or(|path| path.starts_with("/lib")));
    }

    #[test]
    fn garbage_never_panics() {
        let mut head = b"\x7fELF\x02\x01".to_vec();
        head.resize(64, 0xff);
        assert!(matches!(Binary::of(&head), Binary::Elf { interpreter: None, .. }));
        for cut in 0..head.len() {
            let _ = Binary::of(&head[..cut]);
        }
    }
}
