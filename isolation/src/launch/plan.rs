//! What the launcher is to do, as the agent or the executor tells it.
//!
//! Owns the data alone; isolators fill it in (`isolators.rs`), the other files of `launch/` carry
//! it out. It crosses a socket as JSON and is read by the same program that wrote it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{network::Joined, process::LaunchSpec};

/// All of one launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The program, looked up in `PATH` of `environment` if it has no slash.
    pub program: String,
    /// `argv[0]`; the program where absent.
    pub name: Option<String>,
    /// The arguments after `argv[0]`.
    pub arguments: Vec<String>,
    /// All of the environment.
    pub environment: BTreeMap<String, String>,
    /// The working directory, as the process sees it.
    pub directory: PathBuf,
    /// What it reads its standard input from; nothing where absent.
    pub input: Option<PathBuf>,
    /// Whether its standard output is a terminal, which it also reads from and is controlled by, in a
    /// session of its own.
    pub terminal: bool,
    /// A process of the container that it comes to; it makes none of its own then, and `namespaces`
    /// are those of that process.
    pub enter: Option<u32>,
    /// Files named `cgroup.procs` or `tasks` to write the process into, one a hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// What it does not share with the rest of the machine.
    pub namespaces: Vec<Namespace>,
    /// The network that it enters; needs [`Namespace::Network`].
    #[serde(default)]
    pub network: Option<Joined>,
    /// The machine's name as it sees it; needs [`Namespace::Uts`].
    pub hostname: Option<String>,
    /// The file system that it sees; that of the machine where absent. Needs [`Namespace::Mount`].
    pub root: Option<Root>,
    /// Limits of its own processes.
    pub rlimits: Vec<Rlimit>,
    /// How readily the kernel kills it when memory is short, 0 to 1000.
    pub oom_score_adj: Option<u16>,
    /// Whom it runs as.
    pub user: Option<User>,
    /// The capabilities that it may ever have (`CAP_CHOWN`); its user's where absent.
    pub capabilities: Option<Vec<String>>,
    /// Whether programs that it executes may not gain privileges (set-user-id and the like).
    pub no_new_privileges: bool,
    /// Which system calls it may use.
    pub syscalls: Option<Syscalls>,
    /// The memory limit that the launcher watches.
    pub memory: Option<MemoryWatch>,
    /// The disk limit that the launcher watches.
    pub disk: Option<DiskWatch>,
    /// Another program that does the steps, where the agent has one.
    #[serde(default)]
    pub runtime: Option<Runtime>,
}

impl Plan {
    /// A plan for a command as it is, without any isolation.
    pub fn of(spec: &LaunchSpec) -> Self {
        Self {
            program: spec.program.clone(),
            name: spec.name.clone(),
            arguments: spec.arguments.clone(),
            environment: spec.environment.clone(),
            directory: spec.sandbox.clone(),
            ..Self::default()
        }
    }
}

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Namespace {
    /// Process numbers.
    Pid,
    /// System V and POSIX message queues, shared memory.
    Ipc,
    /// The machine's name.
    Uts,
    /// Mounts.
    Mount,
    /// The view of cgroups.
    Cgroup,
    /// Network devices, addresses and ports.
    Network,
}

/// The file system of a process: the machine's, read-only, or an image's, with places of its own in it.
///
/// `/proc` and `/sys` are fresh, with what concerns the machine masked or read-only; `/dev` has the
/// harmless devices; `/tmp` and `/var/tmp` are directories of the sandbox; `/run`, `/root`, `/boot`
/// and `/media` are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// An empty directory of the machine on which it is put together.
    pub mount_point: PathBuf,
    /// The sandbox on the machine.
    pub sandbox: PathBuf,
    /// What it sees in place of the machine's files.
    #[serde(default)]
    pub image: Option<Overlay>,
    /// A directory that is made if it is not there.
    #[serde(default)]
    pub made: Option<PathBuf>,
    /// Where the process sees it.
    pub sandbox_at: PathBuf,
    /// The directory on the machine that is its `/tmp`.
    pub tmp: PathBuf,
    /// Directories of the machine that it sees empty.
    pub hidden: Vec<PathBuf>,
    /// Further directories and files, in order.
    pub binds: Vec<Bind>,
    /// Memory file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// Device nodes that it sees in its `/dev`, beside the harmless ones.
    pub devices: Vec<Bind>,
}

/// Layers of an image, with one on top that is written to. All paths but `directory` are relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Where the others lie. They are short, as all of them must fit into one page.
    pub directory: PathBuf,
    /// The layers, the topmost first.
    pub layers: Vec<PathBuf>,
    /// What is written, and all that is changed.
    pub upper: PathBuf,
    /// For the kernel, on the same file system.
    pub work: PathBuf,
}

/// An OCI runtime in place of the steps of the launcher, which watches it as it does a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Its program.
    pub program: PathBuf,
    /// The directory with `config.json` and `rootfs`, and where it keeps its own records.
    pub bundle: PathBuf,
    /// What it calls the container.
    pub id: String,
}

impl Runtime {
    /// Where it writes the number of the container's first process.
    pub fn pid_file(&self) -> PathBuf {
        self.bundle.join("pid")
    }
}

/// A directory or file of the machine, seen elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the machine.
    pub source: PathBuf,
    /// As the process sees it; absolute.
    pub target: PathBuf,
    /// Whether it may not be written to.
    pub read_only: bool,
}

/// A memory file system; what is in it counts as the task's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// As the process sees it; absolute.
    pub target: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// A limit of the kind `setrlimit` sets, for each process alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// As `RLIMIT_NOFILE`.
    pub name: String,
    /// What applies; a process may raise it up to `hard`.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// Whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Its further groups.
    pub groups: Vec<u32>,
}

/// Which system calls a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Syscalls {
    /// All but those that change the machine: see `launch/seccomp.rs`.
    Default,
}

/// A memory limit to watch: when the kernel kills a process over it, all of them are ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryWatch {
    /// The cgroup's directory.
    pub directory: PathBuf,
    /// A group below it whose kills count as well, where there is one.
    #[serde(default)]
    pub also: Option<PathBuf>,
    /// Whether it is of cgroup v2.
    pub unified: bool,
    /// The limit, in bytes, for people.
    pub limit: u64,
}

/// A disk limit to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskWatch {
    /// The directory.
    pub directory: PathBuf,
    /// What else counts.
    #[serde(default)]
    pub also: Option<PathBuf>,
    /// How much may lie in it, in bytes.
    pub limit: u64,
    /// How often it is looked at, in milliseconds.
    pub interval_ms: u64,
}
