//! Which devices may be opened below a group of version 2, as a program of the kernel's (BPF).
//!
//! The kernel runs it for each device that is opened or made, with what is wanted in a context of three
//! words: kind and access, major, minor. It answers 1 to allow.
//!
//! ```text
//!   r2 = kind, r3 = access, r4 = major, r5 = minor
//!   for each device: is it a character device, this major, this minor, not being made?  -> r0 = 1, exit
//!   r0 = 0, exit
//! ```
//
//= linux, include/uapi/linux/bpf.h: struct bpf_cgroup_dev_ctx, BPF_PROG_TYPE_CGROUP_DEVICE

use super::Device;

/// An instruction as the kernel reads it: `struct bpf_insn` on a little-endian machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// The destination in the lower half, the source in the upper.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const CHARACTER: i32 = 2;
const MAKE: i32 = 1;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: to | from << 4,
        offset,
        immediate,
    }
}

/// Loads the word at `offset` of the context, which is in r1.
fn load(to: u8, offset: i16) -> Instruction {
    instruction(0x61, to, 1, offset, 0)
}

fn skip_unless_equal(register: u8, value: i32, skipped: i16) -> Instruction {
    instruction(0x55, register, 0, skipped, value)
}

fn skip_if_set(register: u8, bits: i32, skipped: i16) -> Instruction {
    instruction(0x45, register, 0, skipped, bits)
}

/// Answers and ends.
fn answer(value: i32) -> [Instruction; 2] {
    let set = instruction(0xb7, 0, 0, 0, value);
    let exit = instruction(0x95, 0, 0, 0, 0);
    [set, exit]
}

/// The program that allows these devices and no others. A number beyond 2^31 is no device's.
pub(super) fn allowing(devices: &[Device]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        load(ACCESS, 0),
        instruction(0x57, KIND, 0, 0, 0xffff),
        instruction(0x77, ACCESS, 0, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for device in devices {
        let (Ok(major), Ok(minor)) = (
            i32::try_from(device.major),
            device.minor.map(i32::try_from).transpose(),
        ) else {
            continue;
        };
        let mut tests = vec![(KIND, CHARACTER), (MAJOR, major)];
        tests.extend(minor.map(|minor| (MINOR, minor)));
        // What each test that fails skips: the tests after it, and the answer.
        let mut left = tests.len() as i16 + i16::from(!device.make) + 1;
        for (register, value) in tests {
            program.push(skip_unless_equal(register, value, left));
            left -= 1;
        }
        if !device.make {
            program.push(skip_if_set(ACCESS, MAKE, 2));
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers, by a machine that knows just its instructions.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> i64 {
        let context = [kind | access << 16, major, minor];
        let (mut registers, mut at) = ([0_i64; 8], 0);
        loop {
            let Instruction {
                code,
                registers: named,
                offset,
                immediate,
            } = program[at];
            let to = usize::from(named & 15);
            let value = i64::from(immediate);
            at += 1;
            match code {
                0x61 => registers[to] = i64::from(context[offset as usize / 4]),
                0x57 => registers[to] &= value,
                0x77 => registers[to] >>= value,
                0xb7 => registers[to] = value,
                0x55 if registers[to] != value => at += offset as usize,
                0x45 if registers[to] & value != 0 => at += offset as usize,
                0x55 | 0x45 => {}
                0x95 => return registers[0],
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    #[test]
    fn what_is_named_may_be_used_and_nothing_else() {
        let device = |major, minor, make| Device { major, minor, make };
        let program = allowing(&[
            device(1, Some(3), false),
            device(136, None, false),
            device(10, Some(200), true),
            device(1 << 40, None, true),
        ]);
        const READ: i32 = 2;
        const WRITE: i32 = 4;
        let allows = |kind, access, major, minor| run(&program, kind, access, major, minor) == 1;
        assert!(allows(CHARACTER, READ | WRITE, 1, 3));
        assert!(!allows(CHARACTER, READ | MAKE, 1, 3), "it may not be made");
        assert!(!allows(1, READ, 1, 3), "a block device of that number");
        assert!(!allows(CHARACTER, READ, 1, 4) && !allows(CHARACTER, READ, 2, 3));
        assert!(allows(CHARACTER, WRITE, 136, 77), "any of that driver");
        assert!(allows(CHARACTER, MAKE, 10, 200));
        assert!(
            !allows(CHARACTER, READ, 0, 0),
            "a number that no device has"
        );
        let none = allowing(&[]);
        assert_eq!(run(&none, CHARACTER, READ, 1, 3), 0);
    }
}
