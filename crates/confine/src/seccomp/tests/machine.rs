//! A BPF machine as the kernel runs seccomp filters (net/core/filter.c), for those instructions that
//! hull writes. Anything else, a jump outside or a missing return panics.

/// One system call, as `struct seccomp_data` has it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub arch: u32,
    pub number: u32,
    pub args: [u64; 6],
}

impl Call {
    pub(super) fn new(arch: u32, number: u32, given: &[u64]) -> Self {
        let mut args = [0; 6];
        args[..given.len()].copy_from_slice(given);
        // The kernel passes 32-bit registers of compat processes widened with zeros.
        if arch & 0x8000_0000 == 0 {
            args = args.map(|arg| arg & u64::from(u32::MAX));
        }
        Self { arch, number, args }
    }

    fn word(&self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 64, "load from {offset}");
        match offset {
            0 => self.number,
            4 => self.arch,
            8 | 12 => panic!("the instruction pointer is not to be read"),
            _ => {
                let arg = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
        }
    }
}

/// Runs the program and returns its value.
pub(super) fn run(program: &[u64], call: &Call) -> u32 {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let bytes = program[at].to_ne_bytes();
        let code = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let operand = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let (on_true, on_false) = (usize::from(bytes[2]), usize::from(bytes[3]));
        let choose = |condition: bool| if condition { on_true } else { on_false };
        at += 1;
        match code {
            0x20 => accumulator = call.word(operand),
            0x54 => accumulator &= operand,
            0x05 => at += operand as usize,
            0x15 => at += choose(accumulator == operand),
            0x25 => at += choose(accumulator > operand),
            0x35 => at += choose(accumulator >= operand),
            0x06 => return operand,
            _ => panic!("instruction {code:#x}"),
        }
    }
}
