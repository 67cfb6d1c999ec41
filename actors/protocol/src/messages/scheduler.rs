//! Scheduler and master: subscription, offers and what becomes of them, status updates.
//!
//! The scheduler's driver sends the calls, the master the events. Calls of a framework that is not
//! subscribed from `pid` are answered with [`NotSubscribed`].

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_runtime::{AnyPid, Message};
use uuid::Uuid;

use crate::{
    AgentId, ExecutorId, Filters, FrameworkId, FrameworkInfo, InverseOffer, KillPolicy, MasterId,
    Offer, OfferId, Operation, OperationId, OperationStatus, Role, TaskId, TaskStatus, Timestamp,
};

/// Subscribes a framework; answered by [`Subscribed`] or [`SchedulerError`]. Sent again with the
/// id after a lost connection or a master failover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Subscribe")]
pub struct Subscribe {
    /// The driver that events go to.
    pub pid: AnyPid,
    /// Who subscribes.
    pub info: FrameworkInfo,
    /// Roles it wants no offers in for now.
    #[serde(default)]
    pub suppressed_roles: BTreeSet<Role>,
}

/// Ends the framework: its tasks are killed and it cannot subscribe again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Teardown")]
pub struct Teardown {
    /// Which framework.
    pub framework_id: FrameworkId,
}

/// Uses offers of one agent and one role; what the operations leave goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Accept")]
pub struct Accept {
    /// Whose offers.
    pub framework_id: FrameworkId,
    /// Which; all of one agent and one role.
    pub offer_ids: Vec<OfferId>,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// How long the rest stays away.
    #[serde(default)]
    pub filters: Filters,
}

/// Gives offers back unused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Decline")]
pub struct Decline {
    /// Whose offers.
    pub framework_id: FrameworkId,
    /// Which.
    pub offer_ids: Vec<OfferId>,
    /// How long they stay away.
    #[serde(default)]
    pub filters: Filters,
}

/// Will have left the agents of these inverse offers before they are taken down. It is noted for operators, no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.AcceptInverseOffers")]
pub struct AcceptInverseOffers {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub inverse_offer_ids: Vec<OfferId>,
    /// How long it is not asked again.
    #[serde(default)]
    pub filters: Filters,
}

/// Cannot leave the agents of these inverse offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.DeclineInverseOffers")]
pub struct DeclineInverseOffers {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub inverse_offer_ids: Vec<OfferId>,
    /// How long it is not asked again.
    #[serde(default)]
    pub filters: Filters,
}

/// Wants offers again: lifts suppression and clears filters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Revive")]
pub struct Revive {
    /// Whose.
    pub framework_id: FrameworkId,
    /// In which roles; empty for all.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
}

/// Wants no offers until revived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Suppress")]
pub struct Suppress {
    /// Whose.
    pub framework_id: FrameworkId,
    /// In which roles; empty for all.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
}

/// Ends a task. An unknown task is answered like [`Reconcile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Kill")]
pub struct Kill {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub task_id: TaskId,
    /// Where it runs, if known.
    #[serde(default)]
    pub agent_id: Option<AgentId>,
    /// In place of the task's own policy.
    #[serde(default)]
    pub kill_policy: Option<KillPolicy>,
}

/// Confirms a status update that carries a uuid, so that it is not sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Acknowledge")]
pub struct Acknowledge {
    /// Whose.
    pub framework_id: FrameworkId,
    /// The agent that the update came from.
    pub agent_id: AgentId,
    /// Of which task.
    pub task_id: TaskId,
    /// Of which update.
    pub uuid: Uuid,
}

/// Asks for the state of tasks; answered by an [`Update`] for each (inventory 5.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Reconcile")]
pub struct Reconcile {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which tasks, with their agent if known; empty for all that the master knows.
    pub tasks: Vec<(TaskId, Option<AgentId>)>,
}

/// Confirms the status of an operation, so that it is not sent again; its id is free then.
//= mesos, ACKNOWLEDGE_OPERATION_STATUS
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.AcknowledgeOperation")]
pub struct AcknowledgeOperation {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub operation_id: OperationId,
}

/// Asks for the status of operations; answered by an [`OperationUpdate`] for each.
//= mesos, RECONCILE_OPERATIONS
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.ReconcileOperations")]
pub struct ReconcileOperations {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which; empty for all whose status is not acknowledged.
    #[serde(default)]
    pub operation_ids: Vec<OperationId>,
}

/// News of an operation. All states but UNKNOWN are sent again until they are acknowledged.
//= mesos, UPDATE_OPERATION_STATUS
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.OperationUpdate")]
pub struct OperationUpdate {
    /// The news.
    pub status: OperationStatus,
}

/// The framework is subscribed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Subscribed")]
pub struct Subscribed {
    /// Its id, to be kept for later subscriptions.
    pub framework_id: FrameworkId,
    /// The master's run.
    pub master_id: MasterId,
    /// How often [`Heartbeat`] comes; three missed mean a lost master.
    pub heartbeat_interval: Duration,
}

/// New offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Offers")]
pub struct Offers {
    /// One per agent and role.
    pub offers: Vec<Offer>,
}

/// An offer is no longer valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Rescind")]
pub struct Rescind {
    /// Which.
    pub offer_id: OfferId,
}

/// The framework is asked to leave agents; answered by [`AcceptInverseOffers`] or [`DeclineInverseOffers`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.InverseOffers")]
pub struct InverseOffers {
    /// One per agent.
    pub inverse_offers: Vec<InverseOffer>,
}

/// An inverse offer is no longer valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.RescindInverseOffer")]
pub struct RescindInverseOffer {
    /// Which.
    pub inverse_offer_id: OfferId,
}

/// Tasks are to end, so that another role gets what it is guaranteed; or they may go on after all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.RevocationNotice")]
pub struct RevocationNotice {
    /// Which of the framework's.
    pub tasks: Vec<TaskId>,
    /// For which role.
    pub role: Role,
    /// When those that still run will be killed; absent if they may go on.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
}

/// News of a task. With a uuid in the status it must be acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Update")]
pub struct Update {
    /// The news.
    pub status: TaskStatus,
}

/// An agent, or an executor on it, is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Failure")]
pub struct Failure {
    /// Which agent.
    pub agent_id: AgentId,
    /// Which executor; none: the agent itself.
    #[serde(default)]
    pub executor_id: Option<ExecutorId>,
    /// How the executor ended, as a wait status.
    #[serde(default)]
    pub status: Option<i32>,
}

/// The framework must stop: it was refused, removed, or replaced by another instance of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Error")]
pub struct SchedulerError {
    /// Why, for people.
    pub message: String,
}

/// A call came from a framework that is not subscribed from this PID: the master has restarted, or
/// had given the connection up. The framework is to subscribe again, it is not refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.NotSubscribed")]
pub struct NotSubscribed {}

/// The master is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "tepui.scheduler.Heartbeat")]
pub struct Heartbeat {}
