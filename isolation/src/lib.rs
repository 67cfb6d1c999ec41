//! Machines and processes: what a machine has, how a process is started, watched, ended, and kept
//! within its sandbox.
//!
//! Owns all direct contact with the operating system on behalf of agent and executor. It knows no
//! actor and no message. Everything here works without privileges; what needs them (cgroups,
//! namespaces, images) is to come behind the same types.
//!
//! | question | file |
//! |---|---|
//! | what does this machine have to offer? | [`discovery`] |
//! | which GPUs does it have? | [`gpu`] |
//! | start a process with its output in files, wait for its end | [`process`] |
//! | is that still the same process? signal it and nothing else | [`process::identity`] |
//! | which processes did it leave behind? | [`process::family`] |
//! | where is a task's directory, and how is it read safely? | [`sandbox`] |
//! | did the machine boot since? | [`boot`] |

pub mod boot;
pub mod discovery;
pub mod gpu;
pub mod process;
pub mod sandbox;

pub use discovery::{Discovered, DiscoveryError};
pub use process::{Ended, LaunchError, LaunchSpec, Launched, ProcessIdentity, Signal};
pub use sandbox::{Piece, SandboxError};
