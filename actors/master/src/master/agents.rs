//! Agents register, leave, and are dropped.
//!
//! ```text
//!            Register                    link broken
//!  (unknown) --------> Active <-----------------------> Disconnected
//!                       ^  |                Reregister       |
//!  registry, restart    |  | no pong                         | no pong, time-out
//!  ------> Recovered ---+  v                                 |
//!              |       Unreachable <-------------------------+
//!              +---------->   (time-out)
//! ```
//! Coming back is in `reregistration.rs`, going away in `reachability.rs`.

use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, Reason, Source, TaskId, TaskState, TaskStatus, Timestamp,
    messages::{
        agent::{Ping, Register, Registered, Shutdown, Unregister},
        operator::AgentStanding,
        scheduler,
    },
};
use tepui_runtime::AnyPid;

use super::{Agent, Master, after, registry};
use crate::effects::{Call, Effect, Effects, Timer, tell};

impl Master {
    /// A new agent asks to be admitted, or asks again because the answer was lost.
    pub fn on_register(&mut self, now: Timestamp, call: Register, out: &mut Effects) {
        if let Err(problem) = check(&call.info) {
            return refuse(&call.pid, problem, out);
        }
        if let Some(problem) = self.refused_by_maintenance(&call.info.hostname) {
            return refuse(&call.pid, problem, out);
        }
        if let Some(id) = self.agent_at(&call.pid) {
            let master_id = self.id.clone();
            out.push(tell(
                &call.pid,
                Registered {
                    agent_id: id,
                    master_id,
                },
            ));
            return;
        }
        self.replace_agents_at(now, &call.pid, out);
        let id = AgentId::nth(&self.id, self.counters.agents);
        self.counters.agents += 1;
        self.write_counters(out);
        let info = AgentInfo {
            id: Some(id.clone()),
            resources: call.info.resources.without_dynamic_reservations(),
            ..call.info
        };
        registry::admit(&id, &info, out);
        self.agents.insert(id.clone(), Agent::recovered(info));
        self.attach(now, &id, call.pid.clone(), call.version, out);
        self.metrics.count("master/slave_registrations");
        let master_id = self.id.clone();
        out.push(tell(
            &call.pid,
            Registered {
                agent_id: id.clone(),
                master_id,
            },
        ));
        self.start_pings(&id, out);
        self.offer_anew(&id, out);
    }

    /// An agent leaves for good; whatever it still ran is gone.
    pub fn on_unregister(&mut self, now: Timestamp, call: Unregister, out: &mut Effects) {
        if self.agents.contains_key(&call.agent_id) {
            self.metrics
                .count("master/slave_removals/reason_unregistered");
            self.drop_agent(now, &call.agent_id, "its operator stopped it", out);
        } else if self.unreachable.remove(&call.agent_id).is_some() {
            registry::forget_unreachable(&call.agent_id, out);
            self.forget_drain(&call.agent_id, out);
        }
    }

    /// The agent whose actor is exactly `pid`; a connected one, if there is one.
    pub(super) fn agent_at(&self, pid: &AnyPid) -> Option<AgentId> {
        let here = |agent: &Agent| agent.pid.as_ref() == Some(pid);
        let found = self.agents.iter().filter(|(_, agent)| here(agent));
        found
            .max_by_key(|(_, agent)| agent.is_active())
            .map(|(id, _)| id.clone())
    }

    /// Agents other than `id` that were last seen at the place of `pid`, in whatever life.
    pub(super) fn others_at(&self, pid: &AnyPid, id: Option<&AgentId>) -> Vec<AgentId> {
        let same = |other: &AnyPid| other.node() == pid.node() && other.name() == pid.name();
        let others = self.agents.iter().filter(|(other, _)| Some(*other) != id);
        let there = others.filter(|(_, agent)| agent.pid.as_ref().is_some_and(same));
        there.map(|(other, _)| other.clone()).collect()
    }

    /// An agent that registers anew from the address of another has taken its place: the other lost
    /// its work directory and cannot come back.
    fn replace_agents_at(&mut self, now: Timestamp, pid: &AnyPid, out: &mut Effects) {
        for id in self.others_at(pid, None) {
            self.metrics
                .count("master/slave_removals/reason_registered");
            self.drop_agent(now, &id, "another agent registered from its address", out);
        }
    }

    /// The agent is connected from now on.
    pub(super) fn attach(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        pid: AnyPid,
        version: String,
        out: &mut Effects,
    ) {
        let epoch = self.next_epoch();
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        let same = agent.pid.as_ref() == Some(&pid);
        if let Some(old) = agent.pid.as_ref().filter(|_| !same && agent.is_active()) {
            out.push(Effect::Unwatch(old.clone()));
        }
        if !same || !agent.is_active() {
            out.push(Effect::Watch(pid.clone()));
        }
        agent.pid = Some(pid);
        agent.version = version;
        agent.standing = AgentStanding::Active;
        agent.registered = now;
        agent.epoch = epoch;
        agent.unanswered_pings = 0;
        self.note_return(id, out);
    }

    /// Pings the agent now, and from now on at each interval.
    pub(super) fn start_pings(&mut self, id: &AgentId, out: &mut Effects) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        ping(agent, out);
        let timer = Timer::Ping {
            agent_id: id.clone(),
            epoch: agent.epoch,
        };
        out.push(after(self.config.agent_ping_interval, timer));
    }

    /// Tells the allocator all about an agent, whatever it knew before.
    pub(super) fn offer_anew(&mut self, id: &AgentId, out: &mut Effects) {
        let ledger = self.next_epoch();
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        if agent.standing == AgentStanding::Recovered {
            return;
        }
        agent.ledger = ledger;
        let mut used = agent.used.clone();
        for offer in agent
            .offers
            .iter()
            .filter_map(|offer_id| self.offers.get(offer_id))
        {
            *used.entry(offer.framework_id.clone()).or_default() += &offer.resources;
        }
        let (info, total) = (agent.info.clone(), agent.info.resources.clone());
        out.push(Effect::Allocator(Call::AddAgent {
            id: id.clone(),
            ledger,
            info,
            total,
            used,
        }));
        if !agent.is_active() || self.is_drained(id) {
            out.push(Effect::Allocator(Call::DeactivateAgent { id: id.clone() }));
        }
    }

    /// Removes an agent for good: its tasks are gone.
    pub(super) fn drop_agent(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        why: &str,
        out: &mut Effects,
    ) {
        registry::dismiss(id, out);
        self.forget_drain(id, out);
        self.metrics.count("master/slave_removals");
        let Some(agent) = self.detach(id, out) else {
            return;
        };
        for (framework_id, task_id) in agent.tasks {
            let message = format!("agent {id} was removed: {why}");
            let mut status = TaskStatus::new(task_id.clone(), TaskState::Gone, Source::Master, now)
                .because(Reason::AgentRemoved, message);
            status.agent_id = Some(id.clone());
            self.end_task(&framework_id, &task_id, status, out);
        }
        self.report_lost_agent(id, out);
    }

    /// Takes an agent out of the books: its offers are rescinded, its resources gone.
    pub(super) fn detach(&mut self, id: &AgentId, out: &mut Effects) -> Option<Agent> {
        self.rescind_offers_of_agent(id, out);
        let agent = self.agents.remove(id)?;
        if let Some(pid) = agent.connected() {
            out.push(Effect::Unwatch(pid.clone()));
        }
        out.push(Effect::Allocator(Call::RemoveAgent { id: id.clone() }));
        Some(agent)
    }

    /// Ends a task whose agent is out of the books, by word of the master.
    fn end_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        status: TaskStatus,
        out: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return;
        };
        let Some(mut task) = framework.tasks.remove(task_id) else {
            return;
        };
        if !task.state.is_terminal() {
            self.metrics.count("master/tasks_gone");
            task.state = status.state;
            task.status_update_state = Some(status.state);
            task.statuses.push(status.clone());
            framework.send_status(status, out);
        }
        framework.completed.insert(task_id.clone(), task);
    }

    pub(super) fn report_lost_agent(&self, id: &AgentId, out: &mut Effects) {
        for framework in self.frameworks.values() {
            let failure = scheduler::Failure {
                agent_id: id.clone(),
                executor_id: None,
                status: None,
            };
            framework.send(failure, out);
        }
    }
}

pub(super) fn ping(agent: &mut Agent, out: &mut Effects) {
    if let Some(pid) = &agent.pid {
        out.push(tell(
            pid,
            Ping {
                connected: agent.is_active(),
            },
        ));
        agent.unanswered_pings += 1;
    }
}

/// Whether what an agent says of itself makes sense.
pub(super) fn check(info: &AgentInfo) -> Result<(), String> {
    let refused = |problem: String| Err(format!("agent on {}: {problem}", info.hostname));
    if let Err(error) = info.resources.validate() {
        return refused(error.to_string());
    }
    if info
        .resources
        .iter()
        .any(|resource| resource.allocation.is_some())
    {
        return refused("its resources must not be allocated to a role".to_owned());
    }
    Ok(())
}

/// Tells an actor that it may not be an agent here.
pub(super) fn refuse(pid: &AnyPid, message: String, out: &mut Effects) {
    tracing::warn!(%pid, message, "agent refused");
    out.push(tell(pid, Shutdown { message }));
}
