//! Actors exit, agents stop answering: who is disconnected, and who is unreachable.

use tepui_protocol::{
    AgentId, Reason, Source, TaskState, TaskStatus, Timestamp,
    messages::{agent::Pong, operator::AgentStanding},
};
use tepui_runtime::Exited;

use super::{
    Agent, Master, after, agents,
    registry::{self, Absent},
};
use crate::effects::{Call, Effect, Effects, Timer};

impl Master {
    /// A watched actor has exited, or cannot be reached: an agent's or a scheduler's.
    pub fn on_exited(&mut self, now: Timestamp, exited: Exited, out: &mut Effects) {
        if let Some(id) = self.agent_at(&exited.pid) {
            tracing::info!(agent = %id, reason = %exited.reason, "agent disconnected");
            self.disconnect_agent(&id, out);
        } else if let Some(id) = self.framework_at(&exited.pid) {
            tracing::info!(framework = %id, reason = %exited.reason, "framework disconnected");
            self.disconnect_framework(now, &id, out);
        }
    }

    /// The link to an agent is broken: nothing of it is offered until it re-registers.
    pub(super) fn disconnect_agent(&mut self, id: &AgentId, out: &mut Effects) {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| agent.is_active()) else {
            return;
        };
        agent.standing = AgentStanding::Disconnected;
        let timer = Timer::AgentReregister {
            agent_id: id.clone(),
            epoch: agent.epoch,
        };
        out.push(after(self.config.agent_reregister_timeout, timer));
        out.push(Effect::Allocator(Call::DeactivateAgent { id: id.clone() }));
        self.rescind_offers_of_agent(id, out);
    }

    /// An agent answers a ping.
    pub fn on_pong(&mut self, _now: Timestamp, call: Pong, _out: &mut Effects) {
        if let Some(agent) = self.agents.get_mut(&call.agent_id) {
            agent.unanswered_pings = 0;
        }
    }

    pub(super) fn on_ping_due(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        epoch: u64,
        out: &mut Effects,
    ) {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| agent.epoch == epoch) else {
            return;
        };
        if agent.unanswered_pings >= self.config.max_missed_pings {
            tracing::info!(agent = %id, "agent does not answer");
            return self.mark_unreachable(now, id, out);
        }
        agents::ping(agent, out);
        let timer = Timer::Ping {
            agent_id: id.clone(),
            epoch,
        };
        out.push(after(self.config.agent_ping_interval, timer));
    }

    pub(super) fn on_reregister_timeout(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        epoch: u64,
        out: &mut Effects,
    ) {
        let away =
            |agent: &&Agent| agent.epoch == epoch && agent.standing == AgentStanding::Disconnected;
        if self.agents.get(id).filter(away).is_some() {
            self.mark_unreachable(now, id, out);
        }
    }

    /// Gives an agent up until it comes back: in the registry first, then for everyone to know.
    pub(super) fn mark_unreachable(&mut self, now: Timestamp, id: &AgentId, out: &mut Effects) {
        let Some(agent) = self.agents.get(id) else {
            return;
        };
        let absent = Absent {
            info: agent.info.clone(),
            since: now,
        };
        registry::mark_unreachable(id, &absent, out);
        for counter in [
            "master/slave_unreachable_scheduled",
            "master/slave_unreachable_completed",
            "master/slave_removals",
            "master/slave_removals/reason_unhealthy",
        ] {
            self.metrics.count(counter);
        }
        for (dropped, _) in self.unreachable.insert(id.clone(), absent) {
            registry::forget_unreachable(&dropped, out);
            self.forget_drain(&dropped, out);
        }
        let Some(agent) = self.detach(id, out) else {
            return;
        };
        self.lose_tasks(now, id, agent, out);
        self.report_lost_agent(id, out);
    }

    /// The tasks of an agent that is out of the books become unreachable; those that ended keep
    /// their state.
    fn lose_tasks(&mut self, now: Timestamp, id: &AgentId, agent: Agent, out: &mut Effects) {
        for (framework_id, task_id) in agent.tasks {
            let Some(framework) = self.frameworks.get_mut(&framework_id) else {
                continue;
            };
            let Some(mut task) = framework.tasks.remove(&task_id) else {
                continue;
            };
            if task.state.is_terminal() {
                framework.completed.insert(task_id, task);
                continue;
            }
            let status = unreachable(now, id, &task);
            task.state = TaskState::Unreachable;
            task.status_update_state = Some(TaskState::Unreachable);
            framework.send_status(status, out);
            framework.unreachable.insert(task_id, task);
        }
    }

    /// Forgets unreachable agents that are too old.
    pub(super) fn prune_unreachable(&mut self, now: Timestamp, out: &mut Effects) {
        let max_age = self.config.max_unreachable_age;
        while let Some((id, absent)) = self.unreachable.oldest()
            && now.since(absent.since) > max_age
        {
            let id = id.clone();
            registry::forget_unreachable(&id, out);
            self.unreachable.pop_oldest();
            self.forget_drain(&id, out);
        }
    }
}

fn unreachable(now: Timestamp, id: &AgentId, task: &tepui_protocol::task::Task) -> TaskStatus {
    let state = TaskState::Unreachable;
    let mut status = TaskStatus::new(task.info.id.clone(), state, Source::Master, now).because(
        Reason::AgentRemoved,
        format!("agent {id} cannot be reached"),
    );
    status.agent_id = Some(id.clone());
    status.executor_id = Some(task.info.executor_id());
    status.unreachable_time = Some(now);
    status
}
