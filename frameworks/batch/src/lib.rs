//! The batch framework: runs a job, groups of commands with retries and dependencies, to its end.
//!
//! ```text
//!  job.toml --Job::parse--> Job --run_job--> BatchScheduler <--offers, updates-- driver <--> master
//!                                              |  Machine: which instance is where
//!                                              +--> store (before each launch)
//!                                              +--> Board: progress, for displays and GetJob
//! ```
//! Owns jobs and how they come along. It does not own the conversation with the master; that is
//! the SDK's driver. A process that is killed and started again with the same store goes on where
//! it was.
//!
//! Read `job.rs`, then `instance.rs`, then `machine.rs`; `scheduler.rs` connects the machine to the
//! SDK, `pod.rs` launches groups together, and `run.rs` runs it.

mod actor;
mod board;
mod gathering;
mod instance;
pub mod job;
mod launch;
mod machine;
mod pod;
mod run;
mod scheduler;

pub use board::{GetJob, GroupProgress, JobOutcome, JobProgress, JobResult};
pub use job::{
    Group, Job, JobError,
    lifecycle::{Lifecycle, parse_duration, parse_http, parse_port},
};
pub use pod::PodScheduler;
pub use run::{JobHandle, JobOptions, run_job, start_job};
pub use scheduler::{BatchScheduler, Policy};
