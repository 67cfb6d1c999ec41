//! Agents that were admitted before come back, with their tasks.
//!
//! The agent's word counts: what it reports is what runs there. Tasks that only the master knows are
//! named in [`Reregistered`]; the agent answers for each with a status update, so that a task
//! that is just on its way to it is not taken for lost.

use std::collections::BTreeSet;

use tepui_protocol::{
    AgentId, Capability, FrameworkId, FrameworkInfo, Reason, Source, TaskState, TaskStatus,
    Timestamp,
    messages::{
        agent::{Register, Reregister, Reregistered, ShutdownFramework},
        operator::AgentStanding,
    },
    task::Task,
};
use tepui_runtime::AnyPid;

use super::{
    Agent, Framework, Master, TaskKey, after,
    agents::{check, refuse},
    metrics, registry, reservations,
    tasks::kill_task,
};
use crate::effects::{Effect, Effects, Timer, tell};

/// What the cluster made of an agent's absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// Its tasks were kept in the books, or the master was away itself.
    Short,
    /// Its tasks were given up until it comes back.
    Unreachable,
}

impl Master {
    /// An agent that has an id comes back: after its restart, the master's, or a lost link.
    pub fn on_reregister(&mut self, now: Timestamp, call: Reregister, out: &mut Effects) {
        let Reregister {
            pid,
            info,
            version,
            frameworks,
            tasks,
            updates,
        } = call;
        let Some(id) = info.id.clone() else {
            return self.on_register(now, Register { pid, info, version }, out);
        };
        if let Err(problem) = check(&info) {
            return refuse(&pid, problem, out);
        }
        if let Some(problem) = self.refused_by_maintenance(&info.hostname) {
            return refuse(&pid, problem, out);
        }
        let Some(absence) = self.readmit(&id, info, out) else {
            let message = format!(
                "agent {id} is not in this master's registry (removed, or the registry was lost); \
                 start the agent with an empty work directory"
            );
            return refuse(&pid, message, out);
        };
        self.metrics.count("master/slave_reregistrations");
        let ended = self.adopt_frameworks(frameworks, out);
        self.displace(&id, &pid, out);
        self.attach(now, &id, pid.clone(), version, out);
        self.adopt_updates(&id, updates);
        let reconcile = self.adopt_tasks(now, &id, absence, tasks, out);
        let master_id = self.id.clone();
        out.push(tell(
            &pid,
            Reregistered {
                agent_id: id.clone(),
                master_id,
                reconcile,
            },
        ));
        for framework_id in ended {
            out.push(tell(&pid, ShutdownFramework { framework_id }));
        }
        self.repeat_kills(&id, out);
        self.end_drained_tasks(&id, out);
        self.start_pings(&id, out);
        self.offer_anew(&id, out);
    }

    /// Takes an agent that was admitted before into the books and the registry; none if it was not.
    fn readmit(
        &mut self,
        id: &AgentId,
        mut info: tepui_protocol::AgentInfo,
        out: &mut Effects,
    ) -> Option<Absence> {
        if let Some(absent) = self.unreachable.remove(id) {
            info.resources = reservations::renew(&info.resources, &absent.info.resources);
            registry::forget_unreachable(id, out);
            registry::admit(id, &info, out);
            self.agents.insert(id.clone(), Agent::recovered(info));
            return Some(Absence::Unreachable);
        }
        let agent = self.agents.get_mut(id)?;
        info.resources = reservations::renew(&info.resources, &agent.info.resources);
        if agent.info == info {
            return Some(Absence::Short);
        }
        registry::admit(id, &info, out);
        let other_resources = agent.info.resources != info.resources;
        agent.info = info;
        if other_resources {
            self.rescind_offers_of_agent(id, out);
        }
        Some(Absence::Short)
    }

    /// Agents that were at this address are somewhere else, if anywhere: they may come back.
    fn displace(&mut self, id: &AgentId, pid: &AnyPid, out: &mut Effects) {
        for other in self.others_at(pid, Some(id)) {
            let agent = self.agents.get(&other);
            if let Some(pid) = agent.and_then(Agent::connected) {
                out.push(Effect::Unwatch(pid.clone()));
            }
            self.disconnect_agent(&other, out);
        }
    }

    /// Learns of frameworks from an agent; returns those that have ended.
    fn adopt_frameworks(
        &mut self,
        frameworks: Vec<FrameworkInfo>,
        out: &mut Effects,
    ) -> Vec<FrameworkId> {
        let mut ended = Vec::new();
        for info in frameworks {
            let Some(id) = info.id.clone() else { continue };
            if self.has_ended(&id) {
                ended.push(id);
            } else if !self.frameworks.contains_key(&id) {
                registry::keep_framework(&id, &info, out);
                self.await_framework(&id, &info, out);
                self.frameworks
                    .insert(id, Framework::recovered(info, &self.config));
            }
        }
        ended
    }

    /// Gives a framework whose scheduler is not back yet its time.
    fn await_framework(&self, id: &FrameworkId, info: &FrameworkInfo, out: &mut Effects) {
        let grace = info
            .failover_timeout
            .max(self.config.recovered_framework_grace);
        out.push(after(
            grace,
            Timer::Failover {
                framework_id: id.clone(),
                epoch: 0,
            },
        ));
    }

    pub(super) fn arm_recovered_frameworks(&self, out: &mut Effects) {
        for (id, framework) in &self.frameworks {
            self.await_framework(id, &framework.info, out);
        }
    }

    /// Makes the books agree with what the agent reports; returns the tasks it must account for.
    fn adopt_tasks(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        absence: Absence,
        tasks: Vec<Task>,
        out: &mut Effects,
    ) -> Vec<TaskKey> {
        let mut reported = BTreeSet::new();
        for task in tasks {
            let key = (task.framework_id.clone(), task.info.id.clone());
            if self.adopt_task(now, id, task, out) {
                reported.insert(key);
            }
        }
        if absence == Absence::Unreachable {
            self.recall_unreachable_tasks(id);
        }
        let known = self
            .agents
            .get(id)
            .map(|agent| agent.tasks.clone())
            .unwrap_or_default();
        let mut missing = Vec::new();
        for key in known.difference(&reported) {
            match self.task(key).is_some_and(|task| task.state.is_terminal()) {
                // The agent still has the update that tells of its end, although not the task: it is
                // in the books until that is acknowledged, for those who ask.
                true if self.checkpoints(&key.0) => {}
                true => self.forget_task(key),
                false => missing.push(key.clone()),
            }
        }
        self.recount(id);
        missing
    }

    /// Remembers what schedulers will hear of tasks that nobody has, so that they hear nothing else
    /// when they ask meanwhile.
    fn adopt_updates(&mut self, id: &AgentId, updates: Vec<(FrameworkId, TaskStatus)>) {
        if let Some(agent) = self.agents.get_mut(id) {
            let keyed = |(framework_id, status): (FrameworkId, TaskStatus)| {
                ((framework_id, status.task_id.clone()), status)
            };
            agent.owed = updates.into_iter().map(keyed).collect();
        }
    }

    /// Whether agents remember the framework's updates over their restarts.
    fn checkpoints(&self, id: &FrameworkId) -> bool {
        self.frameworks
            .get(id)
            .is_some_and(|framework| framework.info.checkpoint)
    }

    /// Takes over what the agent says of one task; false if the task is none of ours.
    fn adopt_task(&mut self, now: Timestamp, id: &AgentId, task: Task, out: &mut Effects) -> bool {
        let Some(framework) = self.frameworks.get_mut(&task.framework_id) else {
            return false;
        };
        let task_id = task.info.id.clone();
        let known = framework.tasks.get_mut(&task_id);
        let elsewhere = known
            .as_ref()
            .is_some_and(|known| known.info.agent_id != *id);
        if task.info.agent_id != *id || elsewhere {
            tracing::warn!(agent = %id, task = %task_id, "agent reports a task of another agent");
            return false;
        }
        if framework.unreachable.remove(&task_id).is_some()
            && !task.state.is_terminal()
            && framework.info.can(Capability::PartitionAware)
        {
            framework.send_status(returned(now, id, &task), out);
        }
        let ended_unacknowledged = framework.completed.remove(&task_id).is_some();
        let key = (task.framework_id.clone(), task_id.clone());
        let ended_before = known_state(framework, &task_id).is_some_and(TaskState::is_terminal);
        if !ended_before {
            if let Some(counter) = metrics::ended_in(task.state).filter(|_| !ended_unacknowledged) {
                self.metrics.count(counter);
            }
            framework.tasks.insert(task_id, task);
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.tasks.insert(key);
        }
        true
    }

    /// Tasks of the agent that it was unreachable with are its tasks again.
    fn recall_unreachable_tasks(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        for (framework_id, framework) in &mut self.frameworks {
            let here = framework
                .unreachable
                .iter()
                .filter(|(_, task)| task.info.agent_id == *id);
            let recalled: Vec<_> = here.map(|(task_id, _)| task_id.clone()).collect();
            for task_id in recalled {
                if let Some(task) = framework.unreachable.remove(&task_id) {
                    framework.tasks.insert(task_id.clone(), task);
                    agent.tasks.insert((framework_id.clone(), task_id));
                }
            }
        }
    }

    /// Computes from its tasks what an agent's executors are, and what is used there.
    pub(super) fn recount(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.used.clear();
        agent.executors.clear();
        for (framework_id, task_id) in agent.tasks.clone() {
            let framework = self.frameworks.get(&framework_id);
            let task = framework.and_then(|framework| framework.tasks.get(&task_id));
            let Some(task) = task.filter(|task| !task.state.is_terminal()) else {
                continue;
            };
            agent.charge(&framework_id, &task.info.resources);
            if let Some(executor) = &task.info.executor {
                agent.start_executor(&framework_id, executor);
            }
        }
    }

    /// Asks once more for what was to be killed when the link broke.
    fn repeat_kills(&mut self, id: &AgentId, out: &mut Effects) {
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        agent.kills.retain(|key, _| agent.tasks.contains(key));
        let Some(pid) = agent.connected() else { return };
        for (key, kill_policy) in &agent.kills {
            out.push(tell(pid, kill_task(key, *kill_policy)));
        }
    }

    /// Agents known from the registry had the time to come back: the others are unreachable.
    pub(super) fn on_recovered_agents_timeout(&mut self, now: Timestamp, out: &mut Effects) {
        let absent: Vec<_> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.standing == AgentStanding::Recovered)
            .map(|(id, _)| id.clone())
            .collect();
        for id in absent {
            self.metrics.count("master/recovery_slave_removals");
            self.mark_unreachable(now, &id, out);
        }
    }
}

fn known_state(framework: &Framework, task_id: &tepui_protocol::TaskId) -> Option<TaskState> {
    framework.tasks.get(task_id).map(|task| task.state)
}

/// The news that a task's agent is back.
fn returned(now: Timestamp, id: &AgentId, task: &Task) -> TaskStatus {
    let state = task.status_update_state.unwrap_or(task.state);
    let mut status = TaskStatus::new(task.info.id.clone(), state, Source::Master, now)
        .because(Reason::AgentReregistered, format!("agent {id} is back"));
    status.agent_id = Some(id.clone());
    status.executor_id = Some(task.info.executor_id());
    status
}
