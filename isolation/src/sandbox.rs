//! Sandboxes: where a run of an executor keeps its files, and how they are read from outside.
//!
//! ```text
//! <work dir>/sandboxes/<framework>/<executor>/<run>/   stdout, stderr, whatever the task writes
//!                                            /latest -> <run>
//! ```
//! What lies in a sandbox was put there by a task and is not to be trusted: a path may not leave the
//! sandbox, neither by `..`, nor by being absolute, nor through a symbolic link, nor by a race
//! between check and use (the kernel resolves it in one step, `openat2` with `RESOLVE_BENEATH`).

pub mod collection;
pub mod kept;

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
};

const LATEST: &str = "latest";
/// Held while a sandbox is made, and while directories are removed that may be above one.
static CHANGES: Mutex<()> = Mutex::new(());

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes; empty at the end.
    pub data: Vec<u8>,
    /// The file's size now.
    pub size: u64,
}

/// Why a sandbox could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It could not be made.
    #[error("cannot make the sandbox {}", sandbox.display())]
    Make {
        /// Which.
        sandbox: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is none.
    #[error("there is no sandbox {}", sandbox.display())]
    Absent {
        /// Which.
        sandbox: PathBuf,
    },
    /// The path leads out of the sandbox.
    #[error("{path:?} leads out of the sandbox")]
    Escape {
        /// As asked for.
        path: String,
    },
    /// It is a directory, a pipe or a device.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// As asked for.
        path: String,
    },
    /// It cannot be read.
    #[error("cannot read {path:?} in the sandbox")]
    Read {
        /// As asked for.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// The directory of all sandboxes.
fn root(work_dir: &Path) -> PathBuf {
    work_dir.join("sandboxes")
}

/// The directory of all runs of an executor. The ids have no slash and are not `..`.
pub fn runs(work_dir: &Path, framework: &str, executor: &str) -> PathBuf {
    root(work_dir).join(framework).join(executor)
}

/// The sandbox of the latest run of an executor.
pub fn latest(work_dir: &Path, framework: &str, executor: &str) -> PathBuf {
    runs(work_dir, framework, executor).join(LATEST)
}

/// Makes a sandbox `<runs>/<run>` and lets `<runs>/latest` point to it.
///
/// # Errors
/// [`SandboxError::Make`].
pub fn make(sandbox: &Path) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::Make {
        sandbox: sandbox.to_owned(),
        source,
    };
    let _changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    fs::create_dir_all(sandbox).map_err(failed)?;
    let (Some(runs), Some(run)) = (sandbox.parent(), sandbox.file_name()) else {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let fresh = runs.join(".latest");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    symlink(run, &fresh)
        .and_then(|()| fs::rename(&fresh, runs.join(LATEST)))
        .map_err(failed)
}

/// Reads at most `length` bytes of the file `path` in `sandbox`, from byte `offset` on.
///
/// # Errors
/// [`SandboxError`]; `Escape` for every path that leads out of the sandbox.
pub fn read(sandbox: &Path, path: &str, offset: u64, length: usize) -> Result<Piece, SandboxError> {
    let mut file = File::from(open(sandbox, path)?);
    let failed = |source| SandboxError::Read {
        path: path.to_owned(),
        source,
    };
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(SandboxError::NotAFile {
            path: path.to_owned(),
        });
    }
    let size = about.len();
    let wanted = size.saturating_sub(offset).min(length as u64);
    if wanted == 0 {
        return Ok(Piece {
            data: Vec::new(),
            size,
        });
    }
    let mut data = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.take(wanted).read_to_end(&mut data).map_err(failed)?;
    Ok(Piece { data, size })
}

/// Never blocks on a pipe (`O_NONBLOCK`) and makes no terminal ours.
const FLAGS: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);

fn open(sandbox: &Path, path: &str) -> Result<OwnedFd, SandboxError> {
    let root = File::open(sandbox).map_err(|_| SandboxError::Absent {
        sandbox: sandbox.to_owned(),
    })?;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let opened = openat2(&root, path, OpenHow::new().flags(FLAGS).resolve(resolve));
    let opened = match opened {
        Err(Errno::ENOSYS) => open_stepwise(root, path),
        other => other,
    };
    opened.map_err(|errno| match errno {
        Errno::EXDEV => SandboxError::Escape {
            path: path.to_owned(),
        },
        errno => SandboxError::Read {
            path: path.to_owned(),
            source: errno.into(),
        },
    })
}

/// For kernels before 5.6: component by component, without following any link.
fn open_stepwise(root: File, path: &str) -> nix::Result<OwnedFd> {
    let mut at = OwnedFd::from(root);
    for component in Path::new(path).components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            _ => return Err(Errno::EXDEV),
        };
        let opened = openat(&at, name, FLAGS | OFlag::O_NOFOLLOW, Mode::empty());
        at = opened.map_err(|errno| {
            if errno == Errno::ELOOP {
                Errno::EXDEV
            } else {
                errno
            }
        })?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dirs {
        _keep: tempfile::TempDir,
        sandbox: PathBuf,
    }

    /// A sandbox beside a secret.
    fn dirs() -> Dirs {
        let keep = tempfile::tempdir().unwrap();
        let sandbox = runs(keep.path(), "f", "e").join("run1");
        make(&sandbox).unwrap();
        fs::write(sandbox.join("stdout"), "hello world").unwrap();
        fs::write(keep.path().join("secret"), "secret").unwrap();
        Dirs {
            sandbox,
            _keep: keep,
        }
    }

    #[test]
    fn a_file_is_read_piece_by_piece() {
        let dirs = dirs();
        let read = |offset, length| read(&dirs.sandbox, "stdout", offset, length).unwrap();
        assert_eq!(
            read(0, 5),
            Piece {
                data: b"hello".to_vec(),
                size: 11
            }
        );
        assert_eq!(
            read(6, 100),
            Piece {
                data: b"world".to_vec(),
                size: 11
            }
        );
        assert_eq!(
            read(11, 5),
            Piece {
                data: vec![],
                size: 11
            }
        );
        assert_eq!(
            read(u64::MAX >> 1, 5),
            Piece {
                data: vec![],
                size: 11
            }
        );
    }

    #[test]
    fn latest_points_to_the_newest_run() {
        let dirs = dirs();
        let second = dirs.sandbox.with_file_name("run2");
        make(&second).unwrap();
        make(&second).unwrap();
        fs::write(second.join("stdout"), "second").unwrap();
        let newest = dirs.sandbox.with_file_name("latest");
        assert_eq!(read(&newest, "stdout", 0, 100).unwrap().data, b"second");
    }

    #[test]
    fn every_way_out_of_the_sandbox_is_refused() {
        let dirs = dirs();
        let sandbox = &dirs.sandbox;
        symlink("../../../../secret", sandbox.join("relative")).unwrap();
        symlink("/etc/passwd", sandbox.join("absolute")).unwrap();
        symlink("../../../..", sandbox.join("up")).unwrap();
        symlink("/proc/self/root", sandbox.join("magic")).unwrap();
        fs::create_dir(sandbox.join("inner")).unwrap();
        let ways = [
            "../../../../secret",
            "inner/../../../../../secret",
            "/etc/passwd",
            "relative",
            "absolute",
            "up/secret",
            "magic/etc/passwd",
        ];
        for path in ways {
            let error = read(sandbox, path, 0, 100).unwrap_err();
            assert!(
                matches!(error, SandboxError::Escape { .. }),
                "{path}: {error}"
            );
            let root = File::open(sandbox).unwrap();
            assert!(open_stepwise(root, path).is_err(), "{path}");
        }
    }

    #[test]
    fn links_within_the_sandbox_are_followed() {
        let dirs = dirs();
        fs::create_dir(dirs.sandbox.join("inner")).unwrap();
        symlink("../stdout", dirs.sandbox.join("inner/log")).unwrap();
        assert_eq!(
            read(&dirs.sandbox, "inner/log", 0, 5).unwrap().data,
            b"hello"
        );
    }

    #[test]
    fn what_is_no_file_is_refused_and_never_blocks() {
        let dirs = dirs();
        nix::unistd::mkfifo(&dirs.sandbox.join("pipe"), Mode::S_IRWXU).unwrap();
        for path in ["pipe", ".", ""] {
            let error = read(&dirs.sandbox, path, 0, 1).unwrap_err();
            assert!(!error.to_string().is_empty(), "{path}");
        }
        assert!(matches!(
            read(&dirs.sandbox, "pipe", 0, 1),
            Err(SandboxError::NotAFile { .. })
        ));
        assert!(matches!(
            read(&dirs.sandbox, ".", 0, 1),
            Err(SandboxError::NotAFile { .. })
        ));
        assert!(matches!(
            read(&dirs.sandbox, "none", 0, 1),
            Err(SandboxError::Read { .. })
        ));
        let nowhere = dirs.sandbox.join("x");
        assert!(matches!(
            read(&nowhere, "stdout", 0, 1),
            Err(SandboxError::Absent { .. })
        ));
    }
}
