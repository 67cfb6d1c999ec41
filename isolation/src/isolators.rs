//! Isolators: what keeps a container from its neighbours and the machine, one concern a file.
//!
//! Each adds its part to the plan of a launch, and may count, change and clean up later. They keep
//! nothing in memory: what they need to know is found again by the container's name, so that an
//! agent, its executors, and the agent's next life can all do their part. Names are Mesos's where
//! it has one. `all` is the list; which of them are used is configuration (`container.rs`).

mod capabilities;
mod core;
mod cpu;
mod cpuset;
mod devices;
mod disk;
mod filesystem;
mod gpu;
mod io;
mod memory;
mod namespaces;
mod network;
mod no_new_privileges;
pub(crate) mod oci;
mod pids;
mod rlimits;
mod seccomp;
mod user;

use std::{collections::BTreeSet, error::Error, fmt::Debug, path::PathBuf, sync::Arc};

use caps::{CapSet, Capability};

use crate::{
    cgroup::{Backend, CgroupError, Controller, Usage},
    container::{Container, IsolationConfig},
    launch::{Plan, User},
};

pub(crate) use self::core::Core;

/// Why an isolator could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum IsolatorError {
    /// A control group.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// What the task asks for is not allowed or does not exist.
    #[error("{0}")]
    Refused(String),
    /// A file or directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// One concern of isolation.
pub trait Isolator: Debug + Send + Sync {
    /// Before the launch: makes what it needs, and adds to the plan what the launcher is to do and
    /// to watch.
    ///
    /// # Errors
    /// [`IsolatorError`]; the container is not launched then.
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError>;

    /// Whom it would have the processes of the container run as; none where that is not its concern.
    ///
    /// # Errors
    /// [`IsolatorError`] when it cannot be that user.
    fn user(&self, _container: &Container) -> Result<Option<User>, IsolatorError> {
        Ok(None)
    }

    /// The container has got other resources.
    ///
    /// # Errors
    /// [`IsolatorError`]; the old limits may hold on.
    fn update(&self, _container: &Container) -> Result<(), IsolatorError> {
        Ok(())
    }

    /// Adds what the container used.
    fn usage(&self, _container: &Container, _usage: &mut Usage) {}

    /// The container is to end, or has ended: nothing of it may be left. Blocks.
    ///
    /// # Errors
    /// [`IsolatorError`] when something is left.
    fn cleanup(&self, _name: &str) -> Result<(), IsolatorError> {
        Ok(())
    }

    /// The names of containers that something is left of.
    fn left(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// What this process may do on this machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Its control groups, if it may make any.
    pub(crate) cgroups: Option<Arc<dyn Backend>>,
}

impl Machine {
    fn controller(&self, controller: Controller) -> Result<Arc<dyn Backend>, String> {
        let found = self.cgroups.clone().filter(|found| found.has(controller));
        found.ok_or_else(|| match (&self.cgroups, is_root()) {
            (None, false) => "needs root".to_owned(),
            _ => format!("no control groups for {controller:?} that could be written to"),
        })
    }

    fn capability(capability: Capability) -> Result<(), String> {
        match caps::has_cap(None, CapSet::Effective, capability) {
            Ok(true) => Ok(()),
            _ => Err("needs root".to_owned()),
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

type Build = fn(&IsolationConfig, &Machine) -> Result<Box<dyn Isolator>, String>;

/// An isolator that there is.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Its name in configuration.
    pub(crate) name: &'static str,
    /// Makes it, or says why it cannot work here.
    pub(crate) build: Build,
    /// The controllers that it uses.
    pub(crate) controllers: &'static [Controller],
    /// Whether it is used where nothing else is said.
    pub(crate) is_default: bool,
}

/// The one that gives a container its files.
pub(crate) const FILESYSTEM: &str = "filesystem/linux";

/// The one that gives a container a network of its own.
pub(crate) const NETWORK: &str = "network/private";

/// The one that says which devices may be used.
pub(crate) const DEVICES: &str = "cgroups/devices";

/// All isolators, in the order in which they prepare a launch.
pub(crate) fn all() -> &'static [Entry] {
    use Controller::*;
    const fn entry(
        name: &'static str,
        build: Build,
        controllers: &'static [Controller],
        is_default: bool,
    ) -> Entry {
        Entry {
            name,
            build,
            controllers,
            is_default,
        }
    }
    const ALL: &[Entry] = &[
        entry("cgroups/cpu", cpu::build, &[Cpu, Cpuacct], true),
        entry("cgroups/mem", memory::build, &[Memory], true),
        entry("cgroups/pids", pids::build, &[Pids], true),
        entry("cgroups/cpuset", cpuset::build, &[Cpuset], false),
        entry(DEVICES, devices::build, &[Devices], true),
        entry("cgroups/blkio", io::build, &[Io], true),
        entry("namespaces/pid", namespaces::pid, &[], true),
        entry("namespaces/ipc", namespaces::ipc, &[], true),
        entry("namespaces/uts", namespaces::uts, &[], true),
        entry("namespaces/cgroup", namespaces::cgroup, &[], true),
        entry(NETWORK, network::build, &[], true),
        entry("posix/user", user::build, &[], true),
        entry(FILESYSTEM, filesystem::build, &[], true),
        entry("gpu/nvidia", gpu::build, &[], true),
        entry("posix/rlimits", rlimits::build, &[], true),
        entry("linux/capabilities", capabilities::build, &[], true),
        entry("linux/nnp", no_new_privileges::build, &[], true),
        entry("linux/seccomp", seccomp::build, &[], true),
        entry("disk/du", disk::build, &[], true),
    ];
    ALL
}

/// An error with its causes, as text.
pub(crate) fn text(error: &(dyn Error + 'static)) -> String {
    crate::process::chain(error)
}
