//! Tasks: what is to run, the state it is in, and the status updates that tell of it.
//!
//! ```text
//!              LAUNCH                executor            process
//!  (scheduler) ------> STAGING ------> STARTING ------> RUNNING ------> FINISHED | FAILED
//!                         |                                |  kill
//!                         |                                +--> KILLING --> KILLED
//!                         +--> ERROR (invalid) | DROPPED (never reached its agent)
//!  agent lost:  any live state --> UNREACHABLE --> back to its state, or GONE | GONE_BY_OPERATOR
//! ```
//! Schedulers without PARTITION_AWARE see DROPPED, UNREACHABLE, GONE and GONE_BY_OPERATOR as LOST.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{AgentId, ExecutorId, FrameworkId, TaskId},
    lifecycle::{CheckInfo, CheckStatus, HealthCheck, Limits, RestartOnFailure},
    network::{ContainerStatus, NetworkInfo},
    provision::{CommandUri, ImageInfo},
    resources::Resources,
    start::StartAfter,
    time::Timestamp,
};

/// The state of a task (Mesos's names and numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// The executor has it, it does not run yet.
    #[serde(rename = "TASK_STARTING")]
    Starting = 0,
    /// It runs.
    #[serde(rename = "TASK_RUNNING")]
    Running = 1,
    /// Ended well.
    #[serde(rename = "TASK_FINISHED")]
    Finished = 2,
    /// Ended with an error.
    #[serde(rename = "TASK_FAILED")]
    Failed = 3,
    /// Ended because it was killed.
    #[serde(rename = "TASK_KILLED")]
    Killed = 4,
    /// Gone, for schedulers that cannot tell how.
    #[serde(rename = "TASK_LOST")]
    Lost = 5,
    /// On its way to the agent; the framework has not heard of it yet.
    #[serde(rename = "TASK_STAGING")]
    Staging = 6,
    /// Its description was invalid; never started.
    #[serde(rename = "TASK_ERROR")]
    Error = 7,
    /// A kill was asked for and is under way.
    #[serde(rename = "TASK_KILLING")]
    Killing = 8,
    /// Failed to launch because of a transient error; never started.
    #[serde(rename = "TASK_DROPPED")]
    Dropped = 9,
    /// Its agent cannot be reached; it may run on.
    #[serde(rename = "TASK_UNREACHABLE")]
    Unreachable = 10,
    /// Its agent came back without it.
    #[serde(rename = "TASK_GONE")]
    Gone = 11,
    /// The operator says that its agent never returns.
    #[serde(rename = "TASK_GONE_BY_OPERATOR")]
    GoneByOperator = 12,
    /// The master has never heard of it.
    #[serde(rename = "TASK_UNKNOWN")]
    Unknown = 13,
}

impl TaskState {
    /// Whether the task will never run again, so that its resources are free.
    pub fn is_terminal(self) -> bool {
        use TaskState::*;
        matches!(
            self,
            Finished | Failed | Killed | Error | Lost | Dropped | Gone | GoneByOperator
        )
    }

    /// The name on the wire and in every output, as `TASK_RUNNING`.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Starting => "TASK_STARTING",
            TaskState::Running => "TASK_RUNNING",
            TaskState::Finished => "TASK_FINISHED",
            TaskState::Failed => "TASK_FAILED",
            TaskState::Killed => "TASK_KILLED",
            TaskState::Lost => "TASK_LOST",
            TaskState::Staging => "TASK_STAGING",
            TaskState::Error => "TASK_ERROR",
            TaskState::Killing => "TASK_KILLING",
            TaskState::Dropped => "TASK_DROPPED",
            TaskState::Unreachable => "TASK_UNREACHABLE",
            TaskState::Gone => "TASK_GONE",
            TaskState::GoneByOperator => "TASK_GONE_BY_OPERATOR",
            TaskState::Unknown => "TASK_UNKNOWN",
        }
    }

    /// What a scheduler without PARTITION_AWARE is told.
    pub fn legacy(self) -> TaskState {
        use TaskState::*;
        match self {
            Dropped | Unreachable | Gone | GoneByOperator | Unknown => Lost,
            state => state,
        }
    }
}

impl std::fmt::Display for TaskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The master, of its own knowledge; such updates carry no uuid and need no acknowledgement.
    #[serde(rename = "SOURCE_MASTER")]
    Master = 0,
    /// The agent.
    #[serde(rename = "SOURCE_AGENT")]
    Agent = 1,
    /// The executor that ran the task.
    #[serde(rename = "SOURCE_EXECUTOR")]
    Executor = 2,
}

/// Why a task is in its state, where the state alone does not say (Mesos's names and numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Mesos's own and say it")]
pub enum Reason {
    #[serde(rename = "REASON_COMMAND_EXECUTOR_FAILED")]
    CommandExecutorFailed = 0,
    #[serde(rename = "REASON_EXECUTOR_TERMINATED")]
    ExecutorTerminated = 1,
    #[serde(rename = "REASON_EXECUTOR_UNREGISTERED")]
    ExecutorUnregistered = 2,
    #[serde(rename = "REASON_FRAMEWORK_REMOVED")]
    FrameworkRemoved = 3,
    #[serde(rename = "REASON_GC_ERROR")]
    GcError = 4,
    #[serde(rename = "REASON_INVALID_FRAMEWORKID")]
    InvalidFrameworkid = 5,
    #[serde(rename = "REASON_INVALID_OFFERS")]
    InvalidOffers = 6,
    #[serde(rename = "REASON_MASTER_DISCONNECTED")]
    MasterDisconnected = 7,
    #[serde(rename = "REASON_CONTAINER_LIMITATION_MEMORY")]
    ContainerLimitationMemory = 8,
    #[serde(rename = "REASON_RECONCILIATION")]
    Reconciliation = 9,
    #[serde(rename = "REASON_AGENT_DISCONNECTED")]
    AgentDisconnected = 10,
    #[serde(rename = "REASON_AGENT_REMOVED")]
    AgentRemoved = 11,
    #[serde(rename = "REASON_AGENT_RESTARTED")]
    AgentRestarted = 12,
    #[serde(rename = "REASON_AGENT_UNKNOWN")]
    AgentUnknown = 13,
    #[serde(rename = "REASON_TASK_INVALID")]
    TaskInvalid = 14,
    #[serde(rename = "REASON_TASK_UNAUTHORIZED")]
    TaskUnauthorized = 15,
    #[serde(rename = "REASON_TASK_UNKNOWN")]
    TaskUnknown = 16,
    #[serde(rename = "REASON_CONTAINER_PREEMPTED")]
    ContainerPreempted = 17,
    #[serde(rename = "REASON_RESOURCES_UNKNOWN")]
    ResourcesUnknown = 18,
    #[serde(rename = "REASON_CONTAINER_LIMITATION")]
    ContainerLimitation = 19,
    #[serde(rename = "REASON_CONTAINER_LIMITATION_DISK")]
    ContainerLimitationDisk = 20,
    #[serde(rename = "REASON_CONTAINER_LAUNCH_FAILED")]
    ContainerLaunchFailed = 21,
    #[serde(rename = "REASON_CONTAINER_UPDATE_FAILED")]
    ContainerUpdateFailed = 22,
    #[serde(rename = "REASON_EXECUTOR_REGISTRATION_TIMEOUT")]
    ExecutorRegistrationTimeout = 23,
    #[serde(rename = "REASON_EXECUTOR_REREGISTRATION_TIMEOUT")]
    ExecutorReregistrationTimeout = 24,
    #[serde(rename = "REASON_TASK_GROUP_INVALID")]
    TaskGroupInvalid = 25,
    #[serde(rename = "REASON_TASK_GROUP_UNAUTHORIZED")]
    TaskGroupUnauthorized = 26,
    #[serde(rename = "REASON_IO_SWITCHBOARD_EXITED")]
    IoSwitchboardExited = 27,
    #[serde(rename = "REASON_TASK_CHECK_STATUS_UPDATED")]
    TaskCheckStatusUpdated = 28,
    #[serde(rename = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")]
    TaskHealthCheckStatusUpdated = 29,
    #[serde(rename = "REASON_TASK_KILLED_DURING_LAUNCH")]
    TaskKilledDuringLaunch = 30,
    #[serde(rename = "REASON_AGENT_REMOVED_BY_OPERATOR")]
    AgentRemovedByOperator = 31,
    #[serde(rename = "REASON_AGENT_REREGISTERED")]
    AgentReregistered = 32,
    #[serde(rename = "REASON_MAX_COMPLETION_TIME_REACHED")]
    MaxCompletionTimeReached = 33,
    #[serde(rename = "REASON_AGENT_DRAINING")]
    AgentDraining = 34,
}

impl Reason {
    /// The name on the wire and in every output, as `REASON_TASK_INVALID`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::CommandExecutorFailed => "REASON_COMMAND_EXECUTOR_FAILED",
            Reason::ExecutorTerminated => "REASON_EXECUTOR_TERMINATED",
            Reason::ExecutorUnregistered => "REASON_EXECUTOR_UNREGISTERED",
            Reason::FrameworkRemoved => "REASON_FRAMEWORK_REMOVED",
            Reason::GcError => "REASON_GC_ERROR",
            Reason::InvalidFrameworkid => "REASON_INVALID_FRAMEWORKID",
            Reason::InvalidOffers => "REASON_INVALID_OFFERS",
            Reason::MasterDisconnected => "REASON_MASTER_DISCONNECTED",
            Reason::ContainerLimitationMemory => "REASON_CONTAINER_LIMITATION_MEMORY",
            Reason::Reconciliation => "REASON_RECONCILIATION",
            Reason::AgentDisconnected => "REASON_AGENT_DISCONNECTED",
            Reason::AgentRemoved => "REASON_AGENT_REMOVED",
            Reason::AgentRestarted => "REASON_AGENT_RESTARTED",
            Reason::AgentUnknown => "REASON_AGENT_UNKNOWN",
            Reason::TaskInvalid => "REASON_TASK_INVALID",
            Reason::TaskUnauthorized => "REASON_TASK_UNAUTHORIZED",
            Reason::TaskUnknown => "REASON_TASK_UNKNOWN",
            Reason::ContainerPreempted => "REASON_CONTAINER_PREEMPTED",
            Reason::ResourcesUnknown => "REASON_RESOURCES_UNKNOWN",
            Reason::ContainerLimitation => "REASON_CONTAINER_LIMITATION",
            Reason::ContainerLimitationDisk => "REASON_CONTAINER_LIMITATION_DISK",
            Reason::ContainerLaunchFailed => "REASON_CONTAINER_LAUNCH_FAILED",
            Reason::ContainerUpdateFailed => "REASON_CONTAINER_UPDATE_FAILED",
            Reason::ExecutorRegistrationTimeout => "REASON_EXECUTOR_REGISTRATION_TIMEOUT",
            Reason::ExecutorReregistrationTimeout => "REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
            Reason::TaskGroupInvalid => "REASON_TASK_GROUP_INVALID",
            Reason::TaskGroupUnauthorized => "REASON_TASK_GROUP_UNAUTHORIZED",
            Reason::IoSwitchboardExited => "REASON_IO_SWITCHBOARD_EXITED",
            Reason::TaskCheckStatusUpdated => "REASON_TASK_CHECK_STATUS_UPDATED",
            Reason::TaskHealthCheckStatusUpdated => "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED",
            Reason::TaskKilledDuringLaunch => "REASON_TASK_KILLED_DURING_LAUNCH",
            Reason::AgentRemovedByOperator => "REASON_AGENT_REMOVED_BY_OPERATOR",
            Reason::AgentReregistered => "REASON_AGENT_REREGISTERED",
            Reason::MaxCompletionTimeReached => "REASON_MAX_COMPLETION_TIME_REACHED",
            Reason::AgentDraining => "REASON_AGENT_DRAINING",
        }
    }
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// With `shell`: a line for `/bin/sh -c`. Without: the program to execute.
    pub value: String,
    /// Whether `value` goes through the shell.
    #[serde(default = "yes")]
    pub shell: bool,
    /// Without `shell`: the argument vector, `argv[0]` included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Variables added to the task's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files that are put into its sandbox before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<CommandUri>,
    /// Whose files it sees in place of the agent's machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageInfo>,
}

fn yes() -> bool {
    true
}

impl CommandInfo {
    /// Whether there is something to get before it starts.
    pub fn wants_anything(&self) -> bool {
        !self.uris.is_empty() || self.image.is_some()
    }

    /// A line for the shell.
    pub fn shell(line: impl Into<String>) -> Self {
        Self {
            value: line.into(),
            shell: true,
            ..Self::default()
        }
    }
}

/// How a task is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillPolicy {
    /// Time between SIGTERM and SIGKILL.
    pub grace_period: Duration,
}

impl Default for KillPolicy {
    //= mesos, command executor: 3 s
    fn default() -> Self {
        Self {
            grace_period: Duration::from_secs(3),
        }
    }
}

/// A framework's own executor: a process that runs several tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorInfo {
    /// Unique within framework and agent; tasks naming a live executor are given to it.
    pub id: ExecutorId,
    /// How to start it.
    pub command: CommandInfo,
    /// What it uses beside its tasks.
    #[serde(default)]
    pub resources: Resources,
    /// For people.
    #[serde(default)]
    pub name: String,
}

/// What becomes of the other tasks of a group when one of them fails or is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupPolicy {
    /// They are ended.
    //= mesos, default executor: one that fails or is killed ends its group
    #[default]
    EndAll,
    /// They go on.
    KeepOthers,
}

/// Tasks with commands that are launched together on one agent, all or none, by one executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGroup {
    /// The name of their executor, which no other task of the framework has.
    pub id: ExecutorId,
    /// The tasks, each with its own resources and limits.
    pub tasks: Vec<TaskInfo>,
    /// What becomes of the others when one ends badly.
    #[serde(default)]
    pub policy: GroupPolicy,
}

impl TaskGroup {
    /// The tasks, each with its membership.
    pub fn members(&self) -> Vec<TaskInfo> {
        let size = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        let member = |(index, task): (u32, &TaskInfo)| TaskInfo {
            group: Some(Membership {
                id: self.id.clone(),
                index,
                size,
                policy: self.policy,
            }),
            ..task.clone()
        };
        (0..size).zip(&self.tasks).map(member).collect()
    }
}

/// That a task is one of a [`TaskGroup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which group: its executor.
    pub id: ExecutorId,
    /// Which of its tasks, from 0 on.
    pub index: u32,
    /// How many tasks it has.
    pub size: u32,
    /// What becomes of the others when one ends badly.
    #[serde(default)]
    pub policy: GroupPolicy,
}

impl Membership {
    /// The place of a task's own directory in the directory of its group.
    pub fn directory(task: &TaskId) -> String {
        format!("tasks/{task}")
    }

    /// The name of a member's container, where that of the group's executor is `run`.
    pub fn container(run: &str, index: u32) -> String {
        format!("{run}.{index}")
    }
}

/// A task to launch: exactly one of `command` and `executor` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Unique within the framework for as long as it is known.
    pub id: TaskId,
    /// For people.
    pub name: String,
    /// The agent of the offer it is launched on.
    pub agent_id: AgentId,
    /// What it needs.
    pub resources: Resources,
    /// Run by the built-in command executor, one per task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandInfo>,
    /// Run by the framework's own executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorInfo>,
    /// The group that it is launched with; the master sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Membership>,
    /// What others of its group must have come to before it is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_after: Vec<StartAfter>,
    /// How to end it.
    #[serde(default)]
    pub kill_policy: KillPolicy,
    /// A check that ends it, by the built-in executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// A check that is reported, by the built-in executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckInfo>,
    /// After this time from its start it is ended, by the built-in executor, and has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_time: Option<Duration>,
    /// Whether the built-in executor starts it again when it fails; not where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartOnFailure>,
    /// What it may use beyond `resources`; nothing where absent.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Its network; what its agent gives to tasks where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkInfo>,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Opaque to all but framework and executor.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<u8>,
}

impl TaskInfo {
    /// A task that runs `command` under the built-in executor, named as its id.
    pub fn command(
        id: TaskId,
        agent_id: AgentId,
        resources: Resources,
        command: CommandInfo,
    ) -> Self {
        Self {
            name: id.to_string(),
            id,
            agent_id,
            resources,
            command: Some(command),
            executor: None,
            group: None,
            start_after: Vec::new(),
            kill_policy: KillPolicy::default(),
            health_check: None,
            check: None,
            max_completion_time: None,
            restart: None,
            limits: Limits::default(),
            network: None,
            labels: BTreeMap::new(),
            data: Vec::new(),
        }
    }

    /// The executor that runs the task: its own, that of its group, or the command executor named after
    /// the task.
    pub fn executor_id(&self) -> ExecutorId {
        match (&self.executor, &self.group) {
            (Some(executor), _) => executor.id.clone(),
            (None, Some(group)) => group.id.clone(),
            (None, None) => ExecutorId::of_command_task(&self.id),
        }
    }

    /// A file of the task in the sandbox of its executor.
    pub fn sandbox_path(&self, file: &str) -> String {
        match &self.group {
            Some(_) => format!("{}/{file}", Membership::directory(&self.id)),
            None => file.to_owned(),
        }
    }
}

/// News of a task's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Of which task.
    pub task_id: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Who says so.
    pub source: Source,
    /// Why, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same for people; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it runs or ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// What ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_id: Option<ExecutorId>,
    /// When the state was entered.
    pub timestamp: Timestamp,
    /// Present: the update is retried until this uuid is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// The exit status of the command, for a task that ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether its health check says that it is well; absent before that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// The latest status of its plain check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_status: Option<CheckStatus>,
    /// Its container, where that has an address of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    /// When the agent became unreachable, for TASK_UNREACHABLE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_time: Option<Timestamp>,
    /// Opaque to all but framework and executor.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<u8>,
}

impl TaskStatus {
    /// A status with neither reason nor message.
    pub fn new(task_id: TaskId, state: TaskState, source: Source, timestamp: Timestamp) -> Self {
        Self {
            task_id,
            state,
            source,
            reason: None,
            message: String::new(),
            agent_id: None,
            executor_id: None,
            timestamp,
            uuid: None,
            exit_code: None,
            healthy: None,
            check_status: None,
            container_status: None,
            unreachable_time: None,
            data: Vec::new(),
        }
    }

    /// The same status with a reason and a text for people.
    pub fn because(mut self, reason: Reason, message: impl Into<String>) -> Self {
        self.reason = Some(reason);
        self.message = message.into();
        self
    }
}

/// A task as master and agent remember it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its description.
    pub info: TaskInfo,
    /// Whose it is.
    pub framework_id: FrameworkId,
    /// The latest state the agent knows; resources are free when it is terminal.
    pub state: TaskState,
    /// The state of the last update sent to the scheduler; lags `state` until acknowledged.
    pub status_update_state: Option<TaskState>,
    /// The uuid of the update that `status_update_state` comes from.
    pub status_update_uuid: Option<Uuid>,
    /// All statuses so far, oldest first, one per state.
    pub statuses: Vec<TaskStatus>,
}

impl Task {
    /// A task just accepted, STAGING.
    pub fn staging(info: TaskInfo, framework_id: FrameworkId) -> Self {
        Self {
            info,
            framework_id,
            state: TaskState::Staging,
            status_update_state: None,
            status_update_uuid: None,
            statuses: Vec::new(),
        }
    }
}
