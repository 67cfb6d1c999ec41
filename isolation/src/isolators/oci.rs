//! Handing containers to an OCI runtime: what the other isolators have said, written as the `config.json`
//! of a bundle, which lies in the agent's directory as long as the container does.
//!
//! ```text
//!  <work dir>/oci/<container>/{config.json, rootfs/, state/, pid}
//! ```
//! The runtime makes its control group below that of the container, so that the limits that are set
//! there hold, and are counted and watched as ever.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use super::{Isolator, IsolatorError};
use crate::{
    cgroup::Mounts,
    container::{Container, IsolationConfig},
    launch::{Plan, Root, Runtime, places},
    oci::{self, Entry},
};

/// The group of the runtime, below that of the container.
const GROUP: &str = "oci";
/// What must be there, as a bundle cannot be without it.
const NEEDED: &[&str] = &[
    "cgroups",
    "namespaces/pid",
    "filesystem/linux",
    "linux/capabilities",
];

#[derive(Debug)]
pub(crate) struct Oci {
    program: PathBuf,
    bundles: PathBuf,
    /// Where groups of the agent lie.
    base: PathBuf,
}

impl Oci {
    /// With the isolators of these names beside it; or a text for people.
    pub(crate) fn new(
        program: &Path,
        config: &IsolationConfig,
        names: &BTreeSet<&str>,
    ) -> Result<Self, String> {
        if !program.is_absolute() {
            return Err("write its path from / on, e.g. /usr/sbin/runc".to_owned());
        }
        access(program, AccessFlags::X_OK).map_err(|errno| errno.desc().to_owned())?;
        if let Some(lacking) = NEEDED.iter().find(|needed| !names.contains(**needed)) {
            return Err(format!("it needs root and the isolator {lacking}"));
        }
        Ok(Self {
            program: program.to_owned(),
            bundles: config.work_dir.join("oci"),
            base: config.cgroup_base(),
        })
    }
}

/// Where a process comes into the runtime's group, for that where it comes into the container's.
pub(crate) fn entrance(file: &Path) -> PathBuf {
    match (file.parent(), file.file_name()) {
        (Some(group), Some(name)) => group.join(GROUP).join(name),
        _ => file.to_owned(),
    }
}

impl Isolator for Oci {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        let refused = |what: &str| IsolatorError::Refused(format!("an OCI runtime needs {what}"));
        let root = plan.root.as_ref();
        let root = root.ok_or_else(|| refused("a file system of the container's own"))?;
        let group = group(plan).ok_or_else(|| refused("control groups"))?;
        let bundle = self.bundles.join(&container.name);
        let rootfs = bundle.join("rootfs");
        let entries = make(&rootfs, root).map_err(|source| IsolatorError::File {
            action: "make",
            path: rootfs.clone(),
            source,
        })?;
        let config = oci::config(plan, root, &group.join(GROUP), &entries);
        let path = bundle.join("config.json");
        fs::write(&path, config.to_string()).map_err(|source| IsolatorError::File {
            action: "write",
            path,
            source,
        })?;
        if let Some(memory) = &mut plan.memory {
            memory.also = Some(memory.directory.join(GROUP));
        }
        plan.runtime = Some(Runtime {
            program: self.program.clone(),
            bundle,
            id: container.name.clone(),
        });
        Ok(())
    }

    fn cleanup(&self, name: &str) -> Result<(), IsolatorError> {
        // Runtimes leave groups behind, also in hierarchies that nothing is limited in.
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in Mounts::all(&text) {
            let base = mount.join(&self.base);
            let group = base.join(name);
            for group in [&group.join(GROUP), &group, &base] {
                let _ = fs::remove_dir(group);
            }
        }
        let path = self.bundles.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(IsolatorError::File {
                action: "remove",
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    fn left(&self) -> BTreeSet<String> {
        let bundles = fs::read_dir(&self.bundles).into_iter().flatten().flatten();
        bundles
            .filter_map(|bundle| bundle.file_name().into_string().ok())
            .collect()
    }
}

/// The container's group, from the top of its hierarchy on.
fn group(plan: &Plan) -> Option<PathBuf> {
    let mounts = Mounts::of_this_process().ok()?;
    let group = plan.cgroups.first()?.parent()?;
    let mut all = mounts.v1.values().chain(&mounts.v2);
    let below = all.find_map(|mount| group.strip_prefix(mount).ok())?;
    Some(Path::new("/").join(below))
}

/// Makes the directory that the container sees as its root: empty for an image; links and places to mount
/// on for the machine's files. Returns what of the machine is to be seen.
fn make(rootfs: &Path, root: &Root) -> io::Result<Vec<Entry>> {
    fs::create_dir_all(rootfs)?;
    if root.image.is_some() {
        return Ok(Vec::new());
    }
    let own = places().own;
    for name in &own {
        fs::create_dir(rootfs.join(name))?;
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir("/")? {
        let (name, kind) = (entry.as_ref().map(fs::DirEntry::file_name), entry.as_ref());
        let (Ok(name), Ok(kind)) = (name, kind) else {
            continue;
        };
        let (kind, target) = (kind.file_type()?, rootfs.join(&name));
        if own.iter().any(|own| name == **own) {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(Path::new("/").join(&name))?, target)?;
        } else if kind.is_dir() {
            fs::create_dir(target)?;
            entries.push(Path::new("/").join(name));
        }
    }
    entries.sort();
    Ok(entries)
}
