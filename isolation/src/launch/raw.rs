//! System calls that no crate wraps safely. Each is one call, and says why it is sound.
#![allow(unsafe_code, reason = "the one file of launching that needs it")]

use std::{ffi::CString, path::Path};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{ForkResult, fork as os_fork},
};

/// Forks this process.
///
/// # Panics
/// When it has more than one thread: the child would hold their locks forever.
pub(super) fn fork() -> nix::Result<ForkResult> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(
        threads, 1,
        "the launcher forks only while it has one thread"
    );
    // SAFETY: with a single thread no lock is held by another one, so that the child may do all
    // that its parent may.
    unsafe { os_fork() }
}

/// Ends this process at once, without running what a normal end runs.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Gives all signals their default action back and unblocks them, as a program expects it.
pub(super) fn reset_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        // SAFETY: the default action is no handler of ours, so that nothing can run at a bad time.
        unsafe { sigaction(signal, &default) }?;
    }
    SigSet::empty().thread_set_mask()
}

/// Closes all descriptors from `first` on. Fails on kernels before 5.9.
pub(super) fn close_from(first: u32) -> nix::Result<()> {
    // SAFETY: the caller is at its start and owns no descriptor above the standard ones.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
    Errno::result(result).map(drop)
}

/// Makes a mount and all mounts below it read-only, without set-user-id and devices. Fails on
/// kernels before 5.12.
pub(super) fn lock_tree(path: &Path) -> nix::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: path and attributes live through the call, and their size is told with them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}
