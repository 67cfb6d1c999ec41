//! The command executor: a process of its own that runs tasks for an agent and outlives it.
//!
//! ```text
//!  agent --starts--> executor process --Register--> agent --Launch--> /bin/sh -c ... in the sandbox
//!    ^                                                                    |
//!    +------------- RUNNING, FINISHED, ... until acknowledged <-----------+
//! ```
//! It keeps every status update until the agent has acknowledged it, looks for the agent again when
//! it is lost, and ends when all its tasks are over and all is acknowledged.
//!
//! | part | file |
//! |---|---|
//! | what it knows and decides, without any I/O | [`state`] |
//! | what it wants done | [`effects`] |
//! | the actor around it | [`actor`] |
//! | starting and signalling processes: the seam, and the real thing | [`processes`] |
//! | a task's environment variables | [`environment`] |
//! | the process `tepui executor` | [`run`](run()) |

pub mod actor;
pub mod checker;
pub mod config;
pub mod effects;
pub mod environment;
pub mod processes;
mod run;
pub mod state;

pub use actor::ExecutorActor;
pub use config::ExecutorConfig;
pub use processes::{
    Containers, Member, Processes, SessionIo, StartProcess, StartSession, Started, SystemProcesses,
};
pub use run::{RunError, run};
