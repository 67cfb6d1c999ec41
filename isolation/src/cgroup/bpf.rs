//! Loading programs into the kernel, and attaching them to groups: bpf(2), for which no wrapper is at hand.
#![expect(
    unsafe_code,
    reason = "bpf(2) takes addresses; each block says why they are good"
)]

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
};

use nix::libc;

use super::device_program::Instruction;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

/// `union bpf_attr` for `BPF_PROG_LOAD`, as far as it is used; the kernel takes the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_kind: u32,
}

/// `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads a program that decides on devices.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"tepui_devices\0\0\0",
        interface: 0,
        attach_kind: ATTACH_CGROUP_DEVICE,
    };
    let descriptor = call(PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Has the program decide for the processes in a group and below it, in place of one that was
/// attached there before.
pub(super) fn attach(program: &OwnedFd, group: &Path) -> io::Result<()> {
    let group = File::open(group)?;
    let number = |descriptor: RawFd| descriptor.unsigned_abs();
    let attributes = Attach {
        group: number(group.as_raw_fd()),
        program: number(program.as_raw_fd()),
        kind: ATTACH_CGROUP_DEVICE,
        flags: 0,
    };
    call(PROG_ATTACH, &attributes).map(drop)
}

fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: `attributes` is a `repr(C)` prefix of `union bpf_attr` of `size` bytes; the addresses in it
    // are of memory that the caller holds meanwhile and that the kernel only reads.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        descriptor => Ok(descriptor as RawFd),
    }
}
