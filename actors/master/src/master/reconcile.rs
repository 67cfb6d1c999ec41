//! Reconciliation: a scheduler asks what the master knows of its tasks.
//!
//! | the task is | answer | without PARTITION_AWARE |
//! |---|---|---|
//! | known | the state of the latest update, STAGING before the first | the same |
//! | ended, and still remembered | how it ended (Mesos: as if it were unknown) | the same |
//! | unknown, its agent not back yet after a master's restart | silence | silence |
//! | unknown, its agent has an update of it to deliver | the state that this tells | the same |
//! | unknown, its agent registered | GONE | LOST |
//! | unknown, its agent unreachable | UNREACHABLE and since when | LOST |
//! | unknown, its agent too | UNKNOWN | LOST |
//!
//! Without an agent, the answer is silence while any agent is not back yet.
//= mesos, reconciliation.md

use tepui_protocol::{
    AgentId, Capability, Reason, Source, TaskId, TaskState, TaskStatus, Timestamp,
    messages::{operator::AgentStanding, scheduler::Reconcile},
    task::Task,
};

use super::{Framework, Master, TaskKey};
use crate::effects::Effects;

impl Master {
    /// A scheduler asks for the state of tasks, or of all (none named).
    pub fn on_reconcile(&mut self, now: Timestamp, call: Reconcile, out: &mut Effects) {
        let Some(framework) = self.subscribed(&call.framework_id) else {
            return;
        };
        if call.tasks.is_empty() {
            return self.reconcile_all(now, framework, out);
        }
        for (task_id, agent_id) in call.tasks {
            self.reconcile_one(now, &(call.framework_id.clone(), task_id), agent_id, out);
        }
    }

    //= mesos, differs: unreachable tasks are named too, to schedulers that know what that means
    fn reconcile_all(&self, now: Timestamp, framework: &Framework, out: &mut Effects) {
        for task in framework.tasks.values() {
            framework.send_status(known(now, task), out);
        }
        if !framework.info.can(Capability::PartitionAware) {
            return;
        }
        for (task_id, task) in framework.unreachable.iter() {
            let agent_id = Some(task.info.agent_id.clone());
            if let Some(status) = self.unknown(now, task_id, agent_id) {
                framework.send_status(status, out);
            }
        }
    }

    pub(super) fn reconcile_one(
        &self,
        now: Timestamp,
        key: &TaskKey,
        agent_id: Option<AgentId>,
        out: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get(&key.0) else {
            return;
        };
        let lost = framework
            .unreachable
            .get(&key.1)
            .map(|task| task.info.agent_id.clone());
        let ended = || framework.completed.get(&key.1);
        let status = match framework.tasks.get(&key.1).or_else(ended) {
            Some(task) => Some(known(now, task)),
            None => match self.owed(key) {
                Some(owed) => Some(told(now, owed)),
                None => self.unknown(now, &key.1, lost.or(agent_id)),
            },
        };
        if let Some(status) = status {
            framework.send_status(status, out);
        }
    }

    /// The update of a task that its agent does not have, and that its scheduler is to hear.
    fn owed(&self, key: &TaskKey) -> Option<&TaskStatus> {
        self.agents.values().find_map(|agent| agent.owed.get(key))
    }

    /// What to say of a task that is not in the books; nothing, if it may still turn up.
    fn unknown(
        &self,
        now: Timestamp,
        task_id: &TaskId,
        agent_id: Option<AgentId>,
    ) -> Option<TaskStatus> {
        let missing = |id: &AgentId| {
            self.agents
                .get(id)
                .is_some_and(|agent| agent.standing == AgentStanding::Recovered)
        };
        let silent = match &agent_id {
            Some(id) => missing(id),
            None => self.agents.keys().any(missing),
        };
        if silent {
            return None;
        }
        let absent = agent_id.as_ref().and_then(|id| self.unreachable.get(id));
        let (state, message) = match &agent_id {
            _ if absent.is_some() => (TaskState::Unreachable, "its agent cannot be reached"),
            Some(id) if self.agents.contains_key(id) => {
                (TaskState::Gone, "its agent does not have it")
            }
            _ => (
                TaskState::Unknown,
                "neither the task nor its agent is known",
            ),
        };
        let mut status = answer(now, task_id, state, message);
        status.unreachable_time = absent.map(|absent| absent.since);
        status.agent_id = agent_id;
        Some(status)
    }
}

fn told(now: Timestamp, owed: &TaskStatus) -> TaskStatus {
    let mut status = answer(now, &owed.task_id, owed.state, "latest state");
    status.agent_id = owed.agent_id.clone();
    status.executor_id = owed.executor_id.clone();
    status
}

fn known(now: Timestamp, task: &Task) -> TaskStatus {
    let state = task.status_update_state.unwrap_or(task.state);
    let mut status = answer(now, &task.info.id, state, "latest state");
    status.agent_id = Some(task.info.agent_id.clone());
    status.executor_id = Some(task.info.executor_id());
    status
}

fn answer(now: Timestamp, task_id: &TaskId, state: TaskState, message: &str) -> TaskStatus {
    TaskStatus::new(task_id.clone(), state, Source::Master, now)
        .because(Reason::Reconciliation, format!("reconciliation: {message}"))
}
