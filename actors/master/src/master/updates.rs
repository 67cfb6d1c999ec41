//! Status updates on their way up, acknowledgements on their way down.
//!
//! The agent sends one update per task at a time and again until it is acknowledged; the master
//! passes both on and keeps neither. What it does keep is the task's *latest* state, which comes with
//! each update and may be ahead of it: resources are free at once, while the scheduler still
//! hears each step in order.

use tepui_protocol::{
    TaskState, TaskStatus, Timestamp,
    messages::{
        agent::{ExecutorExited, StatusUpdate, StatusUpdateAcknowledged},
        operator::AgentStanding,
        scheduler::{Acknowledge, Failure},
    },
};

use super::{Agent, Master, TaskKey};
use crate::effects::{Effects, tell};

impl Master {
    /// News of a task from its agent.
    pub fn on_status_update(&mut self, _now: Timestamp, call: StatusUpdate, out: &mut Effects) {
        let StatusUpdate {
            agent_id,
            framework_id,
            mut status,
            latest_state,
        } = call;
        let present = |agent: &&Agent| agent.standing != AgentStanding::Recovered;
        let Some(agent) = self.agents.get(&agent_id).filter(present) else {
            tracing::debug!(agent = %agent_id, "status update of an agent that is not registered");
            return self.metrics.count("master/invalid_status_updates");
        };
        let key: TaskKey = (framework_id, status.task_id.clone());
        let elsewhere = self
            .task(&key)
            .is_some_and(|task| task.info.agent_id != agent_id);
        if elsewhere || self.has_ended(&key.0) {
            settle(agent, key, &status, out);
            return self.metrics.count("master/invalid_status_updates");
        }
        self.metrics.count("master/valid_status_updates");
        self.explain_end(&key, &mut status);
        self.enter(&key, status.clone(), latest_state, out);
        if status.uuid.is_none() && status.state.is_terminal() {
            self.forget_task(&key);
        }
        if let Some(framework) = self.frameworks.get(&key.0) {
            framework.send_status(status, out);
        }
    }

    /// A scheduler has taken note of an update.
    pub fn on_acknowledge(&mut self, _now: Timestamp, call: Acknowledge, out: &mut Effects) {
        let Acknowledge {
            framework_id,
            agent_id,
            task_id,
            uuid,
        } = call;
        // Also from a scheduler that is gone by now: that it has gone may be known before what it
        // said last is read.
        if !self.frameworks.contains_key(&framework_id) {
            return;
        }
        // An agent that is away will send the update again, and the scheduler acknowledge it again.
        let Some(agent) = self.agents.get_mut(&agent_id) else {
            return;
        };
        let Some(pid) = agent.connected().cloned() else {
            return;
        };
        let letter = StatusUpdateAcknowledged {
            framework_id: framework_id.clone(),
            task_id,
            uuid,
        };
        let key = (framework_id, letter.task_id.clone());
        if agent
            .owed
            .get(&key)
            .is_some_and(|status| status.uuid == Some(uuid))
        {
            agent.owed.remove(&key);
        }
        out.push(tell(&pid, letter));
        self.metrics
            .count("master/valid_status_update_acknowledgements");
        let ended = self.task(&key).is_some_and(|task| {
            task.status_update_uuid == Some(uuid)
                && task.status_update_state.is_some_and(TaskState::is_terminal)
        });
        if ended {
            self.forget_task(&key);
        }
    }

    /// An executor has ended; what it used beside its tasks is free.
    pub fn on_executor_exited(&mut self, _now: Timestamp, call: ExecutorExited, out: &mut Effects) {
        let ExecutorExited {
            agent_id,
            framework_id,
            executor_id,
            status,
        } = call;
        let Some(agent) = self.agents.get_mut(&agent_id) else {
            return;
        };
        let key = (framework_id, executor_id);
        if let Some(executor) = agent.executors.remove(&key) {
            self.release(&key.0, &agent_id, executor.resources, out);
        }
        if let Some(framework) = self.frameworks.get(&key.0) {
            let failure = Failure {
                agent_id,
                executor_id: Some(key.1),
                status: Some(status),
            };
            framework.send(failure, out);
        }
    }
}

/// Acknowledges an update that no scheduler is to hear of, so that the agent can forget it.
fn settle(agent: &Agent, key: TaskKey, status: &TaskStatus, out: &mut Effects) {
    let (Some(pid), Some(uuid)) = (agent.connected(), status.uuid) else {
        return;
    };
    let (framework_id, task_id) = key;
    out.push(tell(
        pid,
        StatusUpdateAcknowledged {
            framework_id,
            task_id,
            uuid,
        },
    ));
}
