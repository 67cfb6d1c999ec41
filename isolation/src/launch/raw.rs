//! System calls that no crate wraps safely. Each is one call, and says why it is sound.
#![allow(unsafe_code, reason = "the one file of launching that needs it")]

use std::{ffi::CString, io, path::Path, ptr};

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
    assert_eq!(
        threads(),
        1,
        "the launcher forks only while it has one thread"
    );
    // SAFETY: with a single thread no lock is held by another one, so that the child may do all
    // that its parent may.
    unsafe { os_fork() }
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Ends this process at once, without running what a normal end runs.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Wipes the environment that this process was given, and writes `name` over the last word of its command
/// line, where it fits: as if it had been executed as that, with no environment. What `std::env` says
/// afterwards has no meaning.
///
/// # Panics
/// When it has more than one thread: another might read what is written here.
pub(super) fn forget_origin(name: &[u8]) -> io::Result<()> {
    assert_eq!(threads(), 1, "no other thread may read its environment");
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let [_, words_end, start, end] = stack_places(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let words = std::fs::read("/proc/self/cmdline")?;
    let word = words.strip_suffix(&[0]).unwrap_or(&words);
    let word = word.rsplit(|byte| *byte == 0).next().unwrap_or_default();
    // SAFETY: the kernel has put the environment there, in memory of this process that can be written, and
    // nothing else is there. Pointers into it find empty texts. There is no other thread.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(start).write_bytes(0, end - start) };
    if name.len() <= word.len() {
        let place = words_end - 1 - word.len();
        let at = ptr::with_exposed_provenance_mut::<u8>(place);
        // SAFETY: as above; it is as long as the word that is there, with its end.
        unsafe {
            at.write_bytes(0, word.len());
            at.copy_from_nonoverlapping(name.as_ptr(), name.len());
        }
    }
    Ok(())
}

/// Where command line and environment begin and end (fields 48 to 51 of `/proc/PID/stat`).
fn stack_places(stat: &str) -> Option<[usize; 4]> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let mut place = || fields.next()?.parse().ok().filter(|place| *place > 0);
    let places: [usize; 4] = [place()?, place()?, place()?, place()?];
    places.is_sorted().then_some(places)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_and_environment_of_this_process_are_found() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let places = stack_places(&stat).unwrap();
        let length = std::fs::read("/proc/self/cmdline").unwrap().len();
        assert_eq!(places[1] - places[0], length);
        assert_eq!(stack_places("1 (a) b) S 2 3"), None);
    }
}
