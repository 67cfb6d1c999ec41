//! What the fake master knows, and how it answers. Pure but for [`State::send_from`].

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tepui_protocol::{
    AgentId, FrameworkId, FrameworkInfo, MasterId, Offer, OfferId, Operation, Reason, Resources,
    Source, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
    messages::scheduler::{
        Accept, Acknowledge, Failure, Heartbeat, Offers, Reconcile, Rescind, SchedulerError,
        Subscribe, Subscribed, Update,
    },
};
use tepui_runtime::{AnyPid, Node};
use uuid::Uuid;

use super::record::FromScheduler;

pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// An agent that offers what is free.
struct FakeAgent {
    free: Resources,
    lifetime: Option<Duration>,
    reachable: bool,
}

struct FakeTask {
    info: TaskInfo,
    /// The latest state.
    state: TaskState,
    /// The state that the framework was told last.
    told: TaskState,
    /// When it finishes by itself.
    ends: Option<Timestamp>,
    /// Updates not acknowledged, oldest first; only the first is sent.
    updates: VecDeque<TaskStatus>,
}

enum ToFramework {
    Subscribed(Subscribed),
    Offers(Offers),
    Rescind(Rescind),
    Update(Update),
    Failure(Failure),
    Error(SchedulerError),
    Heartbeat(Heartbeat),
}

pub(super) struct State {
    pub(super) id: MasterId,
    pub(super) now: Timestamp,
    pub(super) framework: Option<(AnyPid, FrameworkInfo)>,
    pub(super) launched: Vec<TaskInfo>,
    pub(super) record: Vec<FromScheduler>,
    pub(super) suppressed: bool,
    pub(super) silent: bool,
    pub(super) kills_ignored: bool,
    refusal: Option<String>,
    offers: BTreeMap<OfferId, Offer>,
    agents: BTreeMap<AgentId, FakeAgent>,
    tasks: BTreeMap<TaskId, FakeTask>,
    outgoing: Vec<(AnyPid, ToFramework)>,
    serial: u64,
}

impl State {
    pub(super) fn new(id: MasterId) -> Self {
        Self {
            id,
            now: Timestamp::default(),
            framework: None,
            launched: Vec::new(),
            record: Vec::new(),
            suppressed: false,
            silent: false,
            kills_ignored: false,
            refusal: None,
            offers: BTreeMap::new(),
            agents: BTreeMap::new(),
            tasks: BTreeMap::new(),
            outgoing: Vec::new(),
            serial: 0,
        }
    }

    /// Sends what is to be sent, unless silent.
    pub(super) fn send_from(&mut self, node: &Node) {
        for (pid, message) in std::mem::take(&mut self.outgoing) {
            if self.silent {
                continue;
            }
            // A framework that is gone hears nothing.
            let _ = match message {
                ToFramework::Subscribed(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Offers(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Rescind(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Update(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Failure(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Error(msg) => node.tell(&pid, msg).is_ok(),
                ToFramework::Heartbeat(msg) => node.tell(&pid, msg).is_ok(),
            };
        }
    }

    fn say(&mut self, message: ToFramework) {
        if let Some((pid, _)) = &self.framework {
            self.outgoing.push((pid.clone(), message));
        }
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn received(&mut self, message: FromScheduler) {
        if self.silent {
            return;
        }
        self.record.push(message.clone());
        match message {
            FromScheduler::Subscribe(msg) => self.subscribe(msg),
            FromScheduler::Teardown(_) => self.framework = None,
            FromScheduler::Accept(msg) => self.accept(msg),
            FromScheduler::Decline(msg) => msg.offer_ids.iter().for_each(|id| self.give_back(id)),
            FromScheduler::Revive(_) => self.suppressed = false,
            FromScheduler::Suppress(_) => self.suppressed = true,
            FromScheduler::Kill(msg) => self.kill(&msg.task_id),
            FromScheduler::Acknowledge(msg) => self.acknowledge(&msg),
            FromScheduler::Reconcile(msg) => self.reconcile(msg),
        }
    }

    fn subscribe(&mut self, msg: Subscribe) {
        let mut info = msg.info;
        if let Some(message) = self.refusal.clone() {
            let error = ToFramework::Error(SchedulerError { message });
            return self.outgoing.push((msg.pid, error));
        }
        self.forget_subscription();
        let fresh = FrameworkId::nth(&self.id, 0);
        let framework_id = info.id.get_or_insert(fresh).clone();
        self.suppressed = msg.suppressed_roles == info.roles;
        self.framework = Some((msg.pid, info));
        self.say(ToFramework::Subscribed(Subscribed {
            framework_id,
            master_id: self.id.clone(),
            heartbeat_interval: HEARTBEAT,
        }));
        self.send_updates();
    }

    /// The connection is gone, and all offers with it.
    pub(super) fn forget_subscription(&mut self) {
        self.framework = None;
        let ids: Vec<_> = self.offers.keys().cloned().collect();
        ids.iter().for_each(|id| self.give_back(id));
    }

    pub(super) fn refuse(&mut self, why: &str) {
        self.refusal = Some(why.to_owned());
        self.say(ToFramework::Error(SchedulerError {
            message: why.to_owned(),
        }));
        self.forget_subscription();
    }

    pub(super) fn heartbeat(&mut self) {
        self.say(ToFramework::Heartbeat(Heartbeat {}));
    }

    pub(super) fn offer(&mut self, agent_id: AgentId, resources: Resources) -> OfferId {
        let id = OfferId::nth(&self.id, self.serial);
        self.next();
        let (_, info) = self.framework.as_ref().expect("a framework is subscribed");
        let role = info.roles.first().expect("a framework has a role").clone();
        let framework_id = info.id.clone().expect("a subscribed framework has an id");
        let offer = Offer {
            id: id.clone(),
            framework_id,
            hostname: agent_id.to_string(),
            agent_id,
            resources: resources.allocate(&role),
            role,
            attributes: BTreeMap::new(),
            unavailability: None,
        };
        self.offers.insert(id.clone(), offer.clone());
        self.say(ToFramework::Offers(Offers {
            offers: vec![offer],
        }));
        id
    }

    pub(super) fn rescind(&mut self, offer: &OfferId) {
        self.give_back(offer);
        self.say(ToFramework::Rescind(Rescind {
            offer_id: offer.clone(),
        }));
    }

    fn give_back(&mut self, id: &OfferId) {
        if let Some(offer) = self.offers.remove(id) {
            self.free(&offer.agent_id, &offer.resources);
        }
    }

    fn free(&mut self, agent: &AgentId, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.free += resources.unallocate();
        }
    }

    fn accept(&mut self, msg: Accept) {
        let offers: Option<Vec<Offer>> = msg
            .offer_ids
            .iter()
            .map(|id| self.offers.remove(id))
            .collect();
        for task in msg.operations.into_iter().flat_map(Operation::into_tasks) {
            match &offers {
                Some(_) => self.launch(task),
                None => self.drop_task(&task),
            }
        }
        if let Some(offers) = offers.filter(|offers| !offers.is_empty()) {
            self.free_rest(&offers);
        }
        self.start_tasks();
    }

    /// Frees what tasks launched on offers of one agent left of them.
    fn free_rest(&mut self, offers: &[Offer]) {
        let agent = &offers[0].agent_id;
        assert!(
            offers.iter().all(|offer| offer.agent_id == *agent),
            "offers that are accepted together are of one agent"
        );
        let new = self.tasks.values().filter(|task| task.is_new());
        let used: Resources = new.map(|task| &task.info.resources).sum();
        let offered: Resources = offers.iter().map(|offer| &offer.resources).sum();
        let left = offered.checked_sub(&used);
        self.free(agent, &left.expect("tasks fit into their offers"));
    }

    fn launch(&mut self, info: TaskInfo) {
        self.launched.push(info.clone());
        let task = FakeTask {
            info,
            state: TaskState::Staging,
            told: TaskState::Staging,
            ends: None,
            updates: VecDeque::new(),
        };
        let before = self.tasks.insert(task.info.id.clone(), task);
        assert!(
            before.is_none(),
            "a task id is used once: {}",
            before.expect("some").info.id
        );
    }

    fn drop_task(&mut self, task: &TaskInfo) {
        let status = self.status(&task.id, &task.agent_id, TaskState::Dropped);
        let status = status.because(Reason::InvalidOffers, "an offer is no longer valid");
        self.send_status(status);
    }

    /// Tasks just launched on agents of ours run.
    fn start_tasks(&mut self) {
        let new = self.tasks.values_mut().filter(|task| task.is_new());
        let mut started = Vec::new();
        for task in new {
            task.ends = Some(Timestamp(u64::MAX));
            if let Some(agent) = self.agents.get(&task.info.agent_id) {
                task.ends = agent.lifetime.map(|lifetime| self.now + lifetime);
                task.ends = task.ends.or(Some(Timestamp(u64::MAX)));
                started.push(task.info.id.clone());
            }
        }
        for id in started {
            self.enter(&id, TaskState::Running, None);
        }
    }

    /// Once a second: ends tasks whose time has come, and offers what is free.
    pub(super) fn tick(&mut self) {
        let now = self.now;
        let due =
            |task: &&FakeTask| !task.state.is_terminal() && task.ends.is_some_and(|e| e <= now);
        let due: Vec<_> = self
            .tasks
            .values()
            .filter(due)
            .map(|t| t.info.id.clone())
            .collect();
        for id in due {
            self.enter(&id, TaskState::Finished, None);
        }
        if self.framework.is_none() || self.suppressed {
            return;
        }
        let agents: Vec<_> = self.agents.keys().cloned().collect();
        for id in agents {
            self.offer_free(id);
        }
    }

    fn offer_free(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get_mut(&id) else {
            return;
        };
        if agent.reachable && !agent.free.is_empty() {
            let free = std::mem::take(&mut agent.free);
            self.offer(id, free);
        }
    }

    pub(super) fn add_agent(&mut self, id: AgentId, free: Resources, lifetime: Option<Duration>) {
        self.agents.insert(
            id.clone(),
            FakeAgent {
                free,
                lifetime,
                reachable: true,
            },
        );
        if self.framework.is_some() && !self.suppressed {
            self.offer_free(id);
        }
    }

    pub(super) fn agent_lost(&mut self, id: &AgentId) {
        self.set_reachable(id, false);
        let mine = self.offers.values().filter(|offer| offer.agent_id == *id);
        let offers: Vec<_> = mine.map(|offer| offer.id.clone()).collect();
        offers.iter().for_each(|offer| self.rescind(offer));
        self.say(ToFramework::Failure(Failure {
            agent_id: id.clone(),
            executor_id: None,
            status: None,
        }));
        for task in self.live_on(id) {
            let mut status = self.status(&task, id, TaskState::Unreachable);
            status.unreachable_time = Some(self.now);
            self.send_status(status.because(Reason::AgentRemoved, "the agent does not answer"));
        }
    }

    pub(super) fn agent_back(&mut self, id: &AgentId) {
        self.set_reachable(id, true);
        for task in self.live_on(id) {
            let state = self.tasks[&task].state;
            let status = self.status(&task, id, state);
            self.send_status(status.because(Reason::AgentReregistered, "the agent is back"));
        }
        self.send_updates();
    }

    fn set_reachable(&mut self, id: &AgentId, reachable: bool) {
        self.agents.get_mut(id).expect("such an agent").reachable = reachable;
    }

    fn is_reachable(&self, id: &AgentId) -> bool {
        self.agents.get(id).is_none_or(|agent| agent.reachable)
    }

    fn live_on(&self, id: &AgentId) -> Vec<TaskId> {
        let here = |task: &&FakeTask| task.info.agent_id == *id && !task.state.is_terminal();
        self.tasks
            .values()
            .filter(here)
            .map(|task| task.info.id.clone())
            .collect()
    }

    /// The task is in `state` from now on; the framework is told until it acknowledges.
    pub(super) fn enter(&mut self, id: &TaskId, state: TaskState, reason: Option<Reason>) {
        let uuid = Uuid::from_u128(u128::from(self.next()));
        let agent = self
            .tasks
            .get(id)
            .expect("a launched task")
            .info
            .agent_id
            .clone();
        let status = TaskStatus {
            uuid: Some(uuid),
            reason,
            ..self.status(id, &agent, state)
        };
        let task = self.tasks.get_mut(id).expect("a launched task");
        if task.state.is_terminal() {
            return;
        }
        task.state = state;
        task.updates.push_back(status);
        let first = task.updates.len() == 1;
        if state.is_terminal() {
            let used = task.info.resources.clone();
            self.free(&agent, &used);
        }
        if first {
            self.send_first_update(id);
        }
    }

    fn send_first_update(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let Some(status) = task.updates.front().cloned() else {
            return;
        };
        task.told = status.state;
        let agent = task.info.agent_id.clone();
        if self.is_reachable(&agent) {
            self.say(ToFramework::Update(Update { status }));
        }
    }

    /// Sends what is not acknowledged once more.
    pub(super) fn send_updates(&mut self) {
        let ids: Vec<_> = self.tasks.keys().cloned().collect();
        ids.iter().for_each(|id| self.send_first_update(id));
    }

    pub(super) fn send_status(&mut self, status: TaskStatus) {
        self.say(ToFramework::Update(Update { status }));
    }

    fn status(&self, task: &TaskId, agent: &AgentId, state: TaskState) -> TaskStatus {
        let status = TaskStatus::new(task.clone(), state, Source::Master, self.now);
        TaskStatus {
            agent_id: Some(agent.clone()),
            ..status
        }
    }

    fn acknowledge(&mut self, msg: &Acknowledge) {
        let Some(task) = self.tasks.get_mut(&msg.task_id) else {
            return;
        };
        if task
            .updates
            .front()
            .is_some_and(|status| status.uuid == Some(msg.uuid))
        {
            task.updates.pop_front();
            self.send_first_update(&msg.task_id);
        }
    }

    fn kill(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return self.answer(id, None);
        };
        let reachable = self.is_reachable(&task.info.agent_id);
        if !self.kills_ignored && reachable && !task.state.is_terminal() {
            self.enter(id, TaskState::Killed, None);
        }
    }

    fn reconcile(&mut self, msg: Reconcile) {
        if msg.tasks.is_empty() {
            let all: Vec<_> = self.tasks.keys().cloned().collect();
            all.iter().for_each(|id| self.answer(id, None));
        }
        for (id, agent) in msg.tasks {
            self.answer(&id, agent);
        }
    }

    fn answer(&mut self, id: &TaskId, agent: Option<AgentId>) {
        let known = self.tasks.get(id);
        let (agent, state) = match known {
            Some(task) if task.state.is_terminal() && task.updates.is_empty() => {
                (Some(task.info.agent_id.clone()), TaskState::Gone)
            }
            Some(task) if !self.is_reachable(&task.info.agent_id) => {
                (Some(task.info.agent_id.clone()), TaskState::Unreachable)
            }
            Some(task) => (Some(task.info.agent_id.clone()), task.told),
            None if agent.is_none() => (None, TaskState::Unknown),
            None => (agent, TaskState::Gone),
        };
        let status = TaskStatus::new(id.clone(), state, Source::Master, self.now);
        let status = TaskStatus {
            agent_id: agent,
            ..status
        };
        self.send_status(status.because(Reason::Reconciliation, "reconciliation"));
    }

    pub(super) fn state_of(&self, task: &TaskId) -> Option<TaskState> {
        self.tasks.get(task).map(|task| task.state)
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.tasks.values().map(|task| task.updates.len()).sum()
    }
}

impl FakeTask {
    /// Launched by the accept at hand.
    fn is_new(&self) -> bool {
        self.state == TaskState::Staging && self.ends.is_none()
    }
}
