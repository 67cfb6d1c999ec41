//! An OCI runtime (runc, crun) in place of the steps: what it needs to find, and its start.
//!
//! It runs in a mount namespace of its own, so that the layers of an image that are mounted for it go
//! with it. Where control groups of version 1 are used, those of version 2 are taken out of its sight:
//! crun refuses machines with both.

use std::{
    convert::Infallible,
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
    sched::{CloneFlags, unshare},
    unistd::execve,
};

use super::{
    plan::{Plan, Runtime},
    process::failure,
    raw,
    report::{Failure, Stage},
    root,
};

/// For the programs that it starts itself.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn become_runtime(plan: &Plan, runtime: &Runtime) -> Result<Infallible, Failure> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Failure::of(Stage::Namespace, "mnt", errno))?;
    root::private()?;
    for mount in unused(plan)? {
        umount2(&mount, MntFlags::MNT_DETACH)
            .map_err(|errno| Failure::of(Stage::Cgroup, &mount, errno))?;
    }
    let overlay = plan.root.as_ref().and_then(|root| root.image.as_ref());
    if let Some(overlay) = overlay {
        root::layers(&runtime.bundle.join("rootfs"), overlay)?;
    }
    raw::reset_signals().map_err(|errno| Failure::of(Stage::Fork, "signals", errno))?;
    let failed = |errno| Failure::of(Stage::Exec, &runtime.program, errno);
    let text =
        |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL));
    let program = text(&runtime.program)?;
    let arguments = [
        &runtime.program,
        Path::new("--root"),
        &runtime.bundle.join("state"),
        Path::new("run"),
        Path::new("--bundle"),
        &runtime.bundle,
        Path::new("--pid-file"),
        &runtime.pid_file(),
        Path::new(&runtime.id),
    ];
    let arguments = arguments.map(text);
    let arguments: Vec<CString> = arguments.into_iter().collect::<Result<_, _>>()?;
    let environment = [text(Path::new(PATH))?];
    match execve(&program, &arguments, &environment) {
        Err(errno) => Err(failed(errno)),
        Ok(never) => match never {},
    }
}

/// Mounts of version 2 that none of the plan's groups is in.
fn unused(plan: &Plan) -> Result<Vec<PathBuf>, Failure> {
    let file = "/proc/self/mountinfo";
    let text = fs::read_to_string(file).map_err(|error| failure(Stage::Cgroup, file, &error))?;
    let mounts = unified(&text).into_iter();
    let is_used = |mount: &PathBuf| plan.cgroups.iter().any(|group| group.starts_with(mount));
    Ok(mounts.filter(|mount| !is_used(mount)).collect())
}

fn unified(mountinfo: &str) -> Vec<PathBuf> {
    let lines = mountinfo.lines();
    let points = lines.filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ")
            .then(|| mount.split(' ').nth(4))?
    });
    points.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_version_2_are_found() {
        let text = "32 31 0:29 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                    41 31 0:38 / /cg/unified rw,relatime - cgroup2 cgroup2 rw\n\
                    31 23 0:28 / /cg rw,relatime - tmpfs tmpfs rw,mode=755\n";
        assert_eq!(unified(text), [PathBuf::from("/cg/unified")]);
    }
}
