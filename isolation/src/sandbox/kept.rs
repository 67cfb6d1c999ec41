//! Sandboxes on the disk: listing them, keeping them young, removing them.
//!
//! What is in them was made by tasks. A removal follows no link, leaves no directory by its name, and needs
//! neither stack nor descriptors for directories that are deep in each other.

use std::{
    ffi::CString,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use nix::sys::{
    stat::{UtimensatFlags, utimensat},
    statvfs::statvfs,
    time::TimeSpec,
};
use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
};
use tepui_protocol::Timestamp;

use super::{CHANGES, LATEST, collection::Kept, root};

/// All sandboxes of a work directory.
pub fn list(work_dir: &Path) -> Vec<Kept> {
    let frameworks = directories(&root(work_dir));
    let executors = frameworks.flat_map(|framework| directories(&framework));
    let runs = executors.flat_map(|executor| directories(&executor));
    let kept = runs.filter_map(|path| {
        let about = fs::symlink_metadata(&path).ok()?;
        let run = path.file_name()?.to_str()?.to_owned();
        // A task can set the time of a file's change as it likes, but not this one.
        let seconds = Timestamp::from_secs(u64::try_from(about.ctime()).ok()?);
        let since = seconds + Duration::from_nanos(u64::try_from(about.ctime_nsec()).ok()?);
        Some(Kept { run, path, since })
    });
    kept.collect()
}

/// The directories in a directory; links to some are none.
fn directories(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path())
}

/// A sandbox's age begins anew. Nothing else of it changes.
///
/// # Errors
/// What the system says.
pub fn renew(sandbox: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(sandbox)?;
    let changed = TimeSpec::new(about.mtime(), about.mtime_nsec());
    let flags = UtimensatFlags::NoFollowSymlink;
    utimensat(CWD, sandbox, &TimeSpec::UTIME_OMIT, &changed, flags).map_err(io::Error::from)
}

/// The part of the disk of a work directory that is in use; none if that cannot be told.
pub fn disk_used(work_dir: &Path) -> Option<f64> {
    let disk = statvfs(work_dir).ok().filter(|disk| disk.blocks() > 0)?;
    let used = disk.blocks().saturating_sub(disk.blocks_free());
    Some(used as f64 / disk.blocks() as f64)
}

/// Removes a sandbox, and the directories above it that are only there for it.
///
/// # Errors
/// What the system says; the rest of the sandbox is still there then.
pub fn remove(sandbox: &Path) -> io::Result<()> {
    let directory = open(CWD, sandbox)?;
    empty(&directory)?;
    fs::remove_dir(sandbox)?;
    let Some(runs) = sandbox.parent() else {
        return Ok(());
    };
    let _changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    let latest = runs.join(LATEST);
    if fs::read_link(&latest).is_ok_and(|run| Some(run.as_os_str()) == sandbox.file_name()) {
        fs::remove_file(latest)?;
    }
    // The executor's and the framework's, which go only if they are empty.
    for directory in runs.ancestors().take(2) {
        if fs::remove_dir(directory).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes all that is in a directory. Directories in directories are first moved up to it.
fn empty(root: &OwnedFd) -> io::Result<()> {
    let mut moved = 0;
    loop {
        let names = names(root)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if unlink(root, &name)? {
                continue;
            }
            let directory = open(root, name.as_c_str())?;
            for inner in self::names(&directory)? {
                if !unlink(&directory, &inner)? {
                    move_up(&directory, &inner, root, &mut moved)?;
                }
            }
            unlinkat(root, name.as_c_str(), AtFlags::REMOVEDIR)?;
        }
    }
}

/// Whether it could be removed as a file; a directory cannot.
fn unlink(directory: &OwnedFd, name: &CString) -> io::Result<bool> {
    match unlinkat(directory, name.as_c_str(), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Moves a directory into `root`, under a name that nothing there has.
fn move_up(from: &OwnedFd, name: &CString, root: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        let free = format!(".removing-{moved}");
        *moved += 1;
        match renameat(from, name.as_c_str(), root, free.as_str()) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            done => return done.map_err(io::Error::from),
        }
    }
}

fn open(at: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::mkdirat;

    use super::{
        super::{latest, make, runs},
        *,
    };

    /// Runs `run1` and `run2` of an executor.
    fn two_runs() -> (tempfile::TempDir, [PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = ["run1", "run2"].map(|run| runs(dir.path(), "f", "e").join(run));
        for sandbox in &sandboxes {
            make(sandbox).unwrap();
        }
        (dir, sandboxes)
    }

    #[test]
    fn sandboxes_are_listed_and_go_one_by_one_with_what_was_there_for_them() {
        let (dir, [first, second]) = two_runs();
        let listed = || {
            let mut runs: Vec<String> = list(dir.path()).into_iter().map(|k| k.run).collect();
            runs.sort();
            runs
        };
        assert_eq!(listed(), ["run1", "run2"]);
        remove(&first).unwrap();
        assert_eq!(listed(), ["run2"]);
        assert!(latest(dir.path(), "f", "e").is_dir());
        remove(&second).unwrap();
        assert!(listed().is_empty());
        assert!(!root(dir.path()).join("f").exists());
        assert!(root(dir.path()).exists());
        make(&second).unwrap();
        assert_eq!(listed(), ["run2"]);
    }

    #[test]
    fn the_age_begins_anew_whatever_time_a_task_has_set() {
        let (dir, [first, _]) = two_runs();
        let since = || {
            let mut all = list(dir.path()).into_iter();
            all.find(|kept| kept.path == first).unwrap().since
        };
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(&first)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let before = since();
        // The system's clock for files has ticks of milliseconds.
        let is_renewed = |_| {
            renew(&first).unwrap();
            since() > before
        };
        assert!((0..10_000_000).any(is_renewed));
        assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), long_ago);
    }

    #[test]
    fn a_removal_follows_no_link() {
        let (dir, [first, _]) = two_runs();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        symlink(&outside, first.join("link")).unwrap();
        fs::create_dir(first.join("inner")).unwrap();
        symlink(&outside, first.join("inner/link")).unwrap();
        remove(&first).unwrap();
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
        symlink(&outside, &first).unwrap();
        remove(&first).unwrap_err();
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"kept");
    }

    #[test]
    fn directories_that_are_deep_in_each_other_go_too() {
        let (_dir, [first, _]) = two_runs();
        // A name that a removal would like to have itself.
        fs::write(first.join(".removing-1"), "").unwrap();
        let mut at = open(CWD, &first).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, "d").unwrap();
        }
        drop(at);
        remove(&first).unwrap();
        assert!(!first.exists());
    }
}
