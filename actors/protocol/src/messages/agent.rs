//! Agent and master: registration, tasks on their way down, status updates on their way up.

use serde::{Deserialize, Serialize};
use tepui_runtime::{AnyPid, Message};
use uuid::Uuid;

use crate::{
    AgentId, AgentInfo, ExecutorId, FrameworkId, FrameworkInfo, KillPolicy, MasterId, TaskId,
    TaskInfo, TaskStatus, task::Task,
};

/// A new agent asks to be admitted; repeated with back-off until [`Registered`] comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Register")]
pub struct Register {
    /// The agent actor.
    pub pid: AnyPid,
    /// What it has.
    pub info: AgentInfo,
    /// The version of its program, as `0.1.0`.
    pub version: String,
}

/// An agent that has an id comes back: after its restart, the master's, or a lost link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Reregister")]
pub struct Reregister {
    /// The agent actor.
    pub pid: AnyPid,
    /// What it has; `info.id` is set.
    pub info: AgentInfo,
    /// The version of its program.
    pub version: String,
    /// Frameworks that have tasks here, so that a new master knows them.
    pub frameworks: Vec<FrameworkInfo>,
    /// Tasks that are not both terminal and acknowledged.
    pub tasks: Vec<Task>,
    /// Unacknowledged updates of tasks that the agent does not have: they never reached it.
    #[serde(default)]
    pub updates: Vec<(FrameworkId, TaskStatus)>,
}

/// The agent is admitted under this id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Registered")]
pub struct Registered {
    /// Its id for life.
    pub agent_id: AgentId,
    /// The master's run.
    pub master_id: MasterId,
}

/// The agent is back; the master has these tasks of it on its list that the agent did not name:
/// the agent answers with a status update for each that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Reregistered")]
pub struct Reregistered {
    /// Its id.
    pub agent_id: AgentId,
    /// The master's run.
    pub master_id: MasterId,
    /// Tasks to account for.
    pub reconcile: Vec<(FrameworkId, TaskId)>,
}

/// Start a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.RunTask")]
pub struct RunTask {
    /// Whose; `framework.id` is set.
    pub framework: FrameworkInfo,
    /// What.
    pub task: TaskInfo,
}

/// Start the tasks of a group together, or none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.RunGroup")]
pub struct RunGroup {
    /// Whose; `framework.id` is set.
    pub framework: FrameworkInfo,
    /// Its tasks, at least one; `group` is set in each.
    pub tasks: Vec<TaskInfo>,
}

/// End a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.KillTask")]
pub struct KillTask {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub task_id: TaskId,
    /// In place of the task's own policy.
    #[serde(default)]
    pub kill_policy: Option<KillPolicy>,
}

/// End everything of a framework.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.ShutdownFramework")]
pub struct ShutdownFramework {
    /// Which.
    pub framework_id: FrameworkId,
}

/// End everything and stop: the master does not want this agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Shutdown")]
pub struct Shutdown {
    /// Why, for people.
    pub message: String,
}

/// A status update on its way to the scheduler; sent again with back-off until acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.StatusUpdate")]
pub struct StatusUpdate {
    /// From where.
    pub agent_id: AgentId,
    /// Whose task.
    pub framework_id: FrameworkId,
    /// The news; its uuid is set.
    pub status: TaskStatus,
    /// The task's latest state, which may be ahead of this update.
    pub latest_state: crate::TaskState,
}

/// The scheduler has acknowledged an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.StatusUpdateAcknowledged")]
pub struct StatusUpdateAcknowledged {
    /// Whose task.
    pub framework_id: FrameworkId,
    /// Which.
    pub task_id: TaskId,
    /// Which update.
    pub uuid: Uuid,
}

/// An executor has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.ExecutorExited")]
pub struct ExecutorExited {
    /// Where.
    pub agent_id: AgentId,
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub executor_id: ExecutorId,
    /// Its wait status.
    pub status: i32,
}

/// The master's sign of life to an agent, every 15 s by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Ping")]
pub struct Ping {
    /// Whether the master counts the agent as connected; if not, it must re-register.
    pub connected: bool,
}

/// The answer to [`Ping`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Pong")]
pub struct Pong {
    /// From whom.
    pub agent_id: AgentId,
}

/// The agent leaves for good (its operator stopped it); its tasks are already killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.agent.Unregister")]
pub struct Unregister {
    /// Which.
    pub agent_id: AgentId,
}
