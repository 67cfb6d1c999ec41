//! Executor and agent: the executor registers, gets tasks, and reports what becomes of them.
//!
//! An executor is a process of its own. It outlives the agent process: after losing it, it keeps
//! trying to register until its recovery time-out is over.

use serde::{Deserialize, Serialize};
use tepui_runtime::{AnyPid, Message};
use uuid::Uuid;

use crate::{AgentId, ExecutorId, FrameworkId, GpuShare, KillPolicy, TaskId, TaskInfo, TaskStatus};

/// The executor is up, or back after it lost the agent. Answered by [`Registered`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Register")]
pub struct Register {
    /// The executor actor.
    pub pid: AnyPid,
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub executor_id: ExecutorId,
    /// Which run of it; empty where the executor does not know.
    #[serde(default)]
    pub run: String,
    /// Tasks that it has and the agent may not know it has.
    #[serde(default)]
    pub tasks: Vec<TaskInfo>,
    /// Updates that the agent has not acknowledged, oldest first.
    #[serde(default)]
    pub unacknowledged: Vec<TaskStatus>,
}

/// The executor is known; tasks follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Registered")]
pub struct Registered {
    /// By which agent.
    pub agent_id: AgentId,
}

/// The agent has restarted, perhaps at another address, and asks its executors to register again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Reconnect")]
pub struct Reconnect {
    /// The agent actor of now.
    pub agent: AnyPid,
    /// Its id, the same as before.
    pub agent_id: AgentId,
}

/// Run a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Launch")]
pub struct Launch {
    /// What.
    pub task: TaskInfo,
    /// The GPUs that it has.
    #[serde(default)]
    pub gpus: Vec<GpuShare>,
}

/// Run the tasks of a group; those that are known are not run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.LaunchGroup")]
pub struct LaunchGroup {
    /// Its tasks.
    pub tasks: Vec<TaskInfo>,
}

/// End a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Kill")]
pub struct Kill {
    /// Which.
    pub task_id: TaskId,
    /// In place of the task's own policy.
    #[serde(default)]
    pub kill_policy: Option<KillPolicy>,
}

/// News of a task, with a uuid; kept by the executor until [`Acknowledged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Update")]
pub struct Update {
    /// Whose.
    pub framework_id: FrameworkId,
    /// From which executor.
    pub executor_id: ExecutorId,
    /// The news.
    pub status: TaskStatus,
}

/// The agent has made the update durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Acknowledged")]
pub struct Acknowledged {
    /// Of which task.
    pub task_id: TaskId,
    /// Which update.
    pub uuid: Uuid,
}

/// End all tasks and exit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.executor.Shutdown")]
pub struct Shutdown {}
