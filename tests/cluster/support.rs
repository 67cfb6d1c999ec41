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
pub mod panics;
pub mod rng;
pub mod script;
pub mod simulation;
pub mod watch;
