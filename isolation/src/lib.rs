//! Machines and processes: what a machine has, how a process is started, watched, ended, and kept
//! within its sandbox.
//!
//! Owns all direct contact with the operating system on behalf of agent and executor. It knows no
//! actor and no message. What needs privileges is behind isolators, which say so where they lack
//! them; everything else works without.
//!
//! | question | file |
//! |---|---|
//! | what does this machine have to offer? | [`discovery`] |
//! | which GPUs does it have? | [`gpu`] |
//! | run a command under limits, kept from all others | [`container`] |
//! | which limits and barriers are there? | [`isolators`] |
//! | how does a process come to run under them? | [`launch`] |
//! | what is an image to a container? | [`image`] |
//! | how does a container get a network of its own? | [`network`] |
//! | groups of processes that the kernel limits and counts together | [`cgroup`] |
//! | start a process with its output in files, wait for its end | [`process`] |
//! | is that still the same process? signal it and nothing else | [`process::identity`] |
//! | which processes did it leave behind? | [`process::family`] |
//! | the most that containers ever used | [`sampler`] |
//! | a command whose streams the caller holds | [`session`] |
//! | where is a task's directory, and how is it read safely? | [`sandbox`] |
//! | when does it go? | [`sandbox::collection`] |
//! | did the machine boot since? | [`boot`] |

pub mod boot;
pub mod cgroup;
pub mod container;
pub mod discovery;
pub mod gpu;
pub mod image;
pub mod isolators;
pub mod launch;
pub mod network;
mod oci;
pub mod process;
pub mod sampler;
pub mod sandbox;
pub mod session;

pub use cgroup::Usage;
pub use container::{Container, Containerizer, IsolationConfig};
pub use discovery::{Discovered, DiscoveryError};
pub use image::Image;
pub use launch::{Limitation, LimitationKind, Outcome};
pub use network::{PrivateNetwork, Subnet};
pub use process::{Ended, LaunchError, LaunchSpec, Launched, ProcessIdentity, Signal};
pub use sampler::Sampler;
pub use sandbox::{Piece, SandboxError};
pub use session::{Session, Streams, Wish};
