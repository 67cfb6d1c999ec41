//! A cluster around the state machine, for tests: the real allocator, a registry, a virtual clock,
//! and agents and schedulers whose messages are collected. After every event, all invariants are
//! checked.

use std::{collections::BTreeSet, time::Duration};

use tepui_protocol::{
    AgentId, AgentInfo, Capability, CommandInfo, Filters, FrameworkId, FrameworkInfo, MasterId,
    Offer, OfferId, Operation, Resources, Role, Source, TaskId, TaskInfo, TaskState, TaskStatus,
    Timestamp,
    messages::{
        agent::{Pong, Register, Reregister, StatusUpdate},
        operator::GetTasks,
        scheduler::{Accept, Acknowledge, Decline, Reconcile, Subscribe},
    },
    task::Task,
};
use tepui_runtime::{AnyPid, ExitReason, Exited};
use tepui_store::{Contents, Write};
use uuid::Uuid;

use crate::{
    allocation::{Desk, Turnaround},
    config::MasterConfig,
    effects::{Call, Effect, Effects, Letter, Outcome, Timer},
    invariants,
    master::Master,
};

pub(crate) struct Cluster {
    pub(crate) master: Master,
    pub(crate) now: Timestamp,
    pub(crate) registry: Contents,
    pub(crate) letters: Vec<(AnyPid, Letter)>,
    pub(crate) answers: Vec<Outcome>,
    pub(crate) watched: BTreeSet<AnyPid>,
    /// Agents that answer no ping.
    pub(crate) silent: BTreeSet<AgentId>,
    pub(crate) calls: Vec<Call>,
    desk: Desk,
    timers: Vec<(Timestamp, Timer)>,
    runs: u64,
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn role(text: &str) -> Role {
    Role::new(text).unwrap()
}

pub(crate) fn task_id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

pub(crate) fn resources(text: &str) -> Resources {
    Resources::parse(text).unwrap()
}

/// The actor of an agent or a framework in its `life`-th life.
pub(crate) fn pid(name: &str, life: u64) -> AnyPid {
    format!("{name}@{name}:1#{life}").parse().unwrap()
}

/// A framework that understands nothing but several roles.
pub(crate) fn legacy(name: &str) -> FrameworkInfo {
    let capabilities = BTreeSet::from([Capability::MultiRole]);
    FrameworkInfo {
        capabilities,
        ..FrameworkInfo::new(name, role("*"))
    }
}

pub(crate) fn task(id: &str, offer: &Offer, amounts: &str) -> TaskInfo {
    let command = CommandInfo::shell("true");
    TaskInfo::command(
        task_id(id),
        offer.agent_id.clone(),
        resources(amounts),
        command,
    )
}

pub(crate) fn agent_info(name: &str, amounts: &str) -> AgentInfo {
    AgentInfo {
        id: None,
        hostname: name.to_owned(),
        resources: resources(amounts),
        attributes: Default::default(),
    }
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with(MasterConfig::default())
    }

    pub(crate) fn with(config: MasterConfig) -> Self {
        Self::start(config, Contents::new(), Timestamp::from_secs(1_000), 1)
    }

    fn start(config: MasterConfig, registry: Contents, now: Timestamp, run: u64) -> Self {
        let turnaround = match config.allocate_on_recover {
            true => Turnaround::AtOnce,
            false => Turnaround::AtTick,
        };
        let desk = Desk::new(config.allocator_options(), turnaround);
        let id = MasterId::new(format!("m{run}")).unwrap();
        let master = Master::new(config, id, &registry).unwrap();
        let mut cluster = Self {
            master,
            now,
            registry,
            letters: Vec::new(),
            answers: Vec::new(),
            watched: BTreeSet::new(),
            silent: BTreeSet::new(),
            calls: Vec::new(),
            desk,
            timers: Vec::new(),
            runs: run,
        };
        cluster.event(|master, now, out| {
            master.on_start(now, out);
            master.on_allocator_started(out);
        });
        cluster
    }

    /// The master crashes and another starts with its registry.
    pub(crate) fn restart_master(&mut self) {
        let config = self.master.config().clone();
        let registry = std::mem::take(&mut self.registry);
        *self = Self::start(config, registry, self.now, self.runs + 1);
    }

    /// One event, what it leads to, and the invariants after it.
    pub(crate) fn event(&mut self, handle: impl FnOnce(&mut Master, Timestamp, &mut Effects)) {
        self.quiet_event(handle);
        self.allocate();
    }

    /// As [`Cluster::event`], but the allocator does not get its turn yet.
    pub(crate) fn quiet_event(
        &mut self,
        handle: impl FnOnce(&mut Master, Timestamp, &mut Effects),
    ) {
        let mut out = Effects::new();
        handle(&mut self.master, self.now, &mut out);
        invariants::check(&self.master).unwrap();
        for effect in out {
            self.carry_out(effect);
        }
    }

    fn allocate(&mut self) {
        while !self.calls.is_empty() {
            let granted = self.work();
            let counters = self.desk.counters();
            self.quiet_event(|master, now, out| master.on_allocated(now, granted, &counters, out));
        }
    }

    /// The allocator does what it was told; what it grants is on its way.
    pub(crate) fn work(&mut self) -> Vec<crate::master::Granted> {
        let calls = std::mem::take(&mut self.calls);
        self.desk.work(self.now, calls)
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Tell { to, letter } => self.deliver(to, letter),
            Effect::Allocator(call) => self.calls.push(call),
            Effect::Write(Write::Put { key, value }) => _ = self.registry.insert(key, value),
            Effect::Write(Write::Delete { key }) => _ = self.registry.remove(&key),
            Effect::Watch(pid) => assert!(self.watched.insert(pid), "watched twice"),
            Effect::Unwatch(pid) => assert!(self.watched.remove(&pid), "not watched"),
            Effect::Timer { after, timer } => self.timers.push((self.now + after, timer)),
            Effect::Answer { outcome, .. } => self.answers.push(outcome),
        }
    }

    fn deliver(&mut self, to: AnyPid, letter: Letter) {
        if let Letter::Ping(_) = letter {
            let agents = self.master.agents();
            let agent = agents.iter().find(|agent| agent.pid.as_ref() == Some(&to));
            let id = agent
                .and_then(|agent| agent.info.id.clone())
                .expect("a known agent is pinged");
            if !self.silent.contains(&id) {
                // The answer arrives at once.
                let now = self.now;
                self.master
                    .on_pong(now, Pong { agent_id: id }, &mut Effects::new());
            }
        }
        if let Letter::Offers(offers) = &letter {
            self.check_gang(&offers.offers);
        }
        self.letters.push((to, letter));
    }

    /// No framework gets a part of what it needs to begin.
    fn check_gang(&self, offers: &[Offer]) {
        let first = &offers[0];
        let of = offers.iter().filter(|offer| offer.role == first.role);
        if let Some(gang) = self.master.gang(&first.framework_id, &first.role) {
            let met = gang.is_met_by(of.map(|offer| (&offer.agent_id, &offer.resources)));
            assert!(met, "a part of a gang: {offers:?}");
        }
    }

    /// Lets time pass; all timers due go off, in order.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next_timer(end) {
            let (when, timer) = self.timers.remove(at);
            self.now = when;
            self.event(|master, now, out| master.on_timer(now, timer, out));
        }
        self.now = end;
    }

    fn next_timer(&self, end: Timestamp) -> Option<usize> {
        let due = self
            .timers
            .iter()
            .enumerate()
            .filter(|(_, (when, _))| *when <= end);
        due.min_by_key(|(at, (when, _))| (*when, *at))
            .map(|(at, _)| at)
    }

    /// The allocator crashes and starts again.
    pub(crate) fn crash_allocator(&mut self) {
        self.calls.clear();
        self.event(|master, _, out| master.on_allocator_started(out));
    }

    /// The allocator holds what the master's books say is used or offered.
    pub(crate) fn check_books(&self) {
        let views = self.desk.allocator().agents();
        for agent in self.master.agents() {
            let Some(view) = agent.info.id.as_ref().and_then(|id| views.get(id)) else {
                continue;
            };
            assert_eq!(view.total, agent.info.resources, "{:?}", agent.info.id);
            let held: Resources = view.used.values().sum();
            assert_eq!(
                held,
                agent.used.clone() + &agent.offered,
                "{:?}",
                agent.info.id
            );
        }
        tepui_allocator::invariants::check(self.desk.allocator(), &BTreeSet::new()).unwrap();
    }

    // Agents.

    pub(crate) fn agent(&mut self, name: &str, amounts: &str) -> AgentId {
        let call = Register {
            pid: pid(name, 1),
            info: agent_info(name, amounts),
            version: "0.1.0".to_owned(),
        };
        self.event(|master, now, out| master.on_register(now, call, out));
        self.letters_to(&pid(name, 1))
            .into_iter()
            .find_map(|letter| match letter {
                Letter::Registered(registered) => Some(registered.agent_id),
                _ => None,
            })
            .expect("the agent is registered")
    }

    /// The agent comes back in its `life`-th life, with these tasks; its resources are unchanged.
    pub(crate) fn reregister(&mut self, name: &str, id: &AgentId, life: u64, tasks: &[Task]) {
        let known = self
            .master
            .agents()
            .into_iter()
            .find(|a| a.info.id.as_ref() == Some(id));
        let mut info = known.expect("the agent is known").info;
        info.id = Some(id.clone());
        let framework = |task: &Task| {
            let mut info = FrameworkInfo::new("reported", role("*"));
            info.id = Some(task.framework_id.clone());
            info
        };
        let call = Reregister {
            pid: pid(name, life),
            info,
            version: "0.1.0".to_owned(),
            frameworks: tasks.iter().map(framework).collect(),
            tasks: tasks.to_vec(),
            updates: Vec::new(),
        };
        self.event(|master, now, out| master.on_reregister(now, call, out));
    }

    /// The agent comes back without tasks, and says that it has `said`.
    pub(crate) fn reregister_with(&mut self, name: &str, id: &AgentId, life: u64, said: Resources) {
        let call = Reregister {
            pid: pid(name, life),
            info: AgentInfo {
                id: Some(id.clone()),
                resources: said,
                ..agent_info(name, "")
            },
            version: "0.1.0".to_owned(),
            frameworks: Vec::new(),
            tasks: Vec::new(),
            updates: Vec::new(),
        };
        self.event(|master, now, out| master.on_reregister(now, call, out));
    }

    pub(crate) fn exit(&mut self, pid: &AnyPid) {
        self.watched.remove(pid);
        let exited = Exited {
            pid: pid.clone(),
            reason: ExitReason::Unreachable,
        };
        self.event(|master, now, out| master.on_exited(now, exited, out));
    }

    /// The agent reports a state; returns the update's uuid.
    pub(crate) fn update(&mut self, task: &Task, state: TaskState, latest: TaskState) -> Uuid {
        let uuid = Uuid::from_u128(self.letters.len() as u128 * 16 + state as u128 + 1);
        let mut status = TaskStatus::new(task.info.id.clone(), state, Source::Executor, self.now);
        status.uuid = Some(uuid);
        status.agent_id = Some(task.info.agent_id.clone());
        let call = StatusUpdate {
            agent_id: task.info.agent_id.clone(),
            framework_id: task.framework_id.clone(),
            status,
            latest_state: latest,
        };
        self.event(|master, now, out| master.on_status_update(now, call, out));
        uuid
    }

    // Frameworks.

    pub(crate) fn framework(&mut self, name: &str, role_name: &str) -> FrameworkId {
        self.subscribe(pid(name, 1), FrameworkInfo::new(name, role(role_name)))
    }

    pub(crate) fn subscribe(&mut self, pid: AnyPid, info: FrameworkInfo) -> FrameworkId {
        self.try_subscribe(pid, info)
            .expect("the framework is subscribed")
    }

    pub(crate) fn try_subscribe(
        &mut self,
        pid: AnyPid,
        info: FrameworkInfo,
    ) -> Result<FrameworkId, String> {
        let before = self.letters.len();
        let call = Subscribe {
            pid,
            info,
            suppressed_roles: BTreeSet::new(),
        };
        self.event(|master, now, out| master.on_subscribe(now, call.clone(), out));
        let mut news = self.letters[before..]
            .iter()
            .filter(|(to, _)| *to == call.pid);
        news.find_map(|(_, letter)| match letter {
            Letter::Subscribed(subscribed) => Some(Ok(subscribed.framework_id.clone())),
            Letter::Error(error) => Some(Err(error.message.clone())),
            _ => None,
        })
        .expect("a subscription is answered")
    }

    pub(crate) fn accept(&mut self, id: &FrameworkId, offers: &[&Offer], tasks: Vec<TaskInfo>) {
        self.accept_with(id, offers, tasks, Filters::default());
    }

    pub(crate) fn accept_with(
        &mut self,
        id: &FrameworkId,
        offers: &[&Offer],
        tasks: Vec<TaskInfo>,
        filters: Filters,
    ) {
        let call = Accept {
            framework_id: id.clone(),
            offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
            operations: vec![Operation::Launch(tasks)],
            filters,
        };
        self.event(|master, now, out| master.on_accept(now, call, out));
    }

    pub(crate) fn decline(&mut self, id: &FrameworkId, offer: &Offer, seconds: f64) {
        let call = Decline {
            framework_id: id.clone(),
            offer_ids: vec![offer.id.clone()],
            filters: Filters::seconds(seconds),
        };
        self.event(|master, now, out| master.on_decline(now, call, out));
    }

    pub(crate) fn acknowledge(&mut self, task: &Task, uuid: Uuid) {
        let call = Acknowledge {
            framework_id: task.framework_id.clone(),
            agent_id: task.info.agent_id.clone(),
            task_id: task.info.id.clone(),
            uuid,
        };
        self.event(|master, now, out| master.on_acknowledge(now, call, out));
    }

    pub(crate) fn reconcile(&mut self, id: &FrameworkId, tasks: &[(&str, Option<&AgentId>)]) {
        let tasks = tasks
            .iter()
            .map(|(task, agent)| (task_id(task), agent.cloned()))
            .collect();
        let call = Reconcile {
            framework_id: id.clone(),
            tasks,
        };
        self.event(|master, now, out| master.on_reconcile(now, call, out));
    }

    /// One agent, one framework, and a running task `t` of 1 cpu and 64 MiB.
    pub(crate) fn with_task(config: MasterConfig) -> (Self, Task) {
        let mut cluster = Self::with(config);
        cluster.agent("a", "cpus:4;mem:4096");
        let framework = cluster.framework("f", "*");
        let task = cluster.launch("f", &framework, "t");
        (cluster, task)
    }

    /// Launches a task of 1 cpu and 64 MiB on the first offer, up to RUNNING and acknowledged.
    pub(crate) fn launch(&mut self, name: &str, id: &FrameworkId, task_name: &str) -> Task {
        let offers = self.offers(&pid(name, 1));
        let info = task(task_name, &offers[0], "cpus:1;mem:64");
        self.accept(id, &[&offers[0]], vec![info]);
        let task = self.task(task_name);
        let uuid = self.update(&task, TaskState::Running, TaskState::Running);
        self.acknowledge(&task, uuid);
        self.letters.clear();
        self.task(task_name)
    }

    // What can be seen.

    /// Takes the messages to `pid` out.
    pub(crate) fn letters_to(&mut self, pid: &AnyPid) -> Vec<Letter> {
        let all = std::mem::take(&mut self.letters);
        let (those, others) = all.into_iter().partition(|(to, _)| to == pid);
        self.letters = others;
        those
            .into_iter()
            .map(|(_, letter): (AnyPid, Letter)| letter)
            .collect()
    }

    /// Takes the messages to `pid` out and gives the offers among them.
    pub(crate) fn offers(&mut self, pid: &AnyPid) -> Vec<Offer> {
        let letters = self.letters_to(pid).into_iter();
        letters
            .filter_map(|letter| match letter {
                Letter::Offers(offers) => Some(offers.offers),
                _ => None,
            })
            .flatten()
            .collect()
    }

    /// Takes the messages to `pid` out and gives the statuses among them.
    pub(crate) fn statuses(&mut self, pid: &AnyPid) -> Vec<TaskStatus> {
        let letters = self.letters_to(pid).into_iter();
        letters
            .filter_map(|letter| match letter {
                Letter::Update(update) => Some(update.status),
                _ => None,
            })
            .collect()
    }

    /// Takes the messages to `pid` out and gives the offers that were rescinded.
    pub(crate) fn rescinded(&mut self, pid: &AnyPid) -> Vec<OfferId> {
        let letters = self.letters_to(pid).into_iter();
        letters
            .filter_map(|letter| match letter {
                Letter::Rescind(rescind) => Some(rescind.offer_id),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn task(&self, id: &str) -> Task {
        let call = GetTasks {
            task_id: Some(task_id(id)),
            ..GetTasks::default()
        };
        let found = self.master.tasks(&call);
        assert_eq!(found.len(), 1, "one task {id}");
        found[0].task.clone()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.master.metrics(self.now)[name]
    }
}
