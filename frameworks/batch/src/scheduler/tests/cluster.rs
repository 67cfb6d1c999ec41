//! A cluster for tests of the scheduler: tasks are entries in a map, and every order of events is
//! possible. It keeps a real master's promises only: an update comes until it is acknowledged,
//! which it is when the callback that took it was carried out in full.

use std::{collections::BTreeMap, time::Duration};

use tepui_framework::{
    Call, Calls, End, Kept, Scheduler,
    protocol::{
        AgentId, FrameworkId, MasterId, Offer, OfferId, Operation, Reason, Resources, Role, Source,
        TaskId, TaskInfo, TaskState, TaskStatus, Timestamp, Unavailability,
    },
    store::Write,
};

use crate::{
    BatchScheduler, Job, JobResult, Policy,
    instance::Instance,
    machine::Place,
    scheduler::{INSTANCE, place_of},
};

pub(super) struct SimTask {
    pub(super) state: TaskState,
    pub(super) reachable: bool,
}

pub(super) struct Cluster {
    pub(super) job: Job,
    policy: Policy,
    pub(super) scheduler: BatchScheduler,
    pub(super) now: Timestamp,
    /// What is durable.
    pub(super) store: Kept,
    pub(super) tasks: BTreeMap<TaskId, SimTask>,
    /// All launches, in order.
    pub(super) launches: Vec<TaskInfo>,
    /// Updates under way, in no particular order.
    pub(super) inbox: Vec<TaskStatus>,
    timers: Vec<(Timestamp, u64)>,
    pub(super) suppressed: bool,
    pub(super) revives: usize,
    pub(super) declined: usize,
    pub(super) ended: Option<End>,
    pub(super) failure: Option<String>,
    /// The final attempt of each instance, once durable.
    finals: BTreeMap<Place, u32>,
    /// The process dies after so many more calls were carried out.
    pub(super) crash_after: Option<usize>,
    offers: u64,
    /// Offers that are not answered yet, each to be answered once.
    pub(super) outstanding: BTreeMap<OfferId, Offer>,
}

impl Cluster {
    pub(super) fn new(job: Job, policy: Policy) -> Self {
        let scheduler = BatchScheduler::new(job.clone(), policy.clone(), "h:1").unwrap();
        let mut cluster = Self {
            job,
            policy,
            scheduler,
            now: Timestamp::from_secs(1000),
            store: Kept::new(),
            tasks: BTreeMap::new(),
            launches: Vec::new(),
            inbox: Vec::new(),
            timers: Vec::new(),
            suppressed: false,
            revives: 0,
            declined: 0,
            ended: None,
            failure: None,
            finals: BTreeMap::new(),
            crash_after: None,
            offers: 0,
            outstanding: BTreeMap::new(),
        };
        cluster.start();
        cluster
    }

    /// A process begins with what is durable.
    fn start(&mut self) {
        let job = self.job.clone();
        self.scheduler = BatchScheduler::new(job, self.policy.clone(), "h:1").unwrap();
        self.timers.clear();
        self.outstanding.clear();
        self.suppressed = false;
        let kept = self.store.clone();
        self.call(|scheduler, calls| scheduler.restored(calls, kept));
        let (id, master) = (FrameworkId::new("f").unwrap(), MasterId::new("m").unwrap());
        self.call(|scheduler, calls| scheduler.registered(calls, &id, &master));
    }

    pub(super) fn restart(&mut self) {
        self.crash_after = None;
        if self.ended.is_none() {
            self.start();
        }
    }

    /// One callback, carried out; false if the process died over it.
    fn call(&mut self, callback: impl FnOnce(&mut BatchScheduler, &mut Calls)) -> bool {
        if self.ended.is_some() || self.failure.is_some() {
            return false;
        }
        let mut calls = Calls::at(self.now).of(FrameworkId::new("f").ok());
        callback(&mut self.scheduler, &mut calls);
        for call in calls.take() {
            if let Some(left) = &mut self.crash_after {
                if *left == 0 {
                    self.restart();
                    return false;
                }
                *left -= 1;
            }
            self.carry(call);
        }
        self.check();
        true
    }

    fn carry(&mut self, call: Call) {
        match call {
            Call::Write(Write::Put { key, value }) => {
                self.store.insert(key, value);
                self.check();
            }
            Call::Write(Write::Delete { key }) => {
                self.store.remove(&key);
            }
            Call::Accept {
                offer_ids,
                operations,
                ..
            } => {
                let before = self.launches.len();
                let offered = self.answer(&offer_ids);
                let tasks = operations.into_iter().flat_map(Operation::into_tasks);
                tasks.for_each(|task| self.launch(task));
                let tasks = self.launches[before..].iter();
                let used: Resources = tasks.map(|task| &task.resources).sum();
                assert!(offered.contains(&used), "{used} of {offered}");
            }
            Call::Decline { offer_ids, .. } => {
                self.answer(&offer_ids);
                self.declined += offer_ids.len();
            }
            Call::Revive { .. } => {
                self.suppressed = false;
                self.revives += 1;
            }
            Call::AcceptInverse { .. } | Call::DeclineInverse { .. } => {}
            Call::Suppress { .. } => self.suppressed = true,
            Call::Kill { task_id, .. } => self.kill(&task_id),
            Call::Reconcile { tasks } => tasks.iter().for_each(|(id, _)| self.reconcile(id)),
            Call::After { delay, token } => self.timers.push((self.now + delay, token)),
            Call::Stop(end) => self.ended = Some(end),
            Call::Fail(why) => self.failure = Some(why),
            Call::ReconcileOperations { .. } => {}
            Call::Acknowledge { .. } | Call::AcknowledgeOperation { .. } => {
                unreachable!("the driver acknowledges")
            }
        }
    }

    fn launch(&mut self, info: TaskInfo) {
        let id = info.id.clone();
        let (place, _) = self
            .scheduler
            .machine
            .find(&id)
            .expect("an instance of the job");
        for name in &self.job.groups[place.group].after {
            for index in 0..self.job.group(name).unwrap().count {
                let group = self
                    .job
                    .groups
                    .iter()
                    .position(|group| group.name == *name)
                    .unwrap();
                let before = Place { group, index };
                assert!(
                    self.finals.contains_key(&before),
                    "{id} started before {name}.{index}"
                );
            }
        }
        self.launches.push(info);
        let task = SimTask {
            state: TaskState::Staging,
            reachable: true,
        };
        assert!(
            self.tasks.insert(id, task).is_none(),
            "an attempt is launched once"
        );
    }

    fn kill(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return self.reconcile(id);
        };
        if task.reachable && !task.state.is_terminal() {
            self.enter(id, TaskState::Killed, None);
        }
    }

    pub(super) fn reconcile(&mut self, id: &TaskId) {
        let state = match self.tasks.get(id) {
            None => TaskState::Gone,
            Some(task) if !task.reachable => TaskState::Unreachable,
            Some(task) => task.state,
        };
        let status = self.status(id, state).because(Reason::Reconciliation, "");
        self.inbox.push(status);
    }

    fn status(&self, id: &TaskId, state: TaskState) -> TaskStatus {
        TaskStatus::new(id.clone(), state, Source::Agent, self.now)
    }

    /// A task changes its state on its agent; the news is under way.
    pub(super) fn enter(&mut self, id: &TaskId, state: TaskState, reason: Option<Reason>) {
        let status = TaskStatus {
            reason,
            ..self.status(id, state)
        };
        let task = self.tasks.get_mut(id).expect("a launched task");
        if !task.state.is_terminal() {
            task.state = state;
            self.inbox.push(status);
        }
    }

    pub(super) fn set_reachable(&mut self, id: &TaskId, reachable: bool) {
        let task = self.tasks.get_mut(id).expect("a launched task");
        if task.reachable != reachable && !task.state.is_terminal() {
            task.reachable = reachable;
            let state = if reachable {
                task.state
            } else {
                TaskState::Unreachable
            };
            let status = self.status(id, state);
            self.inbox.push(status);
        }
    }

    /// Delivers one update; it stays under way if the process dies over it, or for a duplicate.
    pub(super) fn deliver(&mut self, at: usize, again: bool) {
        if self.inbox.is_empty() {
            return;
        }
        let at = at % self.inbox.len();
        let status = self.inbox[at].clone();
        let length = self.inbox.len();
        let taken = self.call(|scheduler, calls| scheduler.update(calls, status));
        if taken && !again {
            debug_assert!(self.inbox.len() >= length);
            self.inbox.remove(at);
        }
    }

    pub(super) fn deliver_all(&mut self) {
        while !self.inbox.is_empty() && self.ended.is_none() && self.failure.is_none() {
            self.deliver(0, false);
        }
    }

    pub(super) fn offer(&mut self, agent: &str, resources: &str) {
        self.offer_until(agent, resources, None);
    }

    /// The same, of a machine that will be taken down.
    pub(super) fn offer_until(
        &mut self,
        agent: &str,
        resources: &str,
        unavailability: Option<Unavailability>,
    ) {
        if self.suppressed {
            return;
        }
        self.offers += 1;
        let role = Role::star();
        let resources: Resources = resources.parse().unwrap();
        let offer = Offer {
            id: OfferId::new(format!("o{}", self.offers)).unwrap(),
            framework_id: FrameworkId::new("f").unwrap(),
            agent_id: AgentId::new(agent).unwrap(),
            hostname: agent.to_owned(),
            resources: resources.allocate(&role),
            role,
            attributes: BTreeMap::new(),
            unavailability,
        };
        self.outstanding.insert(offer.id.clone(), offer.clone());
        self.call(|scheduler, calls| scheduler.offers(calls, vec![offer]));
    }

    /// What the offers add up to, which are of one agent.
    fn answer(&mut self, ids: &[OfferId]) -> Resources {
        let take = |id| self.outstanding.remove(id).expect("an offer not answered");
        let offers: Vec<Offer> = ids.iter().map(take).collect();
        assert!(
            offers
                .iter()
                .all(|offer| offer.agent_id == offers[0].agent_id),
            "of one agent"
        );
        offers.iter().map(|offer| &offer.resources).sum()
    }

    /// The master takes back an offer that is not answered.
    pub(super) fn rescind(&mut self, n: usize) {
        let count = self.outstanding.len().max(1);
        if let Some(id) = self.outstanding.keys().nth(n % count).cloned() {
            self.outstanding.remove(&id);
            self.call(|scheduler, calls| scheduler.rescinded(calls, id));
        }
    }

    /// The link to the master breaks and is made again.
    pub(super) fn disconnect(&mut self) {
        self.outstanding.clear();
        self.call(|scheduler, calls| scheduler.disconnected(calls));
        let master = MasterId::new("m").unwrap();
        self.call(|scheduler, calls| scheduler.reregistered(calls, &master));
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        let (due, later) = self.timers.drain(..).partition(|(at, _)| *at <= self.now);
        self.timers = later;
        let due: Vec<(Timestamp, u64)> = due;
        for (_, token) in due {
            self.call(|scheduler, calls| scheduler.timer(calls, token));
        }
    }

    pub(super) fn live(&self) -> Vec<TaskId> {
        let live = self
            .tasks
            .iter()
            .filter(|(_, task)| !task.state.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Everything goes well from now on, until the job is over; false if that takes for ever.
    pub(super) fn heal(&mut self) -> bool {
        for _ in 0..200 {
            if self.ended.is_some() || self.failure.is_some() {
                return true;
            }
            for id in self.live() {
                self.set_reachable(&id, true);
                self.enter(&id, TaskState::Finished, None);
            }
            self.deliver_all();
            self.offer("a", "cpus:4;mem:1024");
            self.advance(Duration::from_secs(5));
        }
        false
    }

    pub(super) fn result(&self) -> Option<JobResult> {
        self.scheduler.outcome().map(|outcome| outcome.result)
    }

    /// `BA-1` and `BA-2`, on what is durable.
    fn check(&mut self) {
        for (key, bytes) in &self.store {
            let Some(place) = key.strip_prefix(INSTANCE).and_then(place_of) else {
                continue;
            };
            let instance: Instance = tepui_framework::store::get(key, bytes).unwrap();
            let counted = instance
                .live
                .values()
                .filter(|attempt| !attempt.abandoned)
                .count();
            assert!(
                counted <= usize::from(instance.done.is_none()),
                "BA-2: {instance:?}"
            );
            if let Some(attempt) = instance.done {
                let before = *self.finals.entry(place).or_insert(attempt);
                assert_eq!(before, attempt, "BA-1: the final attempt of {key} changed");
                let id = self.scheduler.machine.task_id(place, attempt);
                assert_eq!(self.tasks[&id].state, TaskState::Finished, "BA-1: {id}");
            }
        }
    }

    pub(super) fn finals(&self) -> usize {
        self.finals.len()
    }
}
