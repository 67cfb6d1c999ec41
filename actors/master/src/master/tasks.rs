//! Accepting offers, launching and killing tasks, and the tasks' place in the books.

use std::{collections::BTreeSet, time::Duration};

use tepui_protocol::{
    AgentId, Capability, FrameworkId, FrameworkInfo, KillPolicy, Offer, Operation, Reason,
    Resources, Role, Source, TaskGroup, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
    messages::{
        agent::{KillTask, RunGroup, RunTask},
        scheduler::{Accept, Kill},
    },
    task::Task,
};

use super::{Master, TaskKey, agent::Agent, metrics, reservations::Kind, validation};
use crate::effects::{Call, Effect, Effects, tell};

/// What accepted offers add up to.
#[derive(Clone, Debug)]
pub(super) struct Lot {
    pub(super) framework_id: FrameworkId,
    pub(super) agent_id: AgentId,
    pub(super) role: Role,
    /// What no task has taken yet.
    pub(super) left: Resources,
    /// Whether any task has taken something.
    used: bool,
}

impl Master {
    /// A framework uses offers. All of the call is refused when one of its offers is not valid, and
    /// all that its operations leave goes back.
    pub fn on_accept(&mut self, now: Timestamp, call: Accept, out: &mut Effects) {
        if self.subscribed(&call.framework_id).is_none() {
            return;
        }
        let refused = call.filters.refuse();
        match self.collect(&call, out) {
            Ok(lot) => self.carry_out(now, lot, call.operations, refused, out),
            Err(problem) => self.refuse_operations(now, &call, &problem, out),
        }
    }

    /// Takes the offers out of the books; when one is not valid, gives all back instead.
    fn collect(&mut self, call: &Accept, out: &mut Effects) -> Result<Lot, String> {
        let valid = self.check_offers(call);
        let own = |offer: &&Offer| offer.framework_id == call.framework_id;
        let ids: BTreeSet<_> = call
            .offer_ids
            .iter()
            .filter(|id| self.offers.get(id).filter(own).is_some())
            .filter(|id| !self.gathering.is_hidden(id))
            .collect();
        let (agent_id, role) = match valid {
            Ok(first) => (first.agent_id.clone(), first.role.clone()),
            Err(problem) => {
                for id in ids {
                    self.return_offer(id, Some(Duration::ZERO), out);
                }
                return Err(problem);
            }
        };
        let offers = ids.into_iter().filter_map(|id| self.take_offer(id));
        let left = offers.fold(Resources::new(), |sum, offer| sum + &offer.resources);
        Ok(Lot {
            framework_id: call.framework_id.clone(),
            agent_id,
            role,
            left,
            used: false,
        })
    }

    /// The first of the offers, if together they are valid.
    fn check_offers(&self, call: &Accept) -> Result<&Offer, String> {
        let mut seen = BTreeSet::new();
        let mut first: Option<&Offer> = None;
        for id in &call.offer_ids {
            if !seen.insert(id) {
                return Err(format!("duplicate offer {id} in the list of offers"));
            }
            let known = self
                .offers
                .get(id)
                .filter(|_| !self.gathering.is_hidden(id));
            let Some(offer) = known else {
                return Err(format!("offer {id} is no longer valid"));
            };
            let first = *first.get_or_insert(offer);
            if offer.framework_id != call.framework_id {
                return Err(format!(
                    "offer {id} was not made to framework {}",
                    call.framework_id
                ));
            }
            if offer.agent_id != first.agent_id {
                return Err(format!(
                    "offers {} and {id} are of different agents",
                    first.id
                ));
            }
            if offer.role != first.role {
                return Err(format!(
                    "offers {} and {id} are for different roles",
                    first.id
                ));
            }
        }
        first.ok_or_else(|| "no offers were named".to_owned())
    }

    fn carry_out(
        &mut self,
        now: Timestamp,
        mut lot: Lot,
        operations: Vec<Operation>,
        refused: Duration,
        out: &mut Effects,
    ) {
        for operation in operations {
            match operation {
                Operation::Launch(tasks) => {
                    for task in tasks {
                        self.launch(now, &mut lot, task, out);
                    }
                }
                Operation::LaunchGroup(group) => self.launch_group(now, &mut lot, &group, out),
                // Nobody is told: it is counted, and logged.
                Operation::Reserve(named) => {
                    let _ = self.change_offered(&mut lot, Kind::Reserve, &named, out);
                }
                Operation::Unreserve(named) => {
                    let _ = self.change_offered(&mut lot, Kind::Unreserve, &named, out);
                }
                Operation::Tracked(tracked) => self.track(&mut lot, tracked, out),
            }
        }
        if lot.used && self.config.decline_backoff.is_some() {
            out.push(Effect::Allocator(Call::NoteUse {
                framework: lot.framework_id.clone(),
                role: lot.role,
            }));
        }
        if !lot.left.is_empty() {
            out.push(Effect::Allocator(Call::Recover {
                framework: lot.framework_id,
                agent: lot.agent_id,
                resources: lot.left,
                refused: Some(refused),
            }));
        }
    }

    /// Starts a task, or says why not.
    fn launch(&mut self, now: Timestamp, lot: &mut Lot, mut task: TaskInfo, out: &mut Effects) {
        // Only the master makes members of groups.
        task.group = None;
        validation::settle_account(&mut task, &lot.role);
        if let Err(problem) = self.check_task(lot, &task) {
            let status = refusal(now, &task, TaskState::Error, Reason::TaskInvalid, problem);
            return self.report_refusal(&lot.framework_id, status, out);
        }
        let framework = self.enter_task(lot, &task);
        if let Some(pid) = self.agents.get(&lot.agent_id).and_then(Agent::connected) {
            out.push(tell(pid, RunTask { framework, task }));
        }
    }

    /// Starts tasks together, or says of each why none is started.
    //= mesos, LAUNCH_GROUP: any invalid task fails all
    fn launch_group(
        &mut self,
        now: Timestamp,
        lot: &mut Lot,
        group: &TaskGroup,
        out: &mut Effects,
    ) {
        let mut tasks = group.members();
        for task in &mut tasks {
            validation::settle_account(task, &lot.role);
        }
        if let Err(problem) = self.check_group(lot, group, &tasks) {
            for task in &tasks {
                // A task that runs already is not told to have ended.
                if !self.is_live(&lot.framework_id, &task.id) {
                    let (state, reason) = (TaskState::Error, Reason::TaskGroupInvalid);
                    let status = refusal(now, task, state, reason, problem.clone());
                    self.report_refusal(&lot.framework_id, status, out);
                }
            }
            return;
        }
        let entered: Vec<_> = tasks
            .iter()
            .map(|task| self.enter_task(lot, task))
            .collect();
        let pid = self.agents.get(&lot.agent_id).and_then(Agent::connected);
        if let (Some(framework), Some(pid)) = (entered.into_iter().next(), pid) {
            out.push(tell(pid, RunGroup { framework, tasks }));
        }
    }

    /// Enters a task that is valid into the books. Returns whose it is.
    fn enter_task(&mut self, lot: &mut Lot, task: &TaskInfo) -> FrameworkInfo {
        let key = (lot.framework_id.clone(), task.id.clone());
        let framework = self
            .frameworks
            .get_mut(&key.0)
            .expect("an accepting framework is known");
        let agent = self
            .agents
            .get_mut(&lot.agent_id)
            .expect("an offer's agent is known");
        lot.left -= &task.resources;
        lot.used = true;
        agent.charge(&key.0, &task.resources);
        if let Some(executor) = &task.executor {
            lot.left -= &agent.start_executor(&key.0, executor);
        }
        agent.tasks.insert(key.clone());
        framework
            .tasks
            .insert(task.id.clone(), Task::staging(task.clone(), key.0));
        framework.info.clone()
    }

    fn refuse_operations(
        &mut self,
        now: Timestamp,
        call: &Accept,
        problem: &str,
        out: &mut Effects,
    ) {
        for operation in &call.operations {
            if let Operation::Tracked(tracked) = operation {
                self.drop_operation(&call.framework_id, tracked, problem, out);
            }
            for task in operation.tasks() {
                // A call that arrives twice must not end what it started.
                if self.is_live(&call.framework_id, &task.id) {
                    continue;
                }
                let message = format!("task launched with invalid offers: {problem}");
                let (state, reason) = (TaskState::Dropped, Reason::InvalidOffers);
                let status = refusal(now, task, state, reason, message);
                self.report_refusal(&call.framework_id, status, out);
            }
        }
    }

    fn is_live(&self, framework_id: &FrameworkId, task_id: &TaskId) -> bool {
        self.frameworks.get(framework_id).is_some_and(|framework| {
            framework.tasks.contains_key(task_id) || framework.unreachable.contains(task_id)
        })
    }

    /// Tells a framework of a task that never came into the books.
    fn report_refusal(&mut self, id: &FrameworkId, status: TaskStatus, out: &mut Effects) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let told = match framework.info.can(Capability::PartitionAware) {
            true => status.state,
            false => status.state.legacy(),
        };
        if let Some(counter) = metrics::ended_in(told) {
            self.metrics.count(counter);
        }
        framework.send_status(status, out);
    }

    /// Tasks could not be sent to their agent: they are dropped, by word of the master.
    pub(super) fn on_tasks_undelivered(
        &mut self,
        now: Timestamp,
        framework: &FrameworkInfo,
        tasks: &[TaskInfo],
        out: &mut Effects,
    ) {
        let Some(framework_id) = framework.id.clone() else {
            return;
        };
        for task in tasks {
            let key = (framework_id.clone(), task.id.clone());
            let staging = |task: &&Task| task.state == TaskState::Staging;
            if self.task(&key).filter(staging).is_none() {
                continue;
            }
            let (state, reason) = (TaskState::Dropped, Reason::AgentDisconnected);
            let message = "the task could not be sent to its agent".to_owned();
            let status = refusal(now, task, state, reason, message);
            self.enter(&key, status.clone(), state, out);
            self.forget_task(&key);
            if let Some(framework) = self.frameworks.get(&key.0) {
                framework.send_status(status, out);
            }
        }
    }

    /// A framework wants a task to end. One that is unknown is reconciled.
    pub fn on_kill(&mut self, now: Timestamp, call: Kill, out: &mut Effects) {
        if self.subscribed(&call.framework_id).is_none() {
            return;
        }
        let key = (call.framework_id, call.task_id);
        if self.task(&key).is_none() {
            return self.reconcile_one(now, &key, call.agent_id, out);
        }
        self.kill(&key, call.kill_policy, out);
    }

    /// Passes a kill on to the task's agent, and again when the agent comes back before the task has
    /// ended.
    pub(super) fn kill(
        &mut self,
        key: &TaskKey,
        kill_policy: Option<KillPolicy>,
        out: &mut Effects,
    ) {
        let task = self.task(key).filter(|task| !task.state.is_terminal());
        let Some(agent_id) = task.map(|task| task.info.agent_id.clone()) else {
            return;
        };
        let Some(agent) = self.agents.get_mut(&agent_id) else {
            return;
        };
        agent.kills.insert(key.clone(), kill_policy);
        if let Some(pid) = agent.connected() {
            out.push(tell(pid, kill_task(key, kill_policy)));
        }
    }

    pub(super) fn task(&self, (framework_id, task_id): &TaskKey) -> Option<&Task> {
        self.frameworks.get(framework_id)?.tasks.get(task_id)
    }

    /// Puts a task into a new latest state, and frees what it used when it has ended.
    pub(super) fn enter(
        &mut self,
        key: &TaskKey,
        status: TaskStatus,
        latest: TaskState,
        out: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get_mut(&key.0) else {
            return;
        };
        let Some(task) = framework.tasks.get_mut(&key.1) else {
            return;
        };
        let mut known = task.statuses.iter_mut();
        match known.find(|known| known.state == status.state) {
            // News of the same state, as of its health; it was entered when it was.
            Some(known) => {
                *known = TaskStatus {
                    timestamp: known.timestamp,
                    ..status.clone()
                }
            }
            None => task.statuses.push(status.clone()),
        }
        task.status_update_state = Some(status.state);
        task.status_update_uuid = status.uuid;
        if task.state.is_terminal() {
            return;
        }
        task.state = latest;
        if !latest.is_terminal() {
            return;
        }
        if let Some(counter) = metrics::ended_in(latest) {
            self.metrics.count(counter);
        }
        let (agent_id, resources) = (task.info.agent_id.clone(), task.info.resources.clone());
        if let Some(agent) = self.agents.get_mut(&agent_id) {
            agent.kills.remove(key);
        }
        self.release(&key.0, &agent_id, resources, out);
    }

    /// Frees what a task or an executor used.
    pub(super) fn release(
        &mut self,
        framework: &FrameworkId,
        agent_id: &AgentId,
        resources: Resources,
        out: &mut Effects,
    ) {
        let Some(agent) = self.agents.get_mut(agent_id) else {
            return;
        };
        agent.discharge(framework, &resources);
        if resources.is_empty() {
            return;
        }
        let (framework, agent) = (framework.clone(), agent_id.clone());
        out.push(Effect::Allocator(Call::Recover {
            framework,
            agent,
            resources,
            refused: None,
        }));
    }

    /// A task has ended and everyone knows: it is history.
    pub(super) fn forget_task(&mut self, key: &TaskKey) {
        let Some(framework) = self.frameworks.get_mut(&key.0) else {
            return;
        };
        let Some(task) = framework.tasks.remove(&key.1) else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(&task.info.agent_id) {
            agent.tasks.remove(key);
            agent.kills.remove(key);
        }
        framework.completed.insert(key.1.clone(), task);
    }
}

fn refusal(
    now: Timestamp,
    task: &TaskInfo,
    state: TaskState,
    reason: Reason,
    message: String,
) -> TaskStatus {
    let mut status =
        TaskStatus::new(task.id.clone(), state, Source::Master, now).because(reason, message);
    status.agent_id = Some(task.agent_id.clone());
    status
}

pub(super) fn kill_task((framework_id, task_id): &TaskKey, policy: Option<KillPolicy>) -> KillTask {
    KillTask {
        framework_id: framework_id.clone(),
        task_id: task_id.clone(),
        kill_policy: policy,
    }
}
