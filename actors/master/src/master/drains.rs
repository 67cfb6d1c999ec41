//! Agents that are drained: their tasks are ended and nothing of them is offered, until an operator has them back.
//!
//! In the registry, so that a drained agent stays so over restarts of the master and its own.
//
//= mesos, DRAIN_AGENT, REACTIVATE_AGENT

use std::time::Duration;

use tepui_protocol::{
    AgentId, KillPolicy, Reason, Timestamp,
    messages::operator::{DrainAgent, ReactivateAgent},
};

use super::{Master, TaskKey, registry};
use crate::effects::{Call, Effect, Effects, Outcome};

impl Master {
    /// An operator drains an agent.
    pub fn on_drain_agent(
        &mut self,
        _now: Timestamp,
        call: DrainAgent,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.drain(&call.agent_id, call.max_grace_period, out);
        out.push(Effect::Answer { token, outcome });
    }

    fn drain(&mut self, id: &AgentId, grace: Option<Duration>, out: &mut Effects) -> Outcome {
        if !self.agents.contains_key(id) && !self.unreachable.contains(id) {
            return Err(format!("agent {id} is unknown; see `tepui agents`"));
        }
        self.drains.insert(id.clone(), grace);
        registry::keep_drain(id, grace, out);
        out.push(Effect::Allocator(Call::DeactivateAgent { id: id.clone() }));
        self.rescind_offers_of_agent(id, out);
        self.end_drained_tasks(id, out);
        Ok(())
    }

    /// An operator has an agent back.
    pub fn on_reactivate_agent(
        &mut self,
        _now: Timestamp,
        call: ReactivateAgent,
        token: u64,
        out: &mut Effects,
    ) {
        let id = &call.agent_id;
        let outcome = match self.drains.contains_key(id) {
            true => {
                self.forget_drain(id, out);
                self.offer_anew(id, out);
                Ok(())
            }
            false => Err(format!("agent {id} is not drained")),
        };
        out.push(Effect::Answer { token, outcome });
    }

    pub(super) fn is_drained(&self, id: &AgentId) -> bool {
        self.drains.contains_key(id)
    }

    /// The agent is no longer drained, or gone for good.
    pub(super) fn forget_drain(&mut self, id: &AgentId, out: &mut Effects) {
        if self.drains.remove(id).is_some() {
            registry::forget_drain(id, out);
        }
    }

    /// Kills what runs on an agent that is drained, and is not being killed yet.
    pub(super) fn end_drained_tasks(&mut self, id: &AgentId, out: &mut Effects) {
        let (Some(grace), Some(agent)) = (self.drains.get(id).copied(), self.agents.get(id)) else {
            return;
        };
        let tasks = agent
            .tasks
            .iter()
            .filter(|key| !agent.kills.contains_key(*key));
        let tasks: Vec<TaskKey> = tasks.cloned().collect();
        for key in tasks {
            let own = self.task(&key).map(|task| task.info.kill_policy);
            let own = own.unwrap_or_default().grace_period;
            let policy = grace
                .filter(|most| *most < own)
                .map(|most| KillPolicy { grace_period: most });
            let cause = (Reason::AgentDraining, format!("agent {id} is drained"));
            self.kill_because(&key, policy, cause, out);
        }
    }

    /// How many tasks of an agent have not ended.
    pub(super) fn live_tasks_on(&self, id: &AgentId) -> usize {
        let agent = self.agents.get(id);
        let tasks = agent.into_iter().flat_map(|agent| &agent.tasks);
        let live = |key: &&TaskKey| self.task(key).is_some_and(|task| !task.state.is_terminal());
        tasks.filter(live).count()
    }
}
