//! Device rules → the bytes of an eBPF program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The program holds the requested access bits that no rule has decided yet, and walks the rules
//! from the last to the first: a matching denial of one of them refuses, a matching allowance settles
//! its bits, and when none is left the access is granted. Falling off the end refuses, so the empty
//! list denies everything. That is "the last match decides", per access bit.

use crate::devices::{Access, DeviceKind, DeviceRule};

/// Registers. The context arrives in `CTX`.
const RESULT: u8 = 0;
const CTX: u8 = 1;
const WANTED: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Offsets in `struct bpf_cgroup_dev_ctx`: `access_type`, `major`, `minor`.
const CTX_ACCESS_TYPE: i16 = 0;
const CTX_MAJOR: i16 = 4;
const CTX_MINOR: i16 = 8;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// Opcodes: class | source | operation.
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_NOT: u8 = 0x56;
const JUMP_IF: u8 = 0x16;
const EXIT: u8 = 0x95;

/// `struct bpf_insn` as one little-endian word.
const fn insn(code: u8, dst: u8, src: u8, offset: i16, value: u32) -> u64 {
    code as u64 | ((dst | (src << 4)) as u64) << 8 | (offset as u16 as u64) << 16 | (value as u64) << 32
}

/// The program for the rules.
pub(crate) fn compile(rules: &[DeviceRule]) -> Vec<u64> {
    let mut program = vec![
        insn(LOAD_WORD, WANTED, CTX, CTX_ACCESS_TYPE, 0),
        insn(LOAD_WORD, MAJOR, CTX, CTX_MAJOR, 0),
        insn(LOAD_WORD, MINOR, CTX, CTX_MINOR, 0),
        insn(MOVE_REGISTER, KIND, WANTED, 0, 0),
        insn(AND_VALUE, KIND, 0, 0, 0xffff),
        insn(SHIFT_RIGHT, WANTED, 0, 0, 16),
    ];
    for rule in rules.iter().rev() {
        let verdict = verdict(rule);
        let conditions = conditions(rule);
        let count = conditions.len();
        for (at, (register, value)) in conditions.into_iter().enumerate() {
            let skip = (count - at - 1 + verdict.len()) as i16;
            program.push(insn(JUMP_IF_NOT, register, 0, skip, value));
        }
        program.extend(verdict);
        // KERNEL: the verifier refuses instructions that cannot be reached.
        if count == 0 && rule.access == Access::ALL {
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// What must be equal for the rule to match.
fn conditions(rule: &DeviceRule) -> Vec<(u8, u32)> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Char => Some(CHAR),
        DeviceKind::Block => Some(BLOCK),
    };
    [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)]
        .into_iter()
        .filter_map(|(register, value)| Some((register, value?)))
        .collect()
}

/// What a matching rule does.
fn verdict(rule: &DeviceRule) -> Vec<u64> {
    let access = u32::from(rule.access.bits());
    if rule.access == Access::ALL {
        return answer(rule.allow).to_vec();
    }
    let [set, exit] = answer(rule.allow);
    if rule.allow {
        return vec![insn(AND_VALUE, WANTED, 0, 0, !access), insn(JUMP_IF_NOT, WANTED, 0, 2, 0), set, exit];
    }
    vec![
        insn(MOVE_REGISTER, RESULT, WANTED, 0, 0),
        insn(AND_VALUE, RESULT, 0, 0, access),
        insn(JUMP_IF, RESULT, 0, 2, 0),
        set,
        exit,
    ]
}

fn answer(allow: bool) -> [u64; 2] {
    [insn(MOVE_VALUE, RESULT, 0, 0, u32::from(allow)), insn(EXIT, 0, 0, 0, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::tests::rule;

    /// Runs the few instructions that [`compile`] uses, as the kernel would.
    fn run(program: &[u64], kind: u32, major: u32, minor: u32, access: u8) -> bool {
        let context = [u32::from(access) << 16 | kind, major, minor];
        let mut registers = [0u32; 6];
        let mut at = 0;
        loop {
            let word = program[at];
            let (code, dst) = (word as u8, (word >> 8 & 15) as usize);
            let (src, offset) = ((word >> 12 & 15) as usize, (word >> 16) as u16 as i16);
            let value = (word >> 32) as u32;
            at += 1;
            match code {
                LOAD_WORD => registers[dst] = context[offset as usize / 4],
                MOVE_REGISTER => registers[dst] = registers[src],
                MOVE_VALUE => registers[dst] = value,
                AND_VALUE => registers[dst] &= value,
                SHIFT_RIGHT => registers[dst] >>= value,
                JUMP_IF_NOT if registers[dst] != value => at += offset as usize,
                JUMP_IF if registers[dst] == value => at += offset as usize,
                JUMP_IF_NOT | JUMP_IF => {}
                EXIT => return registers[RESULT as usize] != 0,
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    /// The same decision, written down directly.
    fn wanted(rules: &[DeviceRule], kind: u32, major: u32, minor: u32, access: u8) -> bool {
        [1u8, 2, 4].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let last = rules.iter().rev().find(|rule| {
                let same_kind = match rule.kind {
                    DeviceKind::All => true,
                    DeviceKind::Char => kind == CHAR,
                    DeviceKind::Block => kind == BLOCK,
                };
                same_kind
                    && rule.major.is_none_or(|m| m == major)
                    && rule.minor.is_none_or(|m| m == minor)
                    && rule.access.bits() & bit != 0
            });
            last.is_some_and(|rule| rule.allow)
        })
    }

    #[test]
    fn the_program_decides_as_the_rules_say() {
        let lists: &[&[(bool, &str)]] = &[
            &[],
            &[(true, "c 1:3 rwm")],
            &[(true, "a *:* rwm"), (false, "b 8:0 w")],
            &[(true, "c *:* m"), (true, "b *:* m"), (true, "c 1:3 rw")],
            &[(true, "b 8:0 r"), (true, "b 8:0 w")],
            &[(true, "c 1:3 rwm"), (false, "a *:* rwm"), (true, "c 1:5 r")],
            &[(true, "c 1:* rwm"), (false, "c 1:3 rm"), (true, "a *:* r")],
        ];
        for list in lists {
            let rules: Vec<_> = list.iter().map(|(a, t)| rule(*a, t)).collect();
            let program = compile(&rules);
            for kind in [BLOCK, CHAR] {
                for (major, minor) in [(1, 3), (1, 5), (8, 0), (8, 1), (u32::MAX, 0)] {
                    for access in 1..8 {
                        assert_eq!(
                            run(&program, kind, major, minor, access),
                            wanted(&rules, kind, major, minor, access),
                            "{list:?}: kind {kind}, {major}:{minor}, access {access}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_follows_an_unconditional_answer() {
        let reset = [rule(true, "c 1:3 rwm"), rule(false, "a *:* rwm")];
        assert_eq!(compile(&reset).len(), 6 + 2);
    }
}
