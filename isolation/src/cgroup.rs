//! Control groups: limits and accounts of a container's processes together.
//!
//! ```text
//!  v1: <mount of each controller>/<base>/<group>      base: tepui/<agent>
//!  v2: <one mount>/<own group>/<base>/<group>         group: a run of an executor
//! ```
//! [`Backend`] is what isolators use; [`detect`] finds which of the two this machine has, from the
//! mounts of this process. Values are written by `cgroups-rs`; where groups lie, how processes come
//! in, how they are killed and what they used is ours, as that crate assumes fixed mount points and
//! cannot kill on v1. A machine with both has its controllers in v1 (a controller is in one only).

mod bpf;
mod device_program;
pub(crate) mod entering;
mod mounts;
mod usage;
mod v1;
mod v2;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs::File,
    io,
    path::{Path, PathBuf},
};

pub use mounts::Mounts;
pub use tepui_protocol::Usage;

/// What a group can limit or account for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Shares and bandwidth of processors.
    Cpu,
    /// Use of processors; with v2 a part of [`Controller::Cpu`].
    Cpuacct,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Which processors and memory nodes are used.
    Cpuset,
    /// Which devices may be opened; with v2 a program of the kernel's (BPF).
    Devices,
    /// Reads and writes of disks.
    Io,
    /// Stopping all processes at once; with v2 always there.
    Freezer,
}

impl Controller {
    /// Its name with version 1 and 2; empty where there is none.
    fn names(self) -> [&'static str; 2] {
        match self {
            Controller::Cpu => ["cpu", "cpu"],
            Controller::Cpuacct => ["cpuacct", "cpu"],
            Controller::Memory => ["memory", "memory"],
            Controller::Pids => ["pids", "pids"],
            Controller::Cpuset => ["cpuset", "cpuset"],
            Controller::Devices => ["devices", ""],
            Controller::Io => ["blkio", "io"],
            Controller::Freezer => ["freezer", ""],
        }
    }
}

/// Why a group could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file or directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A limit was not taken.
    #[error("cannot set {what} of {}", group.display())]
    Limit {
        /// Which limit, and its value.
        what: String,
        /// The group's directory.
        group: PathBuf,
        /// What the system says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Processes do not die.
    #[error("processes of {} survived SIGKILL", group.display())]
    Survivors {
        /// The group's directory.
        group: PathBuf,
    },
}

/// A device node, or all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its driver.
    pub major: i64,
    /// Its number with the driver; all of them where absent.
    pub minor: Option<i64>,
    /// Whether nodes of it may be made as well as used.
    pub make: bool,
}

/// One of the two versions of control groups, below one base.
pub trait Backend: Debug + Send + Sync {
    /// Whether this is version 2.
    fn is_unified(&self) -> bool;

    /// Whether a controller can be used.
    fn has(&self, controller: Controller) -> bool;

    /// The directory of a group where a controller keeps its files.
    fn directory(&self, group: &str, controller: Controller) -> PathBuf;

    /// Makes a group with these controllers.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    fn create(&self, group: &str, controllers: &BTreeSet<Controller>) -> Result<(), CgroupError>;

    /// The files that a process writes `0` to, to enter the group.
    fn entrances(&self, group: &str, controllers: &BTreeSet<Controller>) -> Vec<PathBuf>;

    /// Gives a share of the processors in proportion to `milli_cpus`, and no more than `max`
    /// thousandths of them.
    ///
    /// # Errors
    /// [`CgroupError::Limit`], here and below.
    fn set_cpu(&self, group: &str, milli_cpus: u64, max: Option<u64>) -> Result<(), CgroupError>;

    /// Limits memory, swap included.
    ///
    /// # Errors
    /// See [`Backend::set_cpu`].
    fn set_memory(&self, group: &str, bytes: u64) -> Result<(), CgroupError>;

    /// Limits processes and threads.
    ///
    /// # Errors
    /// See [`Backend::set_cpu`].
    fn set_pids(&self, group: &str, max: u64) -> Result<(), CgroupError>;

    /// Sets the processors, as `0-3,8`.
    ///
    /// # Errors
    /// See [`Backend::set_cpu`].
    fn set_cpuset(&self, group: &str, cpus: &str) -> Result<(), CgroupError>;

    /// Allows these devices and no others.
    ///
    /// # Errors
    /// See [`Backend::set_cpu`].
    fn set_devices(&self, group: &str, devices: &[Device]) -> Result<(), CgroupError>;

    /// Adds what a controller counted.
    fn read_usage(&self, group: &str, controller: Controller, usage: &mut Usage);

    /// Opens the file that begins with a controller's count of now: of `Cpuacct` the processor time, of
    /// `Pids` the processes and threads. None for others, and where it is not there.
    fn open_count(&self, group: &str, controller: Controller) -> Option<File>;

    /// What the count of `Cpuacct` is to be divided by for microseconds.
    fn cpu_time_scale(&self) -> u64;

    /// Kills all processes of a group, and removes it. Blocks for some milliseconds, 2 s at most; a
    /// group that is not there is removed already.
    ///
    /// # Errors
    /// [`CgroupError`] when something is left.
    fn destroy(&self, group: &str) -> Result<(), CgroupError>;

    /// All groups below the base.
    fn groups(&self) -> BTreeSet<String>;
}

/// The control groups of this machine below `base` (`tepui/1f00`); none if there are none or this
/// process may not make any.
pub fn detect(base: &Path) -> Option<Box<dyn Backend>> {
    let mounts = Mounts::of_this_process().ok()?;
    if !mounts.v1.is_empty() {
        return v1::Legacy::new(mounts.v1, base).map(|found| Box::new(found) as Box<dyn Backend>);
    }
    let own = mounts.own_group();
    v2::Unified::new(&mounts.v2?, &own, base).map(|found| Box::new(found) as Box<dyn Backend>)
}

/// Performs a file operation with an error that names it.
fn file<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, CgroupError> {
    result.map_err(|source| CgroupError::File {
        action,
        path: path.to_owned(),
        source,
    })
}

/// A limit that `cgroups-rs` has written, or not.
fn limit(
    what: String,
    group: &Path,
    result: Result<(), cgroups_rs::error::Error>,
) -> Result<(), CgroupError> {
    result.map_err(|source| CgroupError::Limit {
        what,
        group: group.to_owned(),
        source: Box::new(source),
    })
}

/// Makes a directory and those above it, also while another process removes an empty one of them.
fn make(directory: &Path) -> io::Result<()> {
    const TRIES: u32 = 10;
    let mut tries = (0..TRIES).map(|_| std::fs::create_dir_all(directory));
    let lost = |made: &io::Result<()>| matches!(made, Err(error) if error.kind() == io::ErrorKind::NotFound);
    tries
        .find(|made| !lost(made))
        .unwrap_or_else(|| std::fs::create_dir_all(directory))
}

/// The directories directly below one.
fn children(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
