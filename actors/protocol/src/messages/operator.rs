//! Operators' questions: what the CLI and the gateway ask of master and agents.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tepui_runtime::{AnyPid, Message};

use crate::{
    AgentId, AgentInfo, ExecutorId, Explanation, FrameworkId, FrameworkInfo, GpuShare, KillPolicy,
    MasterId, Offer, Quantities, Quota, Resources, Role, TaskId, TaskState, Timestamp,
    Unavailability, Usage,
    gang::GangStanding,
    maintenance::{Answer, Mode, Schedule},
    service::{ServiceLevel, ServiceSummary},
    task::Task,
};

/// Asks who the master is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetMaster", reply = MasterSummary)]
pub struct GetMaster {}

/// The master, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MasterSummary {
    /// This run of it.
    pub id: MasterId,
    /// Its program's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Registered and reachable agents.
    pub agents: usize,
    /// Subscribed frameworks.
    pub frameworks: usize,
    /// Tasks that are not terminal.
    pub tasks: usize,
    /// Outstanding offers.
    pub offers: usize,
    /// Counters and gauges by name (`master/tasks_finished`), Mesos's names where it has one.
    pub metrics: BTreeMap<String, f64>,
}

/// Asks for all agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetAgents", reply = Vec<AgentSummary>)]
pub struct GetAgents {}

/// Where an agent stands with the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentStanding {
    /// Known from the registry, not back yet after a master failover.
    Recovered,
    /// Registered and connected.
    Active,
    /// Its link broke; it may re-register.
    Disconnected,
    /// It did not answer in time; its tasks are unreachable.
    Unreachable,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentSummary {
    /// What it said of itself; `info.id` is set.
    pub info: AgentInfo,
    /// The agent actor; absent while recovered.
    pub pid: Option<AnyPid>,
    /// Where it stands.
    pub standing: AgentStanding,
    /// Its program's version.
    pub version: String,
    /// When it registered last.
    pub registered: Timestamp,
    /// Used by tasks.
    pub used: Resources,
    /// Held by offers.
    pub offered: Resources,
    /// Tasks on it that are not terminal.
    pub tasks: usize,
}

/// Asks for all frameworks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetFrameworks", reply = Vec<FrameworkSummary>)]
pub struct GetFrameworks {}

/// Where a framework stands with the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FrameworkStanding {
    /// Known from agents, not back yet after a master failover.
    Recovered,
    /// Subscribed and connected.
    Active,
    /// Its scheduler is gone; its failover time-out runs.
    Disconnected,
    /// Ended; kept for history.
    Completed,
}

/// One framework.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameworkSummary {
    /// What it said of itself; `info.id` is set.
    pub info: FrameworkInfo,
    /// The driver; absent while recovered.
    pub pid: Option<AnyPid>,
    /// Where it stands.
    pub standing: FrameworkStanding,
    /// When it subscribed last.
    pub subscribed: Timestamp,
    /// Used by its tasks.
    pub used: Resources,
    /// Held by its offers.
    pub offered: Resources,
    /// Its tasks by state.
    pub tasks: BTreeMap<TaskState, usize>,
    /// Its dominant share of the cluster, 0 to 1.
    pub dominant_share: f64,
}

/// Asks for tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetTasks", reply = Vec<TaskSummary>)]
pub struct GetTasks {
    /// Of this framework only.
    #[serde(default)]
    pub framework_id: Option<FrameworkId>,
    /// With this id only.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// Without those that have ended.
    #[serde(default)]
    pub live_only: bool,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// The task, with all its statuses.
    pub task: Task,
    /// Its agent's machine; empty if unknown.
    pub hostname: String,
    /// Its agent's actor, for reading the sandbox.
    pub agent_pid: Option<AnyPid>,
}

/// Asks for all outstanding offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetOffers", reply = Vec<Offer>)]
pub struct GetOffers {}

/// Asks for all roles that have a weight, a quota, a framework, an allocation or a reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetRoles", reply = Vec<RoleSummary>)]
pub struct GetRoles {}

/// One role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleSummary {
    /// Its path.
    pub role: Role,
    /// Its weight among its siblings.
    pub weight: f64,
    /// Its dominant share of the cluster, unweighted, 0 to 1.
    pub dominant_share: f64,
    /// Subscribed frameworks.
    pub frameworks: Vec<FrameworkId>,
    /// Used by tasks or held by offers.
    pub allocated: Resources,
    /// Reserved to it, not to roles below it, used or not.
    #[serde(default)]
    pub reserved: Resources,
    /// What it and the roles below it are guaranteed and limited to.
    #[serde(default)]
    pub quota: Quota,
    /// What counts against a quota: reserved to the role and those below it, or used there by tasks, unreserved
    /// and for good. Offers count for the allocator, but not here.
    #[serde(default)]
    pub consumed: Quantities,
}

/// Asks the allocator, the actor `allocator` beside the master, why a framework is offered what it is offered;
/// nothing if it knows of no such framework.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.Explain", reply = Option<Explanation>)]
pub struct Explain {
    /// Which.
    pub framework_id: FrameworkId,
}

/// Asks how far a framework's gangs are that have not begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetGangs", reply = Vec<GangStanding>)]
pub struct GetGangs {
    /// Whose.
    pub framework_id: FrameworkId,
}

/// Sets what a role and the roles below it are guaranteed and limited to; it is kept in the registry.
/// The default quota takes it away. Offers are withdrawn as far as they are in the way.
//= mesos, UPDATE_QUOTA
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.UpdateQuota", reply = Result<(), String>)]
pub struct UpdateQuota {
    /// Whose.
    pub role: Role,
    /// What replaces the quota that it has.
    #[serde(default)]
    pub quota: Quota,
    /// Even if guarantees are then above what the cluster has, or a limit below what is consumed.
    #[serde(default)]
    pub force: bool,
}

/// Reserves resources of an agent that no task uses; offers of them are withdrawn.
//= mesos, RESERVE_RESOURCES
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.ReserveResources", reply = Result<(), String>)]
pub struct ReserveResources {
    /// Whose.
    pub agent_id: AgentId,
    /// What, with the new claim as the topmost of each.
    pub resources: Resources,
    /// What it is now, if it is to be reserved anew in one step: claims are taken off down to those that both have. Of the same
    /// amounts, and all with the same claims.
    #[serde(default)]
    pub source: Option<Resources>,
}

/// Takes the topmost claim off resources of an agent that no task uses; offers of them are withdrawn.
//= mesos, UNRESERVE_RESOURCES
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.UnreserveResources", reply = Result<(), String>)]
pub struct UnreserveResources {
    /// Whose.
    pub agent_id: AgentId,
    /// What, with all claims that it has now.
    pub resources: Resources,
}

/// Replaces what is planned; it is kept in the registry. Offers of agents for which something changes are withdrawn.
//= mesos, UPDATE_MAINTENANCE_SCHEDULE
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.UpdateMaintenanceSchedule", reply = Result<(), String>)]
pub struct UpdateMaintenanceSchedule {
    /// All of it.
    pub schedule: Schedule,
}

/// Takes machines of the schedule down: their agents are ended with all that runs there, and refused from now on.
//= mesos, START_MAINTENANCE
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.StartMaintenance", reply = Result<(), String>)]
pub struct StartMaintenance {
    /// Their host names.
    pub machines: BTreeSet<String>,
}

/// Machines are back: their agents are welcome, and they are no longer in the schedule.
//= mesos, STOP_MAINTENANCE
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.StopMaintenance", reply = Result<(), String>)]
pub struct StopMaintenance {
    /// Their host names.
    pub machines: BTreeSet<String>,
}

/// Ends the tasks of an agent and offers nothing of it, until [`ReactivateAgent`]; it is kept in the registry.
//= mesos, DRAIN_AGENT
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.DrainAgent", reply = Result<(), String>)]
pub struct DrainAgent {
    /// Which.
    pub agent_id: AgentId,
    /// The longest time that tasks have to end, where their own kill policy gives them more.
    #[serde(default)]
    pub max_grace_period: Option<Duration>,
}

/// Offers a drained agent again.
//= mesos, REACTIVATE_AGENT
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.ReactivateAgent", reply = Result<(), String>)]
pub struct ReactivateAgent {
    /// Which.
    pub agent_id: AgentId,
}

/// Sets the service level of a role other than `*`, or takes it away; it is kept in the registry. What class it got and why is
/// in the answer to [`GetServiceLevels`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.UpdateServiceLevel", reply = Result<(), String>)]
pub struct UpdateServiceLevel {
    /// Whose.
    pub role: Role,
    /// What is asked for; none to take it away.
    #[serde(default)]
    pub level: Option<ServiceLevel>,
}

/// Asks for the service levels of roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetServiceLevels", reply = Vec<ServiceSummary>)]
pub struct GetServiceLevels {}

/// Asks what is planned, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetMaintenance", reply = MaintenanceSummary)]
pub struct GetMaintenance {}

/// The schedule, its machines, and what frameworks said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceSummary {
    /// What is planned.
    pub schedule: Schedule,
    /// Machines that are in it, or down.
    pub machines: Vec<MachineSummary>,
    /// Agents that are drained, and how many of their tasks have not ended.
    pub drained: BTreeMap<AgentId, usize>,
}

/// A machine that is to be taken down, or is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineSummary {
    /// Its host name.
    pub hostname: String,
    /// Where it stands.
    pub mode: Mode,
    /// When.
    pub unavailability: Option<Unavailability>,
    /// Its agents, and the tasks on them that have not ended.
    pub agents: BTreeMap<AgentId, usize>,
    /// What frameworks that are there said.
    pub answers: Vec<InverseAnswer>,
}

/// What a framework said to the inverse offer of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InverseAnswer {
    /// Who.
    pub framework_id: FrameworkId,
    /// Of which agent.
    pub agent_id: AgentId,
    /// What.
    pub answer: Answer,
    /// When; when it was asked, if it has not answered.
    pub at: Timestamp,
}

/// Sets weights of roles; they are kept in the registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.UpdateWeights", reply = Result<(), String>)]
pub struct UpdateWeights {
    /// Positive numbers by role.
    pub weights: BTreeMap<Role, f64>,
}

/// Ends a task on an operator's behalf; refused with a reason when it is unknown or has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.KillTask", reply = Result<(), String>)]
pub struct KillTask {
    /// Whose; may be left out where the task id is unique.
    #[serde(default)]
    pub framework_id: Option<FrameworkId>,
    /// Which.
    pub task_id: TaskId,
    /// In place of the task's own policy.
    #[serde(default)]
    pub kill_policy: Option<KillPolicy>,
}

/// Ends a framework on an operator's behalf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.TeardownFramework", reply = Result<(), String>)]
pub struct TeardownFramework {
    /// Which.
    pub framework_id: FrameworkId,
}

/// Asks an agent for a piece of a file in a task's sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.ReadSandbox", reply = Result<SandboxPiece, String>)]
pub struct ReadSandbox {
    /// Whose task.
    pub framework_id: FrameworkId,
    /// Which executor ran it.
    pub executor_id: ExecutorId,
    /// The file, relative to the sandbox (`stdout`); may not leave it.
    pub path: String,
    /// From which byte.
    pub offset: u64,
    /// At most this many bytes; the agent may give fewer.
    pub length: u32,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxPiece {
    /// The bytes from the asked offset on; empty at the end.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The file's size now.
    pub size: u64,
}

/// Asks an agent what its live tasks have used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetUsage", reply = Vec<RunUsage>)]
pub struct GetUsage {}

/// What a run of an executor, with its tasks, has used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunUsage {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which executor.
    pub executor_id: ExecutorId,
    /// For people; empty for the built-in executor.
    #[serde(default)]
    pub executor_name: String,
    /// Its container: the run of the executor.
    #[serde(default)]
    pub container_id: String,
    /// Its process, where known.
    #[serde(default)]
    pub os_pid: Option<u32>,
    /// Its live tasks; one for the built-in executor.
    pub tasks: Vec<TaskId>,
    /// What they have.
    pub resources: Resources,
    /// Which GPUs they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuShare>,
    /// When it was counted.
    pub timestamp: Timestamp,
    /// What was used until then.
    pub usage: Usage,
}

/// Asks an agent where it keeps a task's sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.operator.GetAgentState", reply = AgentState)]
pub struct GetAgentState {}

/// An agent's own view of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentState {
    /// Its id once admitted.
    pub agent_id: Option<AgentId>,
    /// Where it keeps everything.
    pub work_dir: String,
    /// Its process.
    pub os_pid: u32,
    /// Live executors: framework, executor, process id, sandbox.
    pub executors: Vec<ExecutorSummary>,
}

/// A live executor of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutorSummary {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub executor_id: ExecutorId,
    /// Its process, and process group.
    pub os_pid: u32,
    /// Its sandbox directory.
    pub sandbox: String,
}
