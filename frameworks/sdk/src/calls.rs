//! What a scheduler may do from a callback: recorded here, carried out by the driver afterwards, in
//! order. What is kept ([`Calls::keep`]) is durable before any call made after it leaves.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;
use tepui_protocol::{
    AgentId, Filters, FrameworkId, KillPolicy, Offer, OfferId, Operation, OperationId,
    OperationStatus, Role, TaskGroup, TaskId, TaskInfo, TaskStatus, Timestamp,
};
use tepui_store::Write;
use uuid::Uuid;

/// How a framework ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For good: the master kills its tasks and forgets it.
    Teardown,
    /// Only this process: tasks run on until the failover time-out, for a successor to take over.
    Leave,
}

/// One thing that a scheduler asked for.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the methods of Calls")]
pub enum Call {
    /// [`Calls::accept`].
    Accept {
        offer_ids: Vec<OfferId>,
        operations: Vec<Operation>,
        filters: Filters,
    },
    /// [`Calls::decline`].
    Decline {
        offer_ids: Vec<OfferId>,
        filters: Filters,
    },
    /// [`Calls::accept_inverse`].
    AcceptInverse {
        offer_ids: Vec<OfferId>,
        filters: Filters,
    },
    /// [`Calls::decline_inverse`].
    DeclineInverse {
        offer_ids: Vec<OfferId>,
        filters: Filters,
    },
    /// [`Calls::revive`].
    Revive { roles: BTreeSet<Role> },
    /// [`Calls::suppress`].
    Suppress { roles: BTreeSet<Role> },
    /// [`Calls::kill`].
    Kill {
        task_id: TaskId,
        kill_policy: Option<KillPolicy>,
    },
    /// [`Calls::reconcile`].
    Reconcile {
        tasks: Vec<(TaskId, Option<AgentId>)>,
    },
    /// [`Calls::acknowledge`].
    Acknowledge {
        agent_id: AgentId,
        task_id: TaskId,
        uuid: Uuid,
    },
    /// [`Calls::acknowledge_operation`].
    AcknowledgeOperation { operation_id: OperationId },
    /// [`Calls::reconcile_operations`].
    ReconcileOperations { operation_ids: Vec<OperationId> },
    /// [`Calls::after`].
    After { delay: Duration, token: u64 },
    /// [`Calls::keep`] and [`Calls::forget`].
    Write(Write),
    /// [`Calls::stop`].
    Stop(End),
    /// [`Calls::fail`].
    Fail(String),
}

/// Records what a scheduler asks for during one callback.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    now: Timestamp,
    framework: Option<FrameworkId>,
    list: Vec<Call>,
}

impl Calls {
    /// An empty record of a callback at `now`, for a framework without an id yet.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    /// The same for the framework `id`.
    pub fn of(mut self, id: Option<FrameworkId>) -> Self {
        self.framework = id;
        self
    }

    /// When the callback takes place.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The framework's id; none before the first subscription.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.framework.as_ref()
    }

    /// What was asked for so far, in order, and forgets it.
    pub fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.list)
    }

    /// Starts `tasks` on one offer; what they leave of it may be offered again at once.
    pub fn launch(&mut self, offer: &Offer, tasks: Vec<TaskInfo>) {
        let operations = vec![Operation::Launch(tasks)];
        self.accept(vec![offer.id.clone()], operations, Filters::NONE);
    }

    /// Starts the tasks of `group` together on one offer, or none of them; what they leave of it may be
    /// offered again at once. Each has its own limits; a task that fails or is killed ends the others,
    /// unless the group's policy says otherwise. One that is not valid has all answered with TASK_ERROR.
    pub fn launch_group(&mut self, offer: &Offer, group: TaskGroup) {
        let operations = vec![Operation::LaunchGroup(group)];
        self.accept(vec![offer.id.clone()], operations, Filters::NONE);
    }

    /// Uses offers of one agent and one role; `filters` say how long the rest stays away. On a lost
    /// connection the tasks are answered with TASK_DROPPED.
    pub fn accept(&mut self, ids: Vec<OfferId>, operations: Vec<Operation>, filters: Filters) {
        self.list.push(Call::Accept {
            offer_ids: ids,
            operations,
            filters,
        });
    }

    /// Gives offers back unused; `filters` say how long they stay away.
    pub fn decline(&mut self, offers: impl IntoIterator<Item = OfferId>, filters: Filters) {
        let offer_ids: Vec<_> = offers.into_iter().collect();
        if !offer_ids.is_empty() {
            self.list.push(Call::Decline { offer_ids, filters });
        }
    }

    /// Says that the framework will have left these agents in time; `filters` say how long it is not asked again.
    pub fn accept_inverse(&mut self, offers: impl IntoIterator<Item = OfferId>, filters: Filters) {
        let offer_ids = offers.into_iter().collect();
        self.list.push(Call::AcceptInverse { offer_ids, filters });
    }

    /// Says that the framework cannot leave these agents; `filters` say how long it is not asked again.
    pub fn decline_inverse(&mut self, offers: impl IntoIterator<Item = OfferId>, filters: Filters) {
        let offer_ids = offers.into_iter().collect();
        self.list.push(Call::DeclineInverse { offer_ids, filters });
    }

    /// Wants offers again, in all roles: lifts suppression and clears filters.
    pub fn revive(&mut self) {
        self.revive_roles(BTreeSet::new());
    }

    /// Wants offers again in `roles`; none named: all.
    pub fn revive_roles(&mut self, roles: BTreeSet<Role>) {
        self.list.push(Call::Revive { roles });
    }

    /// Wants no offers in any role, until revived. Holds over reconnections.
    pub fn suppress(&mut self) {
        self.suppress_roles(BTreeSet::new());
    }

    /// Wants no offers in `roles`, until revived; none named: all.
    pub fn suppress_roles(&mut self, roles: BTreeSet<Role>) {
        self.list.push(Call::Suppress { roles });
    }

    /// Ends a task with its own kill policy. The driver repeats it until the task has ended.
    pub fn kill(&mut self, task: &TaskId) {
        self.kill_with(task, None);
    }

    /// Ends a task with another kill policy.
    pub fn kill_with(&mut self, task: &TaskId, kill_policy: Option<KillPolicy>) {
        self.list.push(Call::Kill {
            task_id: task.clone(),
            kill_policy,
        });
    }

    /// Asks for the state of tasks (none named: all that the master knows), answered by updates.
    /// Tasks named here are live for the driver: it asks for them again after each reconnection,
    /// and periodically, until they have ended. Those it launched itself need not be named.
    pub fn reconcile(&mut self, tasks: impl IntoIterator<Item = (TaskId, Option<AgentId>)>) {
        self.list.push(Call::Reconcile {
            tasks: tasks.into_iter().collect(),
        });
    }

    /// Confirms an update, in a scheduler that [acknowledges itself]; does nothing for updates that
    /// need no confirmation.
    ///
    /// [acknowledges itself]: crate::Scheduler::acknowledges_itself
    pub fn acknowledge(&mut self, status: &TaskStatus) {
        if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id.clone()) {
            self.list.push(Call::Acknowledge {
                agent_id,
                task_id: status.task_id.clone(),
                uuid,
            });
        }
    }

    /// Confirms the status of an operation, in a scheduler that [acknowledges itself]; does nothing for one that needs no
    /// confirmation.
    ///
    /// [acknowledges itself]: crate::Scheduler::acknowledges_itself
    pub fn acknowledge_operation(&mut self, status: &OperationStatus) {
        if status.is_kept() {
            let operation_id = status.id.clone();
            self.list.push(Call::AcknowledgeOperation { operation_id });
        }
    }

    /// Asks what became of operations (none named: all that are not acknowledged), answered by [`crate::Scheduler::operation`].
    /// Worth it after a reconnection, for those that were sent and not told of: they may never have arrived.
    pub fn reconcile_operations(&mut self, ids: impl IntoIterator<Item = OperationId>) {
        let operation_ids = ids.into_iter().collect();
        self.list.push(Call::ReconcileOperations { operation_ids });
    }

    /// Calls [`crate::Scheduler::timer`] with `token` after `delay`.
    pub fn after(&mut self, delay: Duration, token: u64) {
        self.list.push(Call::After { delay, token });
    }

    /// Keeps `value` under `key` in the framework's store, for [`crate::Scheduler::restored`].
    ///
    /// # Panics
    /// When `value` cannot be serialised, as a map with keys that are no texts.
    pub fn keep<T: Serialize>(&mut self, key: impl Into<String>, value: &T) {
        self.list.push(Call::Write(tepui_store::put(key, value)));
    }

    /// Removes what is kept under `key`.
    pub fn forget(&mut self, key: impl Into<String>) {
        self.list.push(Call::Write(Write::delete(key)));
    }

    /// Ends the framework, once all that was asked for before has left.
    pub fn stop(&mut self, end: End) {
        self.list.push(Call::Stop(end));
    }

    /// Ends this process's part of the framework with an error; tasks run on.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.list.push(Call::Fail(why.into()));
    }
}
