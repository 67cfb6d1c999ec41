//! A file system of its own for a container: the machine's, read-only, or an image's, with own places in it.
//!
//! It is put together on a memory file system, or on the layers of the image, and made the root by `pivot_root`, after which no
//! path leads to the machine's own root any more. Every mount is private to the container and goes
//! with it.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, pivot_root},
};

use super::{
    plan::{Bind, Overlay, Root, Tmpfs},
    raw,
    report::{Failure, Stage},
};

/// Places at the top of the machine that a container does not see: they are its own, or empty.
const OWN: &[&str] = &["dev", "mnt", "proc", "sys", "tmp"];
const EMPTY: &[&str] = &["boot", "media", "root", "run"];
/// Devices that everybody may use.
const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];
/// Files of `/proc` and `/sys` that tell of the machine or change it.
const MASKED: &[&str] = &[
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/firmware",
];
const READ_ONLY: &[&str] = &[
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

const LOCKED: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const SEALED: MsFlags = LOCKED.union(MsFlags::MS_NOEXEC);
const REMOUNT_READ_ONLY: MsFlags = MsFlags::MS_REMOUNT
    .union(MsFlags::MS_BIND)
    .union(MsFlags::MS_RDONLY)
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV);
const SHM_SIZE: &str = "mode=1777,size=64m";

/// What OCI runtimes are told of the file system: names at the top that are the container's own, paths
/// that are masked and paths that are read-only.
pub(crate) struct Places {
    pub(crate) own: Vec<&'static str>,
    pub(crate) masked: &'static [&'static str],
    pub(crate) read_only: &'static [&'static str],
}

pub(crate) fn places() -> Places {
    Places {
        own: OWN.iter().chain(EMPTY).copied().collect(),
        masked: MASKED,
        read_only: READ_ONLY,
    }
}

/// Whether a container sees the machine's own files below `path`.
pub(crate) fn shows_machine(path: &Path) -> bool {
    let top = path.components().nth(1);
    let is_own = |name: &&str| top == Some(Component::Normal(OsStr::new(name)));
    !OWN.iter().chain(EMPTY).any(is_own)
}

/// Puts the file system together and makes it this process's root. Needs a mount namespace and a
/// pid namespace of its own.
pub(super) fn enter(root: &Root) -> Result<(), Failure> {
    let at = &root.mount_point;
    let none: Option<&str> = None;
    private()?;
    match &root.image {
        Some(overlay) => image(at, overlay)?,
        None => {
            let options = Some("mode=755,size=1m");
            step(at, mount(Some("tmpfs"), at, Some("tmpfs"), LOCKED, options))?;
            machine(at)?;
            for directory in &root.hidden {
                hide(&below(at, directory)?)?;
            }
        }
    }
    own_proc_and_sys(at)?;
    own_dev(at, &root.devices)?;
    bind(&root.sandbox, at, &root.sandbox_at, false)?;
    // Where the image has it as a link, it leads to some place of the image.
    let has_tmp =
        root.image.is_some() && below(at, Path::new("/tmp")).map_or(true, |path| path.is_dir());
    if !has_tmp {
        bind(&root.tmp, at, Path::new("/tmp"), false)?;
    }
    if root.image.is_none() && at.join("var/tmp").is_dir() {
        bind(&root.tmp, at, Path::new("/var/tmp"), false)?;
    }
    for tmpfs in &root.tmpfs {
        memory(at, tmpfs)?;
    }
    for Bind {
        source,
        target,
        read_only,
    } in &root.binds
    {
        bind(source, at, target, *read_only)?;
    }
    if let Some(made) = &root.made
        && let Ok(path) = below(at, made)
    {
        // Behind a link, it is there or it is missed when it is entered.
        directory(&path)?;
    }
    if root.image.is_some() {
        names_of_machine(at)?;
        return pivot(at);
    }
    name_servers(at)?;
    step(at, mount(none, at, none, REMOUNT_READ_ONLY, none))?;
    pivot(at)
}

/// What is mounted from here on is seen by nobody outside.
pub(super) fn private() -> Result<(), Failure> {
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("/", mount(none, "/", none, private, none))
}

/// The layers of an image, with one on top that is written to.
pub(super) fn layers(at: &Path, overlay: &Overlay) -> Result<(), Failure> {
    let lower: Vec<String> = overlay
        .layers
        .iter()
        .map(|layer| layer.display().to_string())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        overlay.upper.display(),
        overlay.work.display()
    );
    // Options have room for one page: all of it is told from here on.
    step(&overlay.directory, chdir(&overlay.directory))?;
    let kind = Some("overlay");
    step(at, mount(kind, at, kind, LOCKED, Some(options.as_str())))?;
    step("/", chdir("/"))
}

fn image(at: &Path, overlay: &Overlay) -> Result<(), Failure> {
    layers(at, overlay)?;
    for own in ["/dev", "/proc", "/sys"] {
        // It may be a link to anywhere.
        directory(&below(at, Path::new(own))?)?;
    }
    Ok(())
}

/// Who is who in the network, which is the machine's: an image knows nothing of it.
fn names_of_machine(at: &Path) -> Result<(), Failure> {
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        let source = Path::new(file);
        if !source.is_file() {
            continue;
        }
        let directory = below(at, Path::new("/etc"))?;
        let target = directory.join(source.file_name().unwrap_or_default());
        if fs::symlink_metadata(&target).is_ok_and(|about| about.is_symlink()) {
            io_step(&target, fs::remove_file(&target))?;
        }
        bind(source, at, source, true)?;
    }
    Ok(())
}

/// What is at the top of the machine, read-only with all that is mounted below it.
fn machine(at: &Path) -> Result<(), Failure> {
    for name in OWN.iter().chain(EMPTY) {
        directory(&at.join(name))?;
    }
    for entry in io_step("/", fs::read_dir("/"))? {
        let entry = io_step("/", entry)?;
        let target = at.join(entry.file_name());
        let kind = io_step(&target, entry.file_type())?;
        if kind.is_symlink() {
            let leads_to = io_step(&target, fs::read_link(entry.path()))?;
            if !target.exists() {
                // One of the names above may be a link on this machine.
                io_step(&target, ignore_existing(symlink(leads_to, &target)))?;
            }
        } else if kind.is_dir() && !target.exists() {
            directory(&target)?;
            tree(&entry.path(), &target)?;
            step(&target, raw::lock_tree(&target))?;
        }
    }
    Ok(())
}

fn own_proc_and_sys(at: &Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    for (kind, flags) in [("proc", SEALED), ("sysfs", SEALED | MsFlags::MS_RDONLY)] {
        let target = at.join(kind.trim_end_matches("fs"));
        step(&target, mount(Some(kind), &target, Some(kind), flags, none))?;
    }
    for path in READ_ONLY {
        let target = at.join(path);
        if target.exists() {
            tree(&target, &target)?;
            let flags = REMOUNT_READ_ONLY | MsFlags::MS_NOEXEC;
            step(&target, mount(none, &target, none, flags, none))?;
        }
    }
    for path in MASKED {
        hide(&at.join(path))?;
    }
    Ok(())
}

fn own_dev(at: &Path, more: &[Bind]) -> Result<(), Failure> {
    let dev = at.join("dev");
    let none: Option<&str> = None;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let (kind, options) = (Some("tmpfs"), Some("mode=755,size=64k"));
    step(&dev, mount(kind, &dev, kind, flags, options))?;
    let harmless = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    for device in harmless.filter(|device| device.exists()) {
        bind(&device, at, &device, false)?;
    }
    for Bind { source, target, .. } in more {
        bind(source, at, target, false)?;
    }
    for (name, leads_to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        let link = dev.join(name);
        io_step(&link, symlink(leads_to, &link))?;
    }
    let (pts, shm) = (dev.join("pts"), dev.join("shm"));
    directory(&pts)?;
    directory(&shm)?;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    let (kind, flags) = (Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC);
    step(&pts, mount(kind, &pts, kind, flags, options))?;
    let kind = Some("tmpfs");
    step(&shm, mount(kind, &shm, kind, SEALED, Some(SHM_SIZE)))?;
    step(&dev, mount(none, &dev, none, REMOUNT_READ_ONLY_DEV, none))
}

/// Devices in it work, nothing can be added.
const REMOUNT_READ_ONLY_DEV: MsFlags = MsFlags::MS_REMOUNT
    .union(MsFlags::MS_BIND)
    .union(MsFlags::MS_RDONLY)
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NOEXEC);

/// Lets nothing be seen of a file or directory, if there is one.
fn hide(path: &Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => {
            let flags = SEALED | MsFlags::MS_RDONLY;
            let (kind, options) = (Some("tmpfs"), Some("mode=555,size=4k"));
            step(path, mount(kind, path, kind, flags, options))
        }
        Ok(about) if !about.is_symlink() => {
            let flags = MsFlags::MS_BIND;
            step(path, mount(Some("/dev/null"), path, none, flags, none))
        }
        _ => Ok(()),
    }
}

fn memory(at: &Path, tmpfs: &Tmpfs) -> Result<(), Failure> {
    let target = below(at, &tmpfs.target)?;
    directory(&target)?;
    let options = format!("mode=1777,size={}", tmpfs.bytes);
    let (kind, options) = (Some("tmpfs"), Some(options.as_str()));
    step(&target, mount(kind, &target, kind, LOCKED, options))
}

/// Shows `source` of the machine as `target`, which is made if there is room for it.
fn bind(source: &Path, at: &Path, target: &Path, read_only: bool) -> Result<(), Failure> {
    let target = below(at, target)?;
    let about = io_step(source, fs::metadata(source))?;
    if !target.exists() {
        let parent = target.parent().unwrap_or(at);
        directory(parent)?;
        match about.is_dir() {
            true => directory(&target)?,
            false => drop(io_step(&target, File::create(&target))?),
        }
    }
    tree(source, &target)?;
    let none: Option<&str> = None;
    if read_only {
        return step(&target, raw::lock_tree(&target));
    }
    if about.is_dir() {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | LOCKED;
        step(&target, mount(none, &target, none, flags, none))?;
    }
    Ok(())
}

/// The file with the name servers is often a link to a place that is not shown.
fn name_servers(at: &Path) -> Result<(), Failure> {
    let file = Path::new("/etc/resolv.conf");
    match fs::canonicalize(file) {
        Ok(real) if real != file && real.starts_with("/run") => bind(&real, at, &real, true),
        _ => Ok(()),
    }
}

fn tree(source: &Path, target: &Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    step(target, mount(Some(source), target, none, flags, none))
}

/// `path` of the container as this process sees it; never above `at`, whatever the links in it.
fn below(at: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let mut found = at.to_owned();
    for component in path.components() {
        match component {
            Component::Normal(name) => found.push(name),
            Component::ParentDir => return step(path, Err(Errno::EINVAL)).map(|()| found),
            _ => continue,
        }
        let is_link = fs::symlink_metadata(&found).is_ok_and(|about| about.is_symlink());
        if is_link {
            return step(path, Err(Errno::ELOOP)).map(|()| found);
        }
    }
    Ok(found)
}

fn pivot(at: &Path) -> Result<(), Failure> {
    step(at, chdir(at))?;
    // The old root is put under the new one, at the same place, and taken away from there.
    step(at, pivot_root(".", "."))?;
    step(at, umount2(".", MntFlags::MNT_DETACH))?;
    step("/", chdir("/"))
}

fn directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    io_step(path, fs::create_dir_all(path))?;
    io_step(
        path,
        fs::set_permissions(path, Permissions::from_mode(0o755)),
    )
}

fn ignore_existing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn step<T>(path: impl AsRef<Path>, result: nix::Result<T>) -> Result<T, Failure> {
    result.map_err(|errno| Failure::of(Stage::Root, path.as_ref(), errno))
}

fn io_step<T>(path: impl AsRef<Path>, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| super::process::failure(Stage::Root, path, &error))
}
