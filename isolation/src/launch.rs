//! Launching: how a process comes to run under limits, in namespaces, as another user.
//!
//! ```text
//!  agent or executor --posix_spawn--> launcher (`tepui launch`: the same program, one thread)
//!        | plan, as one frame            | fork, in a new pid namespace where there is one
//!        |                               v
//!        |                            init: joins cgroups, unshares, mounts   (pid namespace only)
//!        |                               | fork
//!        |                               v
//!        |                            the process: limits, user, capabilities, seccomp, exec
//!        | <-- Started | Failed{stage} --|
//!        | <-- Limited, Ended -----------+ the launcher stays: watches limits, waits for the end
//! ```
//! A program with threads, or a large one, must not fork: the agent and the executor spawn the
//! launcher, which is small. What it does is one [`Plan`], carried out in the order of [`Stage`];
//! a step that fails is reported with its stage and what the system says. In a pid namespace the
//! first process does not get signals that it has not asked for, so the launcher's child stays as
//! an init: it passes signals on, collects orphans, and ends with the status of its process. When
//! the launcher is killed, the kernel ends the init, and with it all of the namespace.
//!
//! | part | file |
//! |---|---|
//! | what to do | `launch/plan.rs` |
//! | what is told of it | `launch/report.rs` |
//! | the side of the agent and the executor | `launch/client.rs`, `launch/ahead.rs`, `launch/outputs.rs` |
//! | the launcher itself | `launch/supervisor.rs`, `launch/init.rs`, `launch/process.rs` |
//! | single steps | `launch/{root, user, seccomp, memory, disk}.rs` |
//! | an OCI runtime in their place | `launch/runtime.rs` |
//! | system calls that nobody wraps | `launch/raw.rs` |

mod ahead;
mod client;
mod disk;
mod init;
mod memory;
mod outputs;
mod plan;
mod process;
mod raw;
mod report;
mod root;
mod runtime;
mod seccomp;
mod supervisor;
mod user;

pub use ahead::Ahead;
pub(crate) use ahead::Launchers;
pub(crate) use client::follow;
pub use client::{Program, start};
pub(crate) use disk::used as disk_used;
pub use plan::{
    Bind, DiskWatch, MemoryWatch, Namespace, Overlay, Plan, Rlimit, Root, Runtime, Syscalls, Tmpfs,
    User,
};
pub(crate) use process::resource;
pub use report::{Failure, Limitation, LimitationKind, Outcome, Stage};
pub(crate) use root::{places, shows_machine};
pub(crate) use seccomp::as_oci as syscalls_as_oci;
pub use supervisor::main;
pub(crate) use user::capability;
