//! Processes of tasks: what the executor needs of an operating system, as a trait, so that a
//! simulation can give scripted lifetimes in its place.

mod probes;
mod system;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures_util::future::LocalBoxFuture;
use tepui_isolation::{Outcome, Signal};
use tepui_protocol::{
    CommandInfo, Resources, TaskId,
    lifecycle::{Limits, Probe},
};

use crate::checker::ProbeResult;

pub use system::{Containers, SystemProcesses};

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProcess {
    /// For which task; names the process in [`Processes::signal`].
    pub task_id: TaskId,
    /// What to run.
    pub command: CommandInfo,
    /// All of its environment, the command's own variables included.
    pub environment: BTreeMap<String, String>,
    /// Where it runs and writes `stdout` and `stderr`.
    pub sandbox: PathBuf,
    /// What it may use.
    pub resources: Resources,
    /// What it may use beyond that.
    pub limits: Limits,
}

/// How to look at a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProbe {
    /// Which.
    pub task_id: TaskId,
    /// What to do.
    pub probe: Probe,
    /// For how long; zero: as long as it takes.
    pub timeout: Duration,
    /// All of the environment of a command.
    pub environment: BTreeMap<String, String>,
    /// The task's sandbox.
    pub sandbox: PathBuf,
}

/// A process that was started.
pub struct Started {
    /// Its number.
    pub os_pid: u32,
    /// Resolves when it has ended and nothing of it is left.
    pub ended: LocalBoxFuture<'static, Outcome>,
}

/// Starts and signals the processes of tasks.
pub trait Processes: Send + 'static {
    /// Starts a process. Resolves when it runs, or to a text for people that names the command and
    /// what is wrong with it.
    fn start(&mut self, start: &StartProcess) -> LocalBoxFuture<'static, Result<Started, String>>;

    /// Looks at a task that runs. Processes that are not real say nothing.
    fn probe(&mut self, _start: &StartProbe) -> LocalBoxFuture<'static, ProbeResult> {
        Box::pin(async { ProbeResult::Killed })
    }

    /// Signals the process of `task` and all of its group; nothing happens if it does not run yet or
    /// has ended.
    fn signal(&mut self, task: &TaskId, signal: Signal);
}
