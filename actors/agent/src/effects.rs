//! What the agent's state machine wants done, in order; what follows a write waits for it.

use std::time::Duration;

use tepui_isolation::ProcessIdentity;
use tepui_protocol::{
    FrameworkId, GpuShare, Resources, TaskId,
    messages::{agent, executor, session},
};
use tepui_runtime::AnyPid;
use tepui_store::{Outgoing, Write};
use uuid::Uuid;

use crate::launcher::{ExecutorLaunch, ExecutorRun};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make durable.
    Write(Write),
    /// Send to the master.
    Master(ToMaster),
    /// Send to an executor.
    Executor(AnyPid, ToExecutor),
    /// Tell when an actor is gone (`Agent::on_exited`).
    Monitor(AnyPid),
    /// Call `Agent::on_timer` after a while.
    Timer {
        /// How long.
        after: Duration,
        /// Which.
        timer: Timer,
    },
    /// Start an executor; answered by `on_launched`, later by `on_executor_ended`.
    Launch(ExecutorLaunch),
    /// A framework's own executor may use other resources from now on.
    Resize(ExecutorRun, Resources, Vec<GpuShare>),
    /// Kill all processes of a run; answered by `on_killed`.
    Kill(ExecutorRun, Option<ProcessIdentity>),
    /// See whether a process still runs; answered by `on_probed`.
    Probe(ExecutorRun, ProcessIdentity),
    /// Give up a launch that gets files; it is answered by `on_launched` soon.
    GiveUp(ExecutorRun),
    /// See how far a launch is; answered by `on_progress`.
    Progress(ExecutorRun),
    /// End the agent.
    Stop(Stop),
}

impl Outgoing for Effect {
    fn into_write(self) -> Result<Write, Self> {
        match self {
            Effect::Write(write) => Ok(write),
            effect => Err(effect),
        }
    }
}

/// How the agent ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// As its operator wished.
    Asked,
    /// The master does not want it.
    Refused(String),
}

/// A message to the master.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named after the messages")]
pub enum ToMaster {
    Register(agent::Register),
    Reregister(agent::Reregister),
    StatusUpdate(agent::StatusUpdate),
    ExecutorExited(agent::ExecutorExited),
    Pong(agent::Pong),
    Unregister(agent::Unregister),
}

/// A message to an executor.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named after the messages")]
pub enum ToExecutor {
    Registered(executor::Registered),
    Reconnect(executor::Reconnect),
    Launch(executor::Launch),
    LaunchGroup(executor::LaunchGroup),
    Kill(executor::Kill),
    Acknowledged(executor::Acknowledged),
    Shutdown(executor::Shutdown),
    Close(session::Close),
}

/// A timer; one that is no longer meant is ignored when it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Register again, unless connected or tried since.
    Register {
        /// Counts all attempts.
        attempt: u64,
    },
    /// See whether the master has been silent too long.
    Silence {
        /// Counts the connections to the master.
        connection: u64,
    },
    /// The executor must have registered.
    Registration(ExecutorRun),
    /// Executors must have come back after the agent's restart.
    Recovery,
    /// See whether an executor whose link broke is dead.
    Probe(ExecutorRun),
    /// See how far a launch is that gets files; the next look comes after twice that time.
    Progress(ExecutorRun, Duration),
    /// An executor that was asked to shut down must be gone.
    ShutdownGrace(ExecutorRun),
    /// Send a status update again.
    Retry {
        /// Whose task.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// Which update.
        uuid: Uuid,
        /// Counts the sendings of that update.
        sending: u32,
    },
    /// Stop now, whatever is not acknowledged.
    StopGrace,
}
