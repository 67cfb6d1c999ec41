//! What the tests of whole clusters share: the cluster in a simulation, in one process, and as
//! separate processes.
//!
//! | to learn | read |
//! |---|---|
//! | how a simulated cluster is put together and driven | `simulation.rs` |
//! | what can go wrong in it, and when | `faults.rs` |
//! | what is always checked | `watch.rs` |
//! | machines without an operating system | `machine.rs`, `launcher.rs`, `executors.rs`, `script.rs` |
//! | what a run leaves behind | `journal.rs` |
//! | a cluster in one process, with real tasks | `one_process.rs` |
//! | a cluster of real processes, to be killed | `processes.rs` |
//! | commands beside tasks | `sessions.rs` |
//! | a framework that runs pods | `pods.rs` |
//! | asking a cluster until it is where it should be | `poll.rs` |
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

pub mod executors;
pub mod faults;
pub mod journal;
pub mod launcher;
pub mod machine;
pub mod one_process;
pub mod pods;
pub mod poll;
pub mod processes;
pub mod rng;
pub mod script;
pub mod sessions;
pub mod simulation;
pub mod watch;
