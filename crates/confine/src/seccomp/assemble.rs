//! Writes classic BPF from its end to its start, so that every jump target is known when the jump is
//! written.
//!
//! Owns instruction encoding and the reach of jumps (255 instructions; beyond that a `ja` stands
//! between). Must not know what is being decided.

use std::collections::HashMap;

/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`
const AND: u16 = 0x54;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JA`
const JUMP: u16 = 0x05;
/// How far a conditional jump reaches.
const REACH: usize = 255;

/// `BPF_JMP | BPF_K` and the condition on the accumulator.
#[derive(Clone, Copy)]
pub(super) enum Jump {
    Equal = 0x15,
    Greater = 0x25,
    GreaterOrEqual = 0x35,
}

/// An instruction already written, counted from the end of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// `struct sock_filter`
#[derive(Clone, Copy)]
struct Instruction {
    code: u16,
    on_true: u8,
    on_false: u8,
    operand: u32,
}

/// The program so far, last instruction first.
#[derive(Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    returns: HashMap<u32, Label>,
}

impl Assembler {
    /// `return value`; one within easy reach is used again.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        if let Some(label) = self.returns.get(&value)
            && self.reversed.len() - label.0 < REACH / 2
        {
            return *label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// Loads the word at `offset` of `struct seccomp_data`, then goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.fall_through(next);
        self.push(LOAD, 0, 0, offset)
    }

    /// `and mask`, then goes on at `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.fall_through(next);
        self.push(AND, 0, 0, mask)
    }

    /// Compares the accumulator with `operand`.
    pub(super) fn branch(&mut self, jump: Jump, operand: u32, on_true: Label, on_false: Label) -> Label {
        // One less than the reach: the other side may put a jump in between.
        let on_true = self.within(on_true, REACH - 1);
        let on_false = self.within(on_false, REACH);
        let (on_true, on_false) = (self.distance(on_true), self.distance(on_false));
        self.push(jump as u16, on_true as u8, on_false as u8, operand)
    }

    /// Instructions so far.
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// The program in execution order, each instruction packed as the kernel's struct lies in memory.
    pub(super) fn finish(self) -> Vec<u64> {
        self.reversed.into_iter().rev().map(pack).collect()
    }

    fn within(&mut self, label: Label, reach: usize) -> Label {
        if self.distance(label) <= reach { label } else { self.jump(label) }
    }

    fn fall_through(&mut self, next: Label) {
        if self.distance(next) != 0 {
            self.jump(next);
        }
    }

    fn jump(&mut self, to: Label) -> Label {
        let distance = self.distance(to) as u32;
        self.push(JUMP, 0, 0, distance)
    }

    /// Instructions between the one written next and `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - 1 - label.0
    }

    fn push(&mut self, code: u16, on_true: u8, on_false: u8, operand: u32) -> Label {
        self.reversed.push(Instruction { code, on_true, on_false, operand });
        Label(self.reversed.len() - 1)
    }
}

fn pack(instruction: Instruction) -> u64 {
    let [c0, c1] = instruction.code.to_ne_bytes();
    let [k0, k1, k2, k3] = instruction.operand.to_ne_bytes();
    u64::from_ne_bytes([c0, c1, instruction.on_true, instruction.on_false, k0, k1, k2, k3])
}
