//! A directory that archives are opened into, and nothing outside of it.
//!
//! What an archive says of paths and links is not to be trusted. Every path is resolved by the kernel
//! in one step, from the directory on (`openat2`): without any link in it, or, for file systems of
//! images, with links taken as if the directory were the root. A link that is made leads nowhere above the
//! directory: it climbs no more than it is deep, and only at its start, so that links on its way change nothing.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, FileTimes, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt as _, fchown},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat},
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat},
};

use rustix::fs::{XattrFlags, fsetxattr};

use crate::error::Problem;

/// A directory to make files in.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// Whose all in it is that says nothing else; this process's where absent.
    owner: Option<(u32, u32)>,
    /// A layer of an image: links are taken as they will be in a container, and owners are kept.
    is_layer: bool,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) file: File,
    path: PathBuf,
    owner: Option<(u32, u32)>,
}

impl Made {
    /// Gives it away, and sets its rights and the time of its last change (seconds since 1970).
    pub(crate) fn finish(self, mode: u32, modified: Option<u64>) -> Result<(), Problem> {
        let set = || -> io::Result<()> {
            if let Some((uid, gid)) = self.owner {
                fchown(&self.file, Some(uid), Some(gid))?;
            }
            self.file.set_permissions(Permissions::from_mode(mode))?;
            let time = modified.and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
            match time {
                Some(time) => self.file.set_times(FileTimes::new().set_modified(time)),
                None => Ok(()),
            }
        };
        set().map_err(Problem::file("set up", &self.path))
    }
}

impl Tree {
    /// The tree below an existing directory.
    pub(crate) fn open(root: &Path, owner: Option<(u32, u32)>) -> Result<Self, Problem> {
        let opened = File::open(root).map_err(Problem::file("open", root))?;
        Ok(Self {
            root: opened.into(),
            owner,
            is_layer: false,
        })
    }

    /// The tree of a layer.
    pub(crate) fn of_layer(root: &Path) -> Result<Self, Problem> {
        let tree = Self::open(root, None)?;
        Ok(Self {
            is_layer: true,
            ..tree
        })
    }

    /// Whether it is that of a layer.
    pub(crate) fn is_layer(&self) -> bool {
        self.is_layer
    }

    /// Has what is made from now on belong to somebody.
    pub(crate) fn owned_by(&self, owner: (u32, u32)) -> Result<Self, Problem> {
        let root = self.root.try_clone();
        Ok(Self {
            root: root.map_err(Problem::file("open", "the directory"))?,
            owner: Some(owner),
            is_layer: self.is_layer,
        })
    }

    /// Has what lower layers have at `path` be gone.
    //= oci-image, layer.md: whiteouts; linux, overlayfs: a device 0/0
    pub(crate) fn whiteout(&self, path: &Path) -> Result<(), Problem> {
        let make = || {
            let (parent, name) = self.place(path)?;
            mknodat(
                &parent,
                name.as_os_str(),
                SFlag::S_IFCHR,
                Mode::empty(),
                makedev(0, 0),
            )
        };
        make().map_err(|errno| failed("make", path, errno))
    }

    /// Has all that lower layers have in a directory be gone.
    //= oci-image, layer.md: opaque whiteouts; linux, overlayfs: trusted.overlay.opaque
    pub(crate) fn hide_below(&self, directory: &Path) -> Result<(), Problem> {
        let opened = self
            .reach(directory)
            .map_err(|errno| failed("make", directory, errno))?;
        let set = fsetxattr(&opened, "trusted.overlay.opaque", b"y", XattrFlags::empty());
        set.map_err(|errno| Problem::file("set up", directory)(errno.into()))
    }

    /// Begins a file, in place of what is there.
    pub(crate) fn file(&self, path: &Path) -> Result<Made, Problem> {
        let make = || {
            let (parent, name) = self.place(path)?;
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
            openat(
                &parent,
                name.as_os_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
            )
        };
        let file = make().map_err(|errno| failed("make", path, errno))?;
        Ok(Made {
            file: file.into(),
            path: path.to_owned(),
            owner: self.owner,
        })
    }

    /// Makes a directory, or takes one that is there.
    pub(crate) fn directory(&self, path: &Path, mode: u32) -> Result<(), Problem> {
        let made = self
            .reach(path)
            .map_err(|errno| failed("make", path, errno))?;
        // Whoever is not root must be able to go on in it.
        let mode = if self.is_layer { mode } else { mode | 0o700 };
        let set = || {
            if let Some((uid, gid)) = self.owner {
                fchown(&made, Some(uid), Some(gid))?;
            }
            File::from(made).set_permissions(Permissions::from_mode(mode))
        };
        set().map_err(Problem::file("set up", path))
    }

    /// Makes a symbolic link, in place of what is there.
    pub(crate) fn symlink(&self, path: &Path, target: &Path) -> Result<(), Problem> {
        if !self.is_layer && !stays(path, target) {
            return Err(Problem::Archive(format!(
                "the link {} leads out of the directory, to {}",
                path.display(),
                target.display()
            )));
        }
        let make = || {
            let (parent, name) = self.place(path)?;
            symlinkat(target.as_os_str(), &parent, name.as_os_str())?;
            let Some((uid, gid)) = self.owner else {
                return Ok(());
            };
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            let flag = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(&parent, name.as_os_str(), Some(uid), Some(gid), flag)
        };
        make().map_err(|errno| failed("make", path, errno))
    }

    /// Gives the file `target` of the tree another name.
    pub(crate) fn hard_link(&self, path: &Path, target: &Path) -> Result<(), Problem> {
        let make = || {
            let (from, old) = self.split(target)?;
            let (parent, name) = self.place(path)?;
            let (old, name) = (old.as_os_str(), name.as_os_str());
            linkat(&from, old, &parent, name, AtFlags::empty())
        };
        make().map_err(|errno| failed("make", path, errno))
    }

    /// The directory of `path`, made if need be, and its name there, which is free then.
    fn place(&self, path: &Path) -> nix::Result<(OwnedFd, OsString)> {
        let (parent, name) = self.split(path)?;
        match unlinkat(&parent, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok((parent, name)),
            Err(errno) => Err(errno),
        }
    }

    fn split(&self, path: &Path) -> nix::Result<(OwnedFd, OsString)> {
        let name = path.file_name().ok_or(Errno::EINVAL)?.to_owned();
        let parent = self.reach(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, name))
    }

    /// Opens a directory, and makes what is missing of it.
    fn reach(&self, path: &Path) -> nix::Result<OwnedFd> {
        let at = match path.as_os_str().is_empty() {
            true => OsStr::new("."),
            false => path.as_os_str(),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let resolve = match self.is_layer {
            true => ResolveFlag::RESOLVE_IN_ROOT,
            false => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        };
        let how = || OpenHow::new().flags(flags).resolve(resolve);
        match openat2(&self.root, at, how()) {
            Err(Errno::ENOENT) => {
                let (parent, name) = self.split(path)?;
                match mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
                let made = openat2(&self.root, at, how())?;
                if let Some((uid, gid)) = self.owner {
                    let given = fchown(&made, Some(uid), Some(gid));
                    given.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
                }
                Ok(made)
            }
            opened => opened,
        }
    }
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> Problem {
    if let Errno::ELOOP | Errno::EXDEV = errno {
        let path = path.display();
        return Problem::Archive(format!("{path} would be behind a link"));
    }
    Problem::file(action, path)(errno.into())
}

/// A path of an archive as one below the tree.
///
/// # Errors
/// [`Problem::Archive`] when it leads out of it.
pub(crate) fn inside(path: &Path) -> Result<PathBuf, Problem> {
    let mut found = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => found.push(name),
            Component::CurDir => {}
            _ => {
                let path = path.display();
                let text = format!("{path} leads out of the directory");
                return Err(Problem::Archive(text));
            }
        }
    }
    Ok(found)
}

/// Whether a link at `path` leads nowhere above the tree, whatever other such links are on its way.
fn stays(path: &Path, target: &Path) -> bool {
    let depth = path.components().count().saturating_sub(1);
    let mut climbed = 0;
    let mut has_gone_down = false;
    for component in target.components() {
        match component {
            Component::ParentDir if has_gone_down => return false,
            Component::ParentDir => climbed += 1,
            Component::Normal(_) => has_gone_down = true,
            Component::CurDir => {}
            _ => return false,
        }
    }
    climbed <= depth
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_climb_no_more_than_they_are_deep() {
        for (path, target, expected) in [
            ("a", "b", true),
            ("a", "b/c", true),
            ("a/b", "../c", true),
            ("a/b", "../../c", false),
            ("a", "..", false),
            ("a", "/etc", false),
            // Through a link to the top, this would be above it.
            ("e", "d/d/../..", false),
            ("a", "./b", true),
        ] {
            assert_eq!(
                stays(Path::new(path), Path::new(target)),
                expected,
                "{path} -> {target}"
            );
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        assert_eq!(inside(Path::new("./a//b/.")).unwrap(), Path::new("a/b"));
        for path in ["../a", "a/../../b", "/etc/passwd", "a/.."] {
            assert!(inside(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "old").unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink(outside.join("file"), root.join("file")).unwrap();
        let tree = Tree::open(&root, None).unwrap();
        let error = tree.file(Path::new("link/file")).unwrap_err().to_string();
        assert!(error.contains("behind a link"), "{error}");
        assert!(tree.directory(Path::new("link/made"), 0o755).is_err());
        assert!(
            tree.hard_link(Path::new("x"), Path::new("link/file"))
                .is_err()
        );
        // A link in the place of a file is replaced, not followed.
        let mut made = tree.file(Path::new("file")).unwrap();
        made.file.write_all(b"new").unwrap();
        made.finish(0o600, Some(1)).unwrap();
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "old");
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "new");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn directories_are_made_as_they_are_needed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path(), None).unwrap();
        tree.file(Path::new("a/b/c"))
            .unwrap()
            .finish(0o755, None)
            .unwrap();
        tree.symlink(Path::new("a/d"), Path::new("b/c")).unwrap();
        tree.hard_link(Path::new("e"), Path::new("a/b/c")).unwrap();
        assert!(dir.path().join("a/d").is_file() && dir.path().join("e").is_file());
        assert!(
            tree.symlink(Path::new("a/f"), Path::new("../../x"))
                .is_err()
        );
    }
}
